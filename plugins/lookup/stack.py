# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Lookup stack."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stack
short_description: A component of the version catalogue
version_added: 0.1.0
description:
  - Returns what data/stack.yml says of components, in the version that a stack takes.
options:
  _terms:
    description: Names of components.
    type: list
    elements: str
    required: true
  stack:
    description: The stack; its default is the catalogue's own.
    type: str
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Show which PyTorch the stack takes
  ansible.builtin.debug:
    msg: "{{ lookup('awsome.distributed_training.stack', 'torch').version }}"
"""

RETURN = r"""
_raw:
  description: Each component's entry, with C(name), C(version), C(licence) and what its version holds.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        try:
            document = controller.read_catalogue("stack")
            return [catalogue.component(document, term, self.get_option("stack")) for term in terms]
        except TrainingError as error:
            raise AnsibleLookupError(str(error)) from None
