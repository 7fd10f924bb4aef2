#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module validate_node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate_node
short_description: Check a node by what its roles left on it, and by what its EC2 type has
version_added: 0.2.0
description:
  - Runs the checks of the collection's registry that apply to the node, in one task, and returns their verdicts.
  - Changes nothing, and does not fail where a check does; M(awsome.distributed_training.validation_report) judges all
    nodes together.
  - What a node is held to is what the roles' verifications last passed with, kept on the node, and its EC2 type.
options:
  tags:
    description: The tags of playbook C(validate) that are asked for; without one, all checks.
    type: list
    elements: str
    default: []
  instance_type:
    description: The node's EC2 type; without it, what the node's firmware states.
    type: str
  python:
    description: The interpreter of an environment with PyTorch, which is then checked too.
    type: path
  types:
    description: EC2 types with their accelerators. The action fills it in from C(data/instance_types.yml).
    type: dict
    default: {}
  xids:
    description: What NVIDIA's XID codes mean. The action fills it in from C(data/xids.yml).
    type: dict
    default: {}
  record:
    description: The file with what the node is held to.
    type: path
    default: /var/lib/awsome-distributed-training/checks.json
  wait_s:
    description: Failing checks are run again for so many seconds.
    type: int
    default: 0
attributes:
  check_mode: {support: full, description: The module only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Check the GPUs of every node
  awsome.distributed_training.validate_node:
    tags: [gpu]
  register: validation
"""

RETURN = r"""
results:
  description: Each check's verdict, as module M(awsome.distributed_training.node_checks) returns it.
  returned: always
  type: list
  elements: dict
instance_type:
  description: The EC2 type that the node was held to; empty where it is not known.
  returned: always
  type: str
"""

import os
import platform

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils import validation
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import groups as checked
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import reading, record, registry
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def main() -> None:
    """Read the record, run the checks, return what they say."""
    module = AnsibleModule(
        argument_spec={
            "tags": {"type": "list", "elements": "str", "default": []},
            "instance_type": {"type": "str"},
            "python": {"type": "path"},
            "types": {"type": "dict", "default": {}},
            "xids": {"type": "dict", "default": {}},
            "record": {"type": "path", "default": record.PATH},
            "wait_s": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        groups = record.read(reading.text(given["record"]), given["record"])
        here = reading.machine(given["instance_type"], given["types"], given["xids"], given["python"])
        asked = validation.groups_of(given["tags"], record.groups_here(groups, here, registry.GROUPS))
    except TrainingError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {os.strerror(error.errno or 0)}; fix: make it readable to this user")
    results = checked.run_groups(asked, groups, here, reading.read, platform.node(), given["wait_s"])
    module.exit_json(
        changed=False,
        results=[result.as_dict() for result in results],
        instance_type=here.get("instance_type", ""),
    )


if __name__ == "__main__":
    main()
