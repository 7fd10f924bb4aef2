#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module local_job_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: local_job_info
short_description: One look at the job of a run folder on this machine
version_added: 0.1.0
description:
  - Returns the job's state and the lines that its log has gained since an earlier look.
options:
  run_dir:
    description: The run folder.
    type: path
    required: true
  offset:
    description: Where in the log to begin, in bytes, as RV(offset) of the look before.
    type: int
    default: 0
attributes:
  check_mode: {support: full, description: The module only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: See how far the job is
  awsome.distributed_training.local_job_info:
    run_dir: runs/fsdp/latest
  register: look
"""

RETURN = r"""
job:
  description: The job; RV(job.state) is V(absent), V(running) or V(exited), the latter with C(exit_status).
  returned: always
  type: dict
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
from ansible_collections.awsome.distributed_training.plugins.module_utils.local_job import look


def main() -> None:
    """Read and return."""
    module = AnsibleModule(
        argument_spec={
            "run_dir": {"type": "path", "required": True},
            "offset": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **look(module.params["run_dir"], module.params["offset"]))


if __name__ == "__main__":
    main()
