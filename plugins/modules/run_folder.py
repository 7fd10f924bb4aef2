#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action run_folder; the work is done in plugins/action/run_folder.py, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_folder
short_description: Make the folder of a run
version_added: 0.1.0
description:
  - Makes RUNS_DIR/CASE/RUN_ID and points RUNS_DIR/CASE/latest at it. One that is there is taken as it is.
options:
  runs_dir:
    description: Where run folders are made.
    type: path
    required: true
  case:
    description: Name of the case.
    type: str
    required: true
  run_id:
    description: Name of the run.
    type: str
    required: true
attributes:
  check_mode: {support: none, description: The role leaves it out in check mode.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Make the folder
  awsome.distributed_training.run_folder:
    runs_dir: runs
    case: fsdp
    run_id: 20261124T200000Z-1a2b
"""

RETURN = r"""
path:
  description: The folder.
  returned: always
  type: str
"""
