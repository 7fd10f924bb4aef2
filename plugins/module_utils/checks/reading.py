# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Reads what checks ask for on the machine that this runs on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import component, node
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    File,
    Probe,
    Reading,
    record,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_TIMED_OUT = 124


def read(probe: Probe) -> Reading:
    """What a probe gives here."""
    if isinstance(probe, Command):
        return _ran(probe)
    try:
        if isinstance(probe, File):
            with open(probe.path, encoding="utf-8", errors="replace") as file:
                return Reading(0, file.read())
        return Reading(0, "".join(f"{name}\n" for name in sorted(os.listdir(probe.path))))
    except (FileNotFoundError, NotADirectoryError):
        return Reading(None)
    except OSError as error:
        return Reading(1, "", str(error))


def environment() -> dict[str, str]:
    """The variables that commands run with: messages in English, and the folders of a system's own programs."""
    path = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    path += [folder for folder in _FOLDERS if folder not in path]
    return {**os.environ, "LC_ALL": "C", "PATH": os.pathsep.join(path)}


def _ran(command: Command) -> Reading:
    try:
        ran = subprocess.run(
            command.argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            timeout=command.timeout_s,
            check=False,
        )
    except (FileNotFoundError, NotADirectoryError):
        return Reading(None)
    except subprocess.TimeoutExpired:
        return Reading(_TIMED_OUT, "", f"no answer within {command.timeout_s:g} s")
    except OSError as error:
        return Reading(126, "", str(error))
    return Reading(ran.returncode, ran.stdout.decode(errors="replace"), ran.stderr.decode(errors="replace"))


def text(path: str) -> str:
    """A file's text; empty where there is none.

    :raises OSError: it is there, and this user may not read it.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def machine(
    instance_type: str | None, types: Mapping[str, Any], xids: Mapping[str, Any], python: str | None = None
) -> dict[str, Any]:
    """What is known of this machine without a record; see record.machine.

    :param instance_type: None for what the firmware states.
    """
    fields = component.fields_of(text("/etc/os-release"))
    try:
        system = component.system_of(fields, "checks")
    except TrainingError:  # its GPUs can be checked all the same
        system = ""
    return record.machine(
        system,
        platform.machine(),
        platform.release(),
        instance_type or node.instance_type_here(),
        types,
        xids,
        python,
    )
