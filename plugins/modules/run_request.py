#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action run_request; the work is done in plugins/action/run_request.py, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_request
short_description: Read the public variables of playbook run_test_case
version_added: 0.1.0
description:
  - Gives types and defaults to the variables.
  - Refuses those that are unknown, contradict each other or are misspelt.
options:
  case:
    description: Name of a test case, or the path of a folder that holds one.
    type: str
  preset:
    description: A preset of the case.
    type: str
  launcher:
    description: What starts the processes.
    type: str
  nodes:
    description: Number of nodes.
    type: int
  params:
    description: Parameters of the case, as C(name=value name=value) or a mapping.
    type: raw
  launcher_params:
    description: Parameters of the launcher, in the form of O(params).
    type: raw
  run_id:
    description: An earlier run, to go on with it.
    type: str
  runs_dir:
    description: Where run folders are made.
    type: path
  attach:
    description: Follow a run by its id.
    type: str
  cancel:
    description: Stop a run by its id.
    type: str
  detach:
    description: Start the run and leave it.
    type: bool
  render_to:
    description: Write the job to a folder and stop.
    type: path
  image:
    description: Container image.
    type: str
attributes:
  check_mode: {support: full, description: The action only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Read the request
  awsome.distributed_training.run_request:
    case: fsdp
"""

RETURN = r"""
request:
  description: Every variable, with C(act), one of V(run), V(render), V(attach) and V(cancel).
  returned: always
  type: dict
"""
