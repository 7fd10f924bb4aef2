#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action collect_run; the work is done in plugins/action/collect_run.py, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: collect_run
short_description: Judge a run and write its result and report
version_added: 0.1.0
description:
  - Cuts metrics.jsonl from the log, makes every check, writes result.json and report.html.
  - Fails where the run did not pass, with what training said of it or the first check that failed.
options:
  run_dir:
    description: The run folder.
    type: path
    required: true
  job:
    description: The job as RV(awsome.distributed_training.follow_job#module:job) gives it.
    type: dict
    required: true
  must_pass:
    description: Fail where the run did not pass.
    type: bool
    default: true
attributes:
  check_mode: {support: full, description: There is nothing to collect in check mode; the role leaves it out.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Judge the run
  awsome.distributed_training.collect_run:
    run_dir: runs/fsdp/latest
    job: "{{ followed.job }}"
"""

RETURN = r"""
result:
  description: What result.json holds.
  returned: always
  type: dict
report:
  description: Path of the report.
  returned: always
  type: str
"""
