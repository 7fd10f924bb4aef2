"""Checks of role node_checks."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    File,
    Probe,
    Reading,
    registry,
)

PROLOG = "/etc/slurm/prolog.d/50-adt-checks"
TEXT = "#!/bin/sh\nexec /usr/local/sbin/adt-checks --tags=gpu --drain\n"
EXPECTED: dict[str, Any] = {
    "node_checks": {"version": "0.1.0+abc", "boot": True, "prolog": PROLOG, "prolog_text": TEXT},
}
SOUND = {
    "/usr/local/sbin/adt-checks": Reading(0, "0.1.0+abc\n"),
    "systemctl": Reading(0, "LoadState=loaded\nUnitFileState=enabled\n"),
    PROLOG: Reading(0, TEXT),
    "stat": Reading(0, "755 root\n"),
}


def said(name: str, changed: dict[str, Reading] | None = None, **own: Any) -> checks.Result:
    answers = {**SOUND, **(changed or {})}

    def read(probe: Probe) -> Reading:
        if isinstance(probe, Command):
            return answers[probe.argv[0]]
        assert isinstance(probe, File)
        return answers[probe.path]

    expected = {"node_checks": {**EXPECTED["node_checks"], **own}}
    return checks.run(registry.CHECKS[f"node_checks.{name}"], expected, read)


@pytest.mark.parametrize("name", ["program", "boot", "prolog"])
def test_a_node_as_the_role_left_it_passes(name: str) -> None:
    assert said(name).verdict == "pass"


@pytest.mark.parametrize(
    ("name", "changed", "reason"),
    [
        ("program", {"/usr/local/sbin/adt-checks": Reading(0, "0.0.9\n")}, "adt-checks is 0.0.9, not 0.1.0+abc"),
        ("program", {"/usr/local/sbin/adt-checks": Reading(126)}, "adt-checks is broken, not 0.1.0+abc"),
        (
            "boot",
            {"systemctl": Reading(0, "LoadState=loaded\nUnitFileState=disabled\n")},
            "adt-checks.service is disabled, not enabled",
        ),
        (
            "boot",
            {"systemctl": Reading(0, "LoadState=not-found\nUnitFileState=\n")},
            "adt-checks.service is not-found, not enabled",
        ),
        ("prolog", {PROLOG: Reading(None)}, f"there is no {PROLOG}"),
        ("prolog", {PROLOG: Reading(0, "exit 0\n")}, f"{PROLOG} says something else"),
        ("prolog", {"stat": Reading(0, "644 root\n")}, f"Slurm cannot run {PROLOG}"),
    ],
)
def test_what_is_wrong_is_named(name: str, changed: dict[str, Reading], reason: str) -> None:
    result = said(name, changed)
    assert (result.verdict, result.reason, result.fix) == ("fail", reason, "apply role node_checks")


def test_what_was_not_asked_for_is_not_there() -> None:
    absent = Reading(0, "LoadState=not-found\nUnitFileState=\n")
    assert said("boot", {"systemctl": absent}, boot=False).verdict == "pass"
    assert said("boot", boot=False).verdict == "fail"
    assert said("prolog", prolog="").reason == "no prolog was asked for"
