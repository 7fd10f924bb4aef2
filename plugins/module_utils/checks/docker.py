# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role docker.

Expected has ``docker``: ``settings``, what /etc/docker/daemon.json shall hold beside what others put there.
"""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import json_settings
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Judgement,
    Reading,
    Readings,
    common,
    failed,
    passed,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

DAEMON = "/etc/docker/daemon.json"
INFO = Command(("docker", "info", "--format", "{{json .}}"))

TOLD = {
    "data-root": "DockerRootDir",
    "default-runtime": "DefaultRuntime",
    "live-restore": "LiveRestoreEnabled",
    "log-driver": "LoggingDriver",
    "storage-driver": "Driver",
}
"""Settings that a running engine tells, and as what: fields of docker info, own run of engine 20.10.24."""


def engine(reading: Reading) -> tuple[dict[str, Any], str]:
    """What the engine says of itself, or why it says nothing."""
    try:
        info = json.loads(reading.out or "{}")
    except ValueError:
        info = {}
    if reading.status == 0 and info.get("ServerVersion"):
        return info, ""
    # a client tells here why it reaches no engine, or in its error output: both forms are of client 28.2.2
    said = [*(info.get("ServerErrors") or []), *reading.err.splitlines()]
    return {}, next((line.strip() for line in said if line.strip()), f"docker info ended with {reading.status}")


def _engine(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["versions"]["docker"]
    info, problem = engine(readings["info"])
    if problem:
        return failed(f"the engine does not answer: {problem}", "journalctl --unit docker", limit=wanted)
    fix = "systemctl restart docker; or apply role docker with docker_preinstalled: replace"
    return common.judge_version(info["ServerVersion"], wanted, "the engine that runs is {}", "docker", fix)


def _settings(readings: Readings, expected: Expected) -> Judgement:
    settings = expected["docker"]["settings"]
    try:
        held = json_settings.parsed(readings["daemon"].out, DAEMON)
    except TrainingError as error:
        return failed(error.problem, error.fix)
    wanted = json_settings.merged(held, settings)
    other = sorted(name for name in settings if wanted[name] != held.get(name))
    if other:
        return failed(f"{DAEMON} has not what was asked for: {', '.join(other)}", "apply role docker")
    info, problem = engine(readings["info"])
    if problem:
        return failed(f"the engine does not answer: {problem}", "journalctl --unit docker")
    for name in sorted(set(settings) & set(TOLD)):
        told = info.get(TOLD[name])
        if told != settings[name]:
            return failed(
                f"the engine that runs has {name} {told}, not {settings[name]}",
                "systemctl restart docker",
                told,
                settings[name],
            )
    return passed(", ".join(sorted(settings)))


CHECKS = (
    common.packages("docker", "docker"),
    common.packages("docker", "containerd", "containerd_packages"),
    common.repository("docker", "docker"),
    common.repository("docker", "containerd", "containerd_repository"),
    common.service("docker", "containerd", "containerd"),
    common.service("docker", "docker"),
    Check(
        "docker.engine",
        "the engine answers, and the one that runs has its version",
        lambda expected: {"info": INFO},
        _engine,
        needs=("versions.docker",),
    ),
    Check(
        "docker.settings",
        "daemon.json has the settings, and the engine took them",
        lambda expected: {"daemon": File(DAEMON), "info": INFO},
        _settings,
        needs=("docker.settings",),
    ),
)
