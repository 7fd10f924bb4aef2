# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role pytorch_neuron."""

from __future__ import annotations

import re

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Judgement,
    Readings,
    failed,
    passed,
)

FOLDER = "/opt/adt/pytorch-neuron"

_AGAIN = "apply role pytorch_neuron"
_LOCK = File(f"{FOLDER}/adt.lock")
_FREEZE = Command((f"{FOLDER}/bin/python", "-m", "pip", "freeze", "--all"), timeout_s=60, may_lack=True)
# torch alone takes some seconds to load; nobody: what root may read says nothing of others
_IMPORT = Command(
    ("runuser", "-u", "nobody", "--", f"{FOLDER}/bin/python", "-B", "-c", "import torch, torch_neuronx"), timeout_s=120
)
_FOREIGN = Command(
    ("find", FOLDER, "(", "-not", "-user", "root", "-o", "-perm", "-0002", ")", "-not", "-type", "l", "-print", "-quit")
)
# name==version; what follows are digests. A line that holds for some systems only has a marker, and is not looked at
_LINE = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)(?![^\s;\\]|\s*;)", re.MULTILINE)


def _pinned(text: str) -> dict[str, str]:
    """Package and version; names as PEP 503 makes them alike."""
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in _LINE.findall(text)}


def _packages(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["versions"]["pytorch_neuron"]
    if not readings["lock"].there:
        return failed(f"{FOLDER} is not complete", _AGAIN, limit=wanted)
    locked, found = _pinned(readings["lock"].out), _pinned(readings["freeze"].out)
    if readings["freeze"].status != 0:
        return failed(f"{FOLDER}/bin/python does not run", f"remove {FOLDER}, and {_AGAIN}", limit=wanted)
    version = found.get("torch-neuronx", "none")
    if version.partition("+")[0] != wanted:
        fix = f"{_AGAIN} with pytorch_neuron_preinstalled: replace"
        return failed(f"torch-neuronx is {version}, not {wanted}", fix, version, wanted)
    other = [
        f"{name} {found.get(name, 'none')}, not {locked[name]}"
        for name in sorted(locked)
        if found.get(name) != locked[name]
    ]
    if other:
        return failed("; ".join(other), f"remove {FOLDER}, and {_AGAIN}", version, wanted)
    return passed(f"torch-neuronx {version}, {len(locked)} packages", wanted)


def _import(readings: Readings, expected: Expected) -> Judgement:
    told = readings["import"]
    if told.status != 0:
        lines = told.err.strip().splitlines()
        reason = lines[-1] if lines else f"status {told.status}"
        return failed(f"a user cannot import torch and torch_neuronx: {reason}", f"remove {FOLDER}, and {_AGAIN}")
    return passed("torch, torch_neuronx")


def _owner(readings: Readings, expected: Expected) -> Judgement:
    if readings["foreign"].status != 0:
        return failed(f"there is no {FOLDER}", _AGAIN, limit="root")
    if readings["foreign"].lines:
        path = readings["foreign"].lines[0]
        return failed(f"others than root may change {path}", f"remove {FOLDER}, and {_AGAIN}", path, "root")
    return passed("root", "root")


CHECKS = (
    Check(
        "pytorch_neuron.packages",
        "every package of the lock is there at its version, torch-neuronx at the stack's",
        lambda expected: {"lock": _LOCK, "freeze": _FREEZE},
        _packages,
        needs=("versions.pytorch_neuron",),
    ),
    Check(
        "pytorch_neuron.import",
        "a user can import torch and torch_neuronx",
        lambda expected: {"import": _IMPORT},
        _import,
    ),
    Check("pytorch_neuron.owner", "root alone may change it", lambda expected: {"foreign": _FOREIGN}, _owner),
)
