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
  - The play's variable C(stack_overrides), a map in the form of data/stack.yml, is merged into it first.
options:
  _terms:
    description: Names of components.
    type: list
    elements: str
    required: true
  stack:
    description: The stack; its default is the catalogue's own.
    type: str
  os:
    description: The OS, such as C(ubuntu2404). Needed where the stack's version differs by OS.
    type: str
  overrides:
    description: What is merged into data/stack.yml; its addresses may also be http://127.0.0.1 and file://.
    type: dict
    vars:
      - name: stack_overrides
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Show which PyTorch the stack takes
  ansible.builtin.debug:
    msg: "{{ lookup('awsome.distributed_training.stack', 'torch').version }}"

- name: Show which kernel the newest stack takes on Ubuntu 24.04
  ansible.builtin.debug:
    msg: "{{ lookup('awsome.distributed_training.stack', 'kernel', stack='newest', os='ubuntu2404').version }}"
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
        overrides = self.get_option("overrides")
        if overrides and self._templar:
            overrides = self._templar.template(overrides)
        try:
            document = controller.read_stack(overrides)
            stack, system = self.get_option("stack"), self.get_option("os")
            return [catalogue.component(document, term, stack, system) for term in terms]
        except TrainingError as error:
            raise AnsibleLookupError(str(error)) from None
