# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Lookup instance_type."""

from __future__ import annotations

DOCUMENTATION = r"""
name: instance_type
short_description: An EC2 type of the instance catalogue
version_added: 0.1.0
description:
  - Returns what data/instance_types.yml says of EC2 types, with the accelerator's own entry in C(accelerator).
options:
  _terms:
    description: Names of EC2 types.
    type: list
    elements: str
    required: true
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Show how many EFA interfaces a type takes
  ansible.builtin.debug:
    msg: "{{ lookup('awsome.distributed_training.instance_type', 'p5.48xlarge').network.efa }}"
"""

RETURN = r"""
_raw:
  description: Each type's entry.
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
        try:
            document = controller.read_catalogue("instance_types")
            return [catalogue.instance_type(document, term) for term in terms]
        except TrainingError as error:
            raise AnsibleLookupError(str(error)) from None
