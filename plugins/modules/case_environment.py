#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module case_environment."""

from __future__ import annotations

DOCUMENTATION = r"""
module: case_environment
short_description: The Python environment of a test case, from its lock file
version_added: 0.1.0
description:
  - Builds a virtual environment in the cache, keyed by lock files and interpreter. One that is there is not touched.
  - Without a GPU, takes the CPU build of the lock's framework where this machine's package configuration offers one.
options:
  cache:
    description: The cache folder.
    type: path
    required: true
  lock:
    description: Lock file with digests.
    type: path
    required: true
  cpu_lock:
    description: Lock file of everything but the framework, for its CPU build. Give it only for nodes without a GPU.
    type: path
  python:
    description: The interpreter to build from; its default is the one that runs the module.
    type: path
  link:
    description: A link to the environment, to be made or mended.
    type: path
attributes:
  check_mode: {support: full, description: Says whether the environment is there and what building it would take.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Build the environment
  awsome.distributed_training.case_environment:
    cache: ~/.cache/awsome-distributed-training
    lock: test_cases/pytorch/requirements.lock
"""

RETURN = r"""
complete: {description: Whether environment and link are there., returned: always, type: bool}
path: {description: The environment., returned: always, type: str}
interpreter: {description: Its interpreter., returned: always, type: str}
size: {description: "What building it downloads and takes, where it is not there.", returned: always, type: str}
record: {description: "What it holds; null where it is not there.", returned: always, type: dict}
"""

import os
import sys

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils.case_environment import (
    CaseEnvironment,
    stated_size,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def _points_at(link: str, target: str) -> bool:
    return os.path.islink(link) and os.readlink(link) == target


def _point_at(link: str, target: str) -> None:
    """Make the link, or replace it in one move: a job may be using it."""
    part = f"{link}.{os.getpid()}"
    os.symlink(target, part)
    os.replace(part, link)


def main() -> None:
    """Find the environment, or build it."""
    module = AnsibleModule(
        argument_spec={
            "cache": {"type": "path", "required": True},
            "lock": {"type": "path", "required": True},
            "cpu_lock": {"type": "path"},
            "python": {"type": "path"},
            "link": {"type": "path"},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        environment = CaseEnvironment(
            options["cache"], options["lock"], options["cpu_lock"], options["python"] or sys.executable
        )
        record = environment.record()
        is_linked = options["link"] is None or _points_at(options["link"], environment.path)
        changed = record is None or not is_linked
        size = ""
        if record is None:
            cpu = environment.cpu_offer()
            size = stated_size((environment.cpu_lock if cpu else None) or environment.lock)
            if not module.check_mode:
                record = environment.build()
        if not is_linked and not module.check_mode:
            _point_at(options["link"], environment.path)
    except (TrainingError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        complete=not changed or not module.check_mode,
        path=environment.path,
        interpreter=environment.interpreter,
        size=size,
        record=record,
    )


if __name__ == "__main__":
    main()
