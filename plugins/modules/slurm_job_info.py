#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module slurm_job_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_job_info
short_description: One look at the Slurm jobs of a run folder
version_added: 0.1.0
description:
  - Returns the jobs' state and the lines that their log has gained since an earlier look.
  - A run has ended when the accounting says how. A cluster without accounting is asked its controller, and after that
    has forgotten the job, the job's own last word is taken. That a job left the queue says nothing.
options:
  run_dir:
    description: The run folder on the cluster.
    type: path
    required: true
  offset:
    description: Where in the log to begin, in bytes, as RV(offset) of the look before.
    type: int
    default: 0
  prefix:
    description: Folder that holds C(bin) with Slurm's commands, such as C(/opt/slurm). Empty takes the PATH.
    type: path
    default: ""
attributes:
  check_mode: {support: full, description: The module only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: See how far the run is
  awsome.distributed_training.slurm_job_info:
    run_dir: /fsx/adt-trainer/runs/fsdp/20261123T200000Z-1a2b
  register: look
"""

RETURN = r"""
job:
  description: The run's jobs as one.
  returned: always
  type: dict
  contains:
    state: {description: "V(absent), V(running) or V(exited).", type: str, returned: always}
    note: {description: One line for a person., type: str, returned: always}
    jobs:
      description: Each job with C(id), C(name), C(state), C(reason), C(restarts) and C(nodes).
      type: list
      returned: always
    exit_status:
      description: Of the job that decides; null where Slurm ended it.
      type: int
      returned: once exited
    problem: {description: "What Slurm did to the job, or null.", type: str, returned: once exited}
    fix: {description: What to do about that., type: str, returned: once exited}
    started: {description: "Seconds since 1970.", type: float, returned: once started}
    ended: {description: "Seconds since 1970.", type: float, returned: once exited}
    cancelled: {description: Whether its user stopped it., type: bool, returned: always}
text:
  description: The log's new lines.
  returned: always
  type: str
offset:
  description: Where the next look begins, in bytes.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.slurm_commands import Slurm, look


def main() -> None:
    """Ask and return."""
    module = AnsibleModule(
        argument_spec={
            "run_dir": {"type": "path", "required": True},
            "offset": {"type": "int", "default": 0},
            "prefix": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        looked = look(Slurm(options["prefix"]), options["run_dir"], options["offset"])
    except (TrainingError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **looked)


if __name__ == "__main__":
    main()
