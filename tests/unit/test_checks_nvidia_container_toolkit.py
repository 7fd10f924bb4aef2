"""Checks of role nvidia_container_toolkit.

Answers of "nvidia-ctk": reconstructed after NVIDIA/nvidia-container-toolkit d34b3046 (1.20). "docker info": fields of
an own run, client 28.2.2, engine 20.10.24; the runtime in it as nvidia-ctk configures it. "systemctl show",
"--version" of nvidia-ctk, /proc/driver/nvidia/version: from memory, compared with no tool.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    Folder,
    Probe,
    Reading,
    registry,
)

EXPECTED: dict[str, Any] = {
    "versions": {"nvidia_container_toolkit": "1.20.1"},
    "nvidia_container_toolkit": {"docker": True},
}
INFO: dict[str, Any] = {
    "ServerVersion": "29.8.1",
    "Runtimes": {"nvidia": {"path": "nvidia-container-runtime"}, "runc": {"path": "runc"}},
    "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"],
}
RULE = 'ACTION=="add", RUN+="/usr/bin/nvidia-ctk system create-dev-char-symlinks --create-all"\n'
GOOD: dict[str, Reading] = {
    "nvidia-ctk --version": Reading(0, "NVIDIA Container Toolkit CLI version 1.20.1\ncommit: 0123456789ab\n"),
    "nvidia-ctk cdi list": Reading(
        0,
        "nvidia.com/gpu=0\nnvidia.com/gpu=GPU-b08955b1-7055-b249-41fb-6fcc0cb5c2a9\nnvidia.com/gpu=all\n",
        'time="2026-11-25T08:00:00Z" level=info msg="Found 3 CDI devices"\n',
    ),
    "systemctl": Reading(0, "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"),
    "docker": Reading(0, json.dumps(INFO)),
    "/etc/udev/rules.d/71-nvidia-dev-char.rules": Reading(0, RULE),
    "/proc/driver/nvidia/version": Reading(0, "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.173.02\n"),
    "/dev/char": Reading(0, "1:3\n195:0\n195:254\n195:255\n"),
}
NO_DRIVER = {"/proc/driver/nvidia/version": Reading(None)}


def result(name: str, other: dict[str, Reading] | None = None, expected: dict[str, Any] | None = None) -> checks.Result:
    there = {**GOOD, **(other or {})}

    def read(probe: Probe) -> Reading:
        if not isinstance(probe, Command):
            assert isinstance(probe, Folder) == (probe.path == "/dev/char")
            return there[probe.path]
        words = " ".join(probe.argv)
        return there[words] if words in there else there[probe.argv[0]]

    check = registry.CHECKS[f"nvidia_container_toolkit.{name}"]
    return checks.run(check, EXPECTED if expected is None else expected, read)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", "1.20.1"),
        ("links", "linked"),
        ("refresh", "active, enabled"),
        ("specification", "3 devices"),
        ("docker", "nvidia-container-runtime, CDI from /etc/cdi, /var/run/cdi"),
    ],
)
def test_a_node_with_a_driver_passes(name: str, value: str) -> None:
    found = result(name)
    assert (found.verdict, found.value, found.reason) == ("pass", value, "")


def test_before_a_driver_is_loaded_the_rule_is_enough() -> None:
    found = result("links", {**NO_DRIVER, "/dev/char": Reading(0, "1:3\n")})
    assert (found.verdict, found.value) == ("pass", "linked once a driver is loaded")


@pytest.mark.parametrize(
    ("name", "other", "reason"),
    [
        (
            "version",
            {"nvidia-ctk --version": Reading(0, "NVIDIA Container Toolkit CLI version 1.17.7\n")},
            "nvidia-ctk is 1.17.7, not 1.20.1",
        ),
        (
            "version",
            {"nvidia-ctk --version": Reading(127, "", "error while loading shared libraries\n")},
            "nvidia-ctk does not run: error while loading shared libraries",
        ),
        ("version", {"nvidia-ctk --version": Reading(-9)}, "nvidia-ctk does not run: -9"),
        ("version", {"nvidia-ctk --version": Reading(None)}, "there is no nvidia-ctk"),
        (
            "links",
            {"/etc/udev/rules.d/71-nvidia-dev-char.rules": Reading(None)},
            "/etc/udev/rules.d/71-nvidia-dev-char.rules does not link the devices: GPUs get lost at a daemon-reload",
        ),
        (
            "links",
            {"/etc/udev/rules.d/71-nvidia-dev-char.rules": Reading(0, f"# {RULE}")},
            "/etc/udev/rules.d/71-nvidia-dev-char.rules does not link the devices: GPUs get lost at a daemon-reload",
        ),
        (
            "links",
            {"/dev/char": Reading(0, "1:3\n195:0\n")},
            "a driver is loaded, but /dev/char has no 195:255: GPUs get lost at a daemon-reload",
        ),
        (
            "refresh",
            {"systemctl": Reading(0, "LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\n")},
            "nvidia-cdi-refresh.path is inactive, enabled",
        ),
        (
            "refresh",
            {"systemctl": Reading(0, "LoadState=loaded\nActiveState=active\nUnitFileState=disabled\n")},
            "nvidia-cdi-refresh.path is active, disabled",
        ),
        (
            "specification",
            {"nvidia-ctk cdi list": Reading(0, "", 'level=info msg="Found 0 CDI devices"\n')},
            "no CDI specification has the device nvidia.com/gpu=all",
        ),
        (
            "docker",
            {"docker": Reading(0, json.dumps({**INFO, "Runtimes": {"runc": {"path": "runc"}}}))},
            "the engine that runs has no runtime nvidia, but runc",
        ),
        (
            "docker",
            {"docker": Reading(0, json.dumps({**INFO, "CDISpecDirs": None}))},
            "the engine that runs gives no devices by CDI",
        ),
        (
            "docker",
            {"docker": Reading(1, "", "Cannot connect to the Docker daemon\n")},
            "the engine does not answer: Cannot connect to the Docker daemon",
        ),
        ("docker", {"docker": Reading(None)}, "there is no docker"),
    ],
)
def test_what_is_not_as_it_should_be_fails(name: str, other: dict[str, Reading], reason: str) -> None:
    found = result(name, other)
    assert (found.verdict, found.reason) == ("fail", reason)
    assert found.fix


@pytest.mark.parametrize(
    ("name", "other", "expected", "reason"),
    [
        ("version", {}, {}, "not known: versions.nvidia_container_toolkit"),
        (
            "refresh",
            {"systemctl": Reading(0, "LoadState=not-found\n")},
            None,
            "this toolkit has no nvidia-cdi-refresh.path: it came with 1.18",
        ),
        ("specification", NO_DRIVER, None, "no NVIDIA driver is loaded"),
        ("docker", {}, {"nvidia_container_toolkit": {"docker": False}}, "Docker gives no GPUs here"),
        ("docker", {}, {}, "not known: nvidia_container_toolkit"),
    ],
)
def test_what_cannot_be_judged_is_skipped(
    name: str, other: dict[str, Reading], expected: dict[str, Any] | None, reason: str
) -> None:
    found = result(name, other, expected)
    assert (found.verdict, found.reason) == ("skip", reason)
