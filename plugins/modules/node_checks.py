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
  - Runs checks of the collection's registry on the node and judges what they read.
  - Fails where a check fails, and where all are skipped; each has its verdict in RV(results).
options:
  groups:
    description: Run the checks of these roles, or parts of a node such as V(gpu).
    type: list
    elements: str
    default: []
  checks:
    description: Run these checks, by their ids. Without this and O(groups), all.
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
  record:
    description:
      - Where no check fails, note what the node was held to by O(groups), in
        C(/var/lib/awsome-distributed-training/checks.json).
      - Program C(adt-checks) and playbook C(validate) hold it to that.
    type: bool
    default: false
attributes:
  check_mode: {support: full, description: The checks run; what they were held to is not noted.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: See that munge works
  awsome.distributed_training.node_checks:
    groups: [munge]
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

import os
import platform
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils import folders
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    FAIL,
    PASS,
    reading,
    record,
    run_all,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.registry import select
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def recorded(groups: list[str], expected: dict[str, Any], check_mode: bool) -> bool:
    """Note what the node was held to; whether that is new."""
    before = reading.text(record.PATH)
    after = record.written(record.merged(record.read(before, record.PATH), groups, expected))
    if after == before or check_mode:
        return after != before
    os.makedirs(os.path.dirname(record.PATH), mode=0o755, exist_ok=True)
    folders.replace_file(record.PATH, after)
    return True


def main() -> None:
    """Run the checks; fail with one line that names every failure."""
    module = AnsibleModule(
        argument_spec={
            "groups": {"type": "list", "elements": "str", "default": []},
            "checks": {"type": "list", "elements": "str", "default": []},
            "expected": {"type": "dict", "default": {}},
            "wait_s": {"type": "int", "default": 0},
            "record": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        checks = select(given["groups"], given["checks"])
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
    try:
        changed = given["record"] and recorded(given["groups"], given["expected"], module.check_mode)
    except TrainingError as error:
        module.fail_json(msg=str(error), results=found)
    module.exit_json(changed=changed, results=found)


if __name__ == "__main__":
    main()
