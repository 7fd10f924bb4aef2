#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module slurm_job."""

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_job
short_description: Submit or cancel the Slurm jobs of a run folder
version_added: 0.1.0
description:
  - Submits the batch scripts of a run folder, each to start when the one before it ended well; or stops them.
  - Idempotent by run. Jobs that wait or run are not submitted a second time; those that have ended are not cancelled.
  - Removes C(secrets.sh) of the run folder where its jobs were refused or cancelled. A job that ends removes it itself.
  - Calls C(sbatch), C(squeue) and C(scancel) as the user who is connected. Needs no other right.
options:
  run_dir:
    description: The run folder, on a file system that the cluster shares. Gets C(slurm.json).
    type: path
    required: true
  state:
    description: What the jobs shall be.
    type: str
    choices: [submitted, cancelled]
    default: submitted
  jobs:
    description: The jobs in their order. Needed with O(state=submitted).
    type: list
    elements: dict
    suboptions:
      name: {description: "The job's name, which no other run has.", type: str, required: true}
      file: {description: Its script in the run folder., type: str, required: true}
      step: {description: The last step that it runs., type: str, required: true}
  prefix:
    description: Folder that holds C(bin) with Slurm's commands, such as C(/opt/slurm). Empty takes the PATH.
    type: path
    default: ""
  grace_s:
    description: Seconds that training has to save before its job is killed, with O(state=cancelled).
    type: int
    default: 600
attributes:
  check_mode: {support: full, description: Says what would change and changes nothing.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Submit a run
  awsome.distributed_training.slurm_job:
    run_dir: /fsx/adt-trainer/runs/fsdp/20261123T200000Z-1a2b
    jobs:
      - {name: fsdp-20261123t200000z-1a2b-train, file: job.sbatch, step: train}
"""

RETURN = r"""
jobs:
  description: The jobs, each with C(name), C(file), C(step) and C(id); check mode has no C(id) for new ones.
  returned: always
  type: list
  elements: dict
log_bytes:
  description: What the log held before jobs were submitted; their own lines begin there.
  returned: always
  type: int
"""

import contextlib
import json
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.local_job import CANCELLED
from ansible_collections.awsome.distributed_training.plugins.module_utils.slurm_commands import (
    STATE_FILE,
    Slurm,
    is_over,
    submitted,
)

Jobs = list[dict[str, Any]]
SECRETS = "secrets.sh"
"""In the run folder: a job removes it where it ends by itself, and the module where no job is left to do that."""


def submit(slurm: Slurm, run_dir: str, jobs: Jobs) -> Jobs:
    """sbatch every script, each behind the one before it; where one is refused, those before it are taken back."""
    done: Jobs = []
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(run_dir, CANCELLED))
    try:
        for job in jobs:
            behind = [f"--dependency=afterok:{done[-1]['id']}", "--kill-on-invalid-dep=yes"] if done else []
            printed = slurm.ask("sbatch", "--parsable", *behind, job["file"], cwd=run_dir)
            job_id = printed.strip().partition(";")[0]
            if not job_id.isdigit():
                raise TrainingError(
                    f"sbatch printed {job_id!r} instead of a job's number", "call it by hand in run_dir"
                )
            done.append({**job, "id": int(job_id)})
    except TrainingError:
        for job in done:
            slurm.cancel(job["id"])
        remove_secrets(run_dir)
        raise
    path = os.path.join(run_dir, STATE_FILE)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"jobs": done}, file)
    os.replace(path + ".new", path)
    return done


def remove_secrets(run_dir: str) -> None:
    """The values that were brought for the jobs go with them."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(run_dir, SECRETS))


def cancel(slurm: Slurm, run_dir: str, jobs: Jobs, grace_s: int) -> None:
    """Those that wait leave the queue; the one that runs is asked to save, and killed after the grace."""
    with open(os.path.join(run_dir, CANCELLED), "w", encoding="utf-8"):
        pass  # noted first: the job does not go back to the queue then
    for job in jobs:
        slurm.cancel(job["id"], "--state=PENDING")
        slurm.cancel(job["id"], "--state=RUNNING", "--signal=TERM")
    deadline = time.monotonic() + grace_s
    while not all(is_over(slurm, job["id"]) for job in jobs):
        if time.monotonic() > deadline:
            for job in jobs:
                slurm.cancel(job["id"])
            deadline += 60
        time.sleep(1)
        for job in jobs:  # one that Slurm was just queueing again
            slurm.cancel(job["id"], "--state=PENDING")


def main() -> None:
    """Compare the jobs with the wish, and act on the difference."""
    job = {name: {"type": "str", "required": True} for name in ("name", "file", "step")}
    module = AnsibleModule(
        argument_spec={
            "run_dir": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["submitted", "cancelled"], "default": "submitted"},
            "jobs": {"type": "list", "elements": "dict", "options": job},
            "prefix": {"type": "path", "default": ""},
            "grace_s": {"type": "int", "default": 600},
        },
        required_if=[("state", "submitted", ["jobs"])],
        supports_check_mode=True,
    )
    options, run_dir = module.params, module.params["run_dir"]
    slurm = Slurm(options["prefix"])
    try:
        jobs = submitted(run_dir)
        alive = [job for job in jobs if not is_over(slurm, job["id"])]
        log = os.path.join(run_dir, "log.txt")
        log_bytes = os.path.getsize(log) if os.path.exists(log) and not alive else 0
        if options["state"] == "submitted":
            changed = not alive
            if changed:
                jobs = options["jobs"] if module.check_mode else submit(slurm, run_dir, options["jobs"])
        else:
            changed = bool(alive) or os.path.exists(os.path.join(run_dir, SECRETS))
            if alive and not module.check_mode:
                cancel(slurm, run_dir, alive, options["grace_s"])
            if not module.check_mode:
                remove_secrets(run_dir)
    except (TrainingError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, jobs=jobs, log_bytes=log_bytes)


if __name__ == "__main__":
    main()
