#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module node_facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_facts
short_description: What a node offers to a training run
version_added: 0.1.0
description:
  - Counts the accelerators of a node and reads its CPUs, memory and EC2 instance type. Changes nothing.
attributes:
  check_mode: {support: full, description: The module only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Read what this node offers
  awsome.distributed_training.node_facts:
  register: node
"""

RETURN = r"""
node:
  description: What the node offers.
  returned: always
  type: dict
  contains:
    accelerator: {description: "V(cuda), V(neuron) or V(cpu).", type: str, returned: always}
    accelerators: {description: How many., type: int, returned: always}
    accelerator_model: {description: "The first GPU's name; null without one.", type: str, returned: always}
    cpus: {description: CPUs that the process may use., type: int, returned: always}
    memory_gib: {description: Memory in GiB., type: float, returned: always}
    instance_type: {description: "EC2 instance type; null elsewhere.", type: str, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils.node import node_facts


def main() -> None:
    """Read and return."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.exit_json(changed=False, node=node_facts())


if __name__ == "__main__":
    main()
