#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action run_plan; the work is done in plugins/action/run_plan.py, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_plan
short_description: Plan a run
version_added: 0.1.0
description:
  - Resolves case, preset and parameters against launcher and nodes. The same inputs give the same plan.
  - In check mode it shows the plan.
options:
  request:
    description: As returned by M(awsome.distributed_training.run_request).
    type: dict
    required: true
  node:
    description: As returned by M(awsome.distributed_training.node_facts).
    type: dict
attributes:
  check_mode: {support: full, description: Shows the plan and makes no folder.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Make the plan
  awsome.distributed_training.run_plan:
    request: "{{ adt_request.request }}"
"""

RETURN = r"""
plan:
  description: The plan.
  returned: always
  type: dict
folders:
  description: Folders of the run, its data, the case, the library and the cache.
  returned: always
  type: dict
"""
