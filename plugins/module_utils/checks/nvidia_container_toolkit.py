# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role nvidia_container_toolkit.

Expected has ``nvidia_container_toolkit``: ``docker``, whether Docker gives containers their GPUs.
"""

from __future__ import annotations

import re

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Folder,
    Judgement,
    Readings,
    common,
    docker,
    failed,
    passed,
    skipped,
)

_ROLE = "nvidia_container_toolkit"
_AGAIN = f"apply role {_ROLE}"
_RULE = "/etc/udev/rules.d/71-nvidia-dev-char.rules"
_DRIVER = File("/proc/driver/nvidia/version")
_CONTROL = "195:255"
"""/dev/nvidiactl: character device 195, 255 (Linux Documentation/admin-guide/devices.txt)."""
_UNIT = "nvidia-cdi-refresh.path"


def _version(readings: Readings, expected: Expected) -> Judgement:
    wanted, told = expected["versions"][_ROLE], readings["version"]
    found = re.search(r"version (\S+)", told.out)
    if told.status != 0 or not found:
        said = [*told.err.split("\n"), *told.lines]
        return failed(f"nvidia-ctk does not run: {next(filter(None, said), told.status)}", _AGAIN, limit=wanted)
    return common.judge_version(found[1], wanted, "nvidia-ctk is {}", _ROLE)


def _links(readings: Readings, expected: Expected) -> Judgement:
    rules = [line for line in readings["rule"].lines if not line.startswith("#")]
    if not any("create-dev-char-symlinks" in line for line in rules):
        return failed(f"{_RULE} does not link the devices: GPUs get lost at a daemon-reload", _AGAIN)
    if readings["driver"].there and _CONTROL not in readings["links"].lines:
        return failed(
            f"a driver is loaded, but /dev/char has no {_CONTROL}: GPUs get lost at a daemon-reload",
            "nvidia-ctk system create-dev-char-symlinks --create-all",
        )
    return passed("linked" if readings["driver"].there else "linked once a driver is loaded")


def _refresh(readings: Readings, expected: Expected) -> Judgement:
    shown = dict(line.partition("=")[::2] for line in readings["unit"].lines)
    wanted = "active, enabled"
    if shown.get("LoadState") != "loaded":
        return skipped(f"this toolkit has no {_UNIT}: it came with 1.18")
    state = f"{shown.get('ActiveState')}, {shown.get('UnitFileState')}"
    if state != wanted:
        return failed(f"{_UNIT} is {state}", f"systemctl enable --now {_UNIT}", state, wanted)
    return passed(state, wanted)


def _specification(readings: Readings, expected: Expected) -> Judgement:
    if not readings["driver"].there:
        return skipped("no NVIDIA driver is loaded")
    devices = [line.strip() for line in readings["devices"].lines if line.startswith("nvidia.com/gpu=")]
    if "nvidia.com/gpu=all" not in devices:
        return failed(
            "no CDI specification has the device nvidia.com/gpu=all",
            "systemctl start nvidia-cdi-refresh; journalctl --unit nvidia-cdi-refresh",
            ", ".join(devices),
            "nvidia.com/gpu=all",
        )
    return passed(f"{len(devices)} devices", "nvidia.com/gpu=all")


def _docker(readings: Readings, expected: Expected) -> Judgement:
    if not expected[_ROLE]["docker"]:
        return skipped("Docker gives no GPUs here")
    info, problem = docker.engine(readings["info"])
    if problem:
        return failed(f"the engine does not answer: {problem}", "journalctl --unit docker")
    runtimes = info.get("Runtimes") or {}
    path = (runtimes.get("nvidia") or {}).get("path", "")
    if path.rpartition("/")[2] != "nvidia-container-runtime":
        return failed(
            f"the engine that runs has no runtime nvidia, but {', '.join(sorted(runtimes)) or 'none'}",
            f"systemctl restart docker; or {_AGAIN}",
            path,
            "nvidia-container-runtime",
        )
    if not info.get("CDISpecDirs"):
        return failed(
            "the engine that runs gives no devices by CDI", f"Docker 25 or newer; or {_AGAIN}", info["ServerVersion"]
        )
    return passed(f"{path}, CDI from {', '.join(info['CDISpecDirs'])}")


CHECKS = (
    common.packages(_ROLE, _ROLE),
    common.repository(_ROLE, _ROLE),
    Check(
        f"{_ROLE}.version",
        "nvidia-ctk runs, and has its version",
        lambda expected: {"version": Command(("nvidia-ctk", "--version"))},
        _version,
        needs=(f"versions.{_ROLE}",),
    ),
    Check(
        f"{_ROLE}.links",
        "a daemon-reload takes no GPU from a container",
        lambda expected: {"rule": File(_RULE), "driver": _DRIVER, "links": Folder("/dev/char")},
        _links,
    ),
    Check(
        f"{_ROLE}.refresh",
        "the devices' specification is written again whenever the driver changes",
        lambda expected: {
            "unit": Command(("systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", _UNIT))
        },
        _refresh,
    ),
    Check(
        f"{_ROLE}.specification",
        "the devices have a CDI specification",
        lambda expected: {"driver": _DRIVER, "devices": Command(("nvidia-ctk", "cdi", "list"))},
        _specification,
    ),
    Check(
        f"{_ROLE}.docker",
        "the engine that runs has NVIDIA's runtime, and gives devices by CDI",
        lambda expected: {"info": docker.INFO} if expected[_ROLE]["docker"] else {},
        _docker,
        needs=(_ROLE,),
    ),
)
