#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action validation_report, which works on the controller: plugins/action/validation_report.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validation_report
short_description: One report of the checks of many nodes
version_added: 0.2.0
description:
  - Shows a table, writes it with JSON and JUnit's XML into a folder of its own, and fails where a check failed.
  - A node on which no check ran, or all were skipped, is a failure.
options:
  nodes:
    description: The nodes, by their names in the inventory.
    type: list
    elements: str
    required: true
  registered:
    description: The variable in which each node has what M(awsome.distributed_training.validate_node) returned.
    type: str
    required: true
  tags:
    description: The tags that were asked for.
    type: list
    elements: str
    default: []
  folder:
    description: Where folders of reports are made.
    type: path
    required: true
attributes:
  check_mode: {support: full, description: The report is written in check mode too.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Judge all nodes
  awsome.distributed_training.validation_report:
    nodes: "{{ groups.compute }}"
    registered: validation
    folder: validations
"""

RETURN = r"""
verdict:
  description: V(pass); the task fails otherwise.
  returned: success
  type: str
counts:
  description: Number of checks by verdict.
  returned: success
  type: dict
folder:
  description: The folder with C(validation.json), C(junit.xml) and C(table.txt).
  returned: success
  type: str
"""
