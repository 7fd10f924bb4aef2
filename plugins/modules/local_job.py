#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module local_job."""

from __future__ import annotations

DOCUMENTATION = r"""
module: local_job
short_description: Start or stop the job of a run folder on this machine
version_added: 0.1.0
description:
  - Starts C(job.sh) of a run folder in a session of its own, or asks it to save and stop.
  - Idempotent by run folder. A job that runs is not started a second time; one that ended is not stopped again.
options:
  run_dir:
    description: The run folder, which holds C(job.sh). Gets C(job.json) and C(log.txt).
    type: path
    required: true
  state:
    description: What the job shall be.
    type: str
    choices: [started, stopped]
    default: started
  supervisor:
    description: Path of the program that runs the job and notes its end. Needed with O(state=started).
    type: path
  owner:
    description: The job is asked to save and stop when this process ends. V(0) means never.
    type: int
    default: 0
  environment_names:
    description: Names of the variables that the job inherits; a name that ends in C(*) stands for all that begin so.
    type: list
    elements: str
    default: []
  grace_s:
    description: Seconds that a job has to save before it is killed, with O(state=stopped).
    type: int
    default: 600
attributes:
  check_mode: {support: full, description: Says what would change and changes nothing.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Ask the job to save and stop
  awsome.distributed_training.local_job:
    run_dir: runs/fsdp/20261123T200000Z-1a2b
    state: stopped
"""

RETURN = r"""
job:
  description: The job's state as in RV(job.state), V(absent) when it was never started.
  returned: always
  type: dict
log_bytes:
  description: What the log held before; the job's own lines begin there.
  returned: always
  type: int
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils.local_job import (
    CANCELLED,
    is_alive,
    read_job,
)

_START_S = 10.0


def start(run_dir: str, supervisor: str, owner: int, names: list[str]) -> dict[str, Any]:
    """Start the supervisor and wait until it has noted the job."""
    before = read_job(run_dir)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(run_dir, CANCELLED))
    process = subprocess.Popen(
        [sys.executable, supervisor, run_dir, str(owner), ",".join(names)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        job = read_job(run_dir)
        if job != before and job["state"] != "absent":
            return job
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise OSError(f"{run_dir}: the job did not start within {_START_S:.0f} s")


def stop(run_dir: str, grace_s: int) -> dict[str, Any]:
    """SIGTERM to the job's processes, SIGKILL to those that are left after the grace."""
    job = read_job(run_dir)
    with open(os.path.join(run_dir, CANCELLED), "w", encoding="utf-8"):
        pass  # noted first: whoever follows the job sees it when the job ends
    _signal(job, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while is_alive(read_job(run_dir)):
        if time.monotonic() > deadline:
            _signal(job, signal.SIGKILL)
            deadline += 10
        time.sleep(0.1)
    return read_job(run_dir)


def _signal(job: dict[str, Any], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
        os.killpg(job["pid"], number)


def main() -> None:
    """Compare the job with the wish, and act on the difference."""
    module = AnsibleModule(
        argument_spec={
            "run_dir": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "supervisor": {"type": "path"},
            "owner": {"type": "int", "default": 0},
            "environment_names": {"type": "list", "elements": "str", "default": []},
            "grace_s": {"type": "int", "default": 600},
        },
        required_if=[("state", "started", ["supervisor"])],
        supports_check_mode=True,
    )
    options = module.params
    job = read_job(options["run_dir"])
    log = os.path.join(options["run_dir"], "log.txt")
    log_bytes = os.path.getsize(log) if os.path.exists(log) and not is_alive(job) else 0
    changed = is_alive(job) == (options["state"] == "stopped")
    if changed and not module.check_mode:
        try:
            if options["state"] == "started":
                job = start(options["run_dir"], options["supervisor"], options["owner"], options["environment_names"])
            else:
                job = stop(options["run_dir"], options["grace_s"])
        except OSError as error:
            module.fail_json(msg=f"{options['run_dir']}: the job could not be {options['state']}: {error}")
    module.exit_json(changed=changed, job=job, log_bytes=log_bytes)


if __name__ == "__main__":
    main()
