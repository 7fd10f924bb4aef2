# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role node_checks.

What the role says of itself under ``node_checks`` in Expected: ``version`` of the program, ``boot``, and ``prolog``, a
path or nothing, with ``prolog_text``.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Judgement,
    Probe,
    Readings,
    failed,
    passed,
    skipped,
)

_AGAIN = "apply role node_checks"
_SHOWN = Command(("systemctl", "show", "--property=LoadState,UnitFileState", "adt-checks.service"))


def _version(readings: Readings, expected: Expected) -> Judgement:
    wanted, found = expected["node_checks"]["version"], readings["version"].out.strip()
    if found != wanted:
        return failed(f"adt-checks is {found or 'broken'}, not {wanted}", _AGAIN, found, wanted)
    return passed(found, wanted)


def _boot(readings: Readings, expected: Expected) -> Judgement:
    shown = dict(line.partition("=")[::2] for line in readings["unit"].lines)
    state = shown.get("UnitFileState") or shown.get("LoadState", "")
    wanted = "enabled" if expected["node_checks"]["boot"] else "not there"
    if expected["node_checks"]["boot"] != (state == "enabled"):
        return failed(f"adt-checks.service is {state}, not {wanted}", _AGAIN, state, wanted)
    return passed(state, wanted)


def _prolog_read(expected: Expected) -> Mapping[str, Probe]:
    path = expected["node_checks"].get("prolog")
    return {"prolog": File(path), "mode": Command(("stat", "--format=%a %U", path))} if path else {}


def _prolog(readings: Readings, expected: Expected) -> Judgement:
    path = expected["node_checks"].get("prolog")
    if not path:
        return skipped("no prolog was asked for")
    if not readings["prolog"].there:
        return failed(f"there is no {path}", _AGAIN, "", path)
    if readings["prolog"].out != expected["node_checks"]["prolog_text"]:
        return failed(f"{path} says something else", _AGAIN, "", path)
    if readings["mode"].out.strip() != "755 root":
        return failed(f"Slurm cannot run {path}", _AGAIN, readings["mode"].out.strip(), "755 root")
    return passed(path, path)


CHECKS = (
    Check(
        "node_checks.program",
        "program adt-checks is there and is of this version of the registry",
        lambda expected: {"version": Command(("/usr/local/sbin/adt-checks", "--version"))},
        _version,
        ("node_checks.version",),
    ),
    Check(
        "node_checks.boot",
        "the node checks itself at boot, or does not, as asked",
        lambda expected: {"unit": _SHOWN},
        _boot,
        ("node_checks",),
    ),
    Check(
        "node_checks.prolog",
        "Slurm's prolog checks the node",
        _prolog_read,
        _prolog,
        ("node_checks",),
    ),
)
