#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module docker_engine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_engine
short_description: Start Docker Engine where it is installed
version_added: 0.1.0
description:
  - Uses an engine that answers. Starts one that is installed, by systemd where that runs, else by hand.
  - An engine that was started by hand outlives the play. Idempotent.
options:
  log:
    description: What an engine that is started by hand writes goes here.
    type: path
    default: /var/log/dockerd.log
  wait_s:
    description: Seconds within which the engine answers.
    type: int
    default: 60
attributes:
  check_mode: {support: full, description: Says whether the engine would be started.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Start Docker Engine
  awsome.distributed_training.docker_engine:
"""

RETURN = r"""
engine:
  description: What was found; V(running), V(stopped) or V(missing). One that is missing is no failure.
  returned: always
  type: str
"""

import os
import shutil
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils.docker import docker, last_line
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def answer() -> str:
    """Why the engine does not answer; empty when it does."""
    try:
        docker("version", "--format", "{{.Server.Version}}")
    except TrainingError as error:
        return str(error)
    return ""


def look() -> str:
    """State of the engine: running, stopped or missing."""
    if shutil.which("docker") is None:
        return "missing"
    refusal = answer()
    if not refusal:
        return "running"
    if "permission denied" in refusal.lower():
        raise TrainingError(
            f"Docker Engine runs, and does not let this user in ({refusal})",
            "sudo usermod -aG docker $USER, then log in again",
        )
    if os.environ.get("DOCKER_HOST"):
        raise TrainingError(
            f"no Docker Engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']} ({refusal})", "unset DOCKER_HOST"
        )
    return "stopped" if shutil.which("dockerd") else "missing"


def start(log: str, wait_s: int) -> None:
    """Start the engine and wait until it answers."""
    if os.geteuid() != 0:
        raise TrainingError(
            "Docker Engine is installed and not running, and only root can start it", "start it as root"
        )
    process = None
    if os.path.isdir("/run/systemd/system"):
        ran = subprocess.run(["systemctl", "start", "docker"], capture_output=True, text=True, check=False)
        if ran.returncode:
            raise TrainingError(f"systemctl start docker: {last_line(ran.stderr)}", "look at journalctl -u docker")
    else:
        with open(log, "ab") as file:
            process = subprocess.Popen(
                ["dockerd"], stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, cwd="/"
            )
    deadline = time.monotonic() + wait_s
    while answer():
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            said = "it does not answer"
            if process is not None:
                with open(log, encoding="utf-8", errors="replace") as file:
                    said = last_line(file.read())
            what = "ended" if ended else f"does not answer after {wait_s} s"
            raise TrainingError(f"Docker Engine was started and {what}: {said}", f"look at {log}")
        time.sleep(0.2)


def main() -> None:
    """Look, and start what is stopped."""
    module = AnsibleModule(
        argument_spec={
            "log": {"type": "path", "default": "/var/log/dockerd.log"},
            "wait_s": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        engine = look()
        if engine == "stopped" and not module.check_mode:
            start(module.params["log"], module.params["wait_s"])
    except TrainingError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; fix: make it accessible to this user")
    module.exit_json(changed=engine == "stopped", engine=engine)


if __name__ == "__main__":
    main()
