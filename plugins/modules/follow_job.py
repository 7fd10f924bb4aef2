#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action follow_job; the work is done in plugins/action/follow_job.py, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: follow_job
short_description: Show how far a job is until it ends
version_added: 0.1.0
description:
  - Looks at a job again and again and shows step, loss, throughput, MFU and the time left.
  - A connection that is lost, or an engine that gives no answer, is waited for a quarter of an hour; the job goes on.
options:
  look:
    description: Module that looks at the job once; returns C(job), C(text) and C(offset).
    type: str
    required: true
  look_args:
    description: Its arguments.
    type: dict
    required: true
  offset:
    description: Byte of the log at which to begin.
    type: int
    default: 0
  log:
    description: File on the controller that gets the job's log, where the job does not write that very file.
    type: path
  interval_s:
    description: Seconds between two looks.
    type: float
    required: true
  say:
    description: Lines to show first.
    type: list
    elements: str
    default: []
attributes:
  check_mode: {support: full, description: The action only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Follow the job
  awsome.distributed_training.follow_job:
    look: awsome.distributed_training.local_job_info
    look_args: {run_dir: runs/fsdp/latest}
    log:
    description: File on the controller that gets the job's log, where the job does not write that very file.
    type: path
  interval_s: 2
"""

RETURN = r"""
job:
  description: The job, ended.
  returned: always
  type: dict
"""
