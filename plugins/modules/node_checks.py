#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module node_checks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_checks
short_description: Check a node
version_added: 0.1.0
description:
  - Runs checks of the collection's registry on the node and judges what they read. Changes nothing.
  - Fails where a check fails, and where all are skipped; each has its verdict in RV(results).
options:
  roles:
    description: Run the checks of these roles.
    type: list
    elements: str
    default: []
  checks:
    description: Run these checks, by their ids. Without this and O(roles), all.
    type: list
    elements: str
    default: []
  expected:
    description: What the node is meant to be, such as RV(awsome.distributed_training.component_plan#module:expected).
    type: dict
    default: {}
  wait_s:
    description: Failing checks are run again for so many seconds.
    type: int
    default: 0
attributes:
  check_mode: {support: full, description: The module only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: See that munge works
  awsome.distributed_training.node_checks:
    roles: [munge]
"""

RETURN = r"""
results:
  description: Each check's verdict.
  returned: always
  type: list
  elements: dict
  contains:
    id: {description: The check., type: str, returned: always}
    node: {description: The node's name., type: str, returned: always}
    verdict: {description: "V(pass), V(fail) or V(skip).", type: str, returned: always}
    value: {description: What was found., type: str, returned: always}
    unit: {description: Its unit., type: str, returned: always}
    limit: {description: What it is held to., type: str, returned: always}
    reason: {description: "One line; for a skip, what is not known.", type: str, returned: always}
    fix: {description: What to do about a failure., type: str, returned: always}
"""

import platform

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import FAIL, PASS, reading, run_all
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.registry import select
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def main() -> None:
    """Run the checks; fail with one line that names every failure."""
    module = AnsibleModule(
        argument_spec={
            "roles": {"type": "list", "elements": "str", "default": []},
            "checks": {"type": "list", "elements": "str", "default": []},
            "expected": {"type": "dict", "default": {}},
            "wait_s": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        checks = select(given["roles"], given["checks"])
    except TrainingError as error:
        module.fail_json(msg=str(error))
    results = run_all(checks, given["expected"], reading.read, platform.node(), given["wait_s"])
    found = [result.as_dict() for result in results]
    failures = [str(result) for result in results if result.verdict == FAIL]
    if failures:
        module.fail_json(msg=" | ".join(failures), results=found)
    if not any(result.verdict == PASS for result in results):
        reasons = " | ".join(str(result) for result in results)
        module.fail_json(
            msg=f"every check was skipped: {reasons}; fix: say in expected what the node is meant to be", results=found
        )
    module.exit_json(changed=False, results=found)


if __name__ == "__main__":
    main()
