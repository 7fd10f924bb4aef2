# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of a node: what to read, and what it says. Standard library only: Ansible and a zipapp run the same files.

A check names what it reads (commands, files, folders) and judges that; it runs nothing itself. Who runs it hands in a
reader: a module reads its own node, tests/node a container.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Union

PASS, FAIL, SKIP = "pass", "fail", "skip"


@dataclass(frozen=True)
class Command:
    """A program to run; it only reads.

    :param timeout_s: it is ended after this, and counts as one that failed.
    :param may_lack: where the program is not there, the check itself says what that means; else the check fails.
    """

    argv: tuple[str, ...]
    timeout_s: float = 30.0
    may_lack: bool = False


@dataclass(frozen=True)
class File:
    """A text file."""

    path: str
    may_lack: bool = True


@dataclass(frozen=True)
class Folder:
    """The names in a folder, one a line."""

    path: str
    may_lack: bool = True


Probe = Union[Command, File, Folder]
"""What a check reads."""


@dataclass(frozen=True)
class Reading:
    """What a probe gave.

    :param status: of a command; 0 for a file or a folder that is there; None for what is not there.
    """

    status: int | None
    out: str = ""
    err: str = ""

    @property
    def there(self) -> bool:
        """Whether the program, file or folder is there."""
        return self.status is not None

    @property
    def lines(self) -> list[str]:
        """The lines, without blank ones."""
        return [line for line in self.out.splitlines() if line.strip()]


Readings = Mapping[str, Reading]
Expected = Mapping[str, Any]
"""What a node is meant to be; what is not known is left out.

``system`` (such as ubuntu2204), ``arch``, ``kernel``, ``versions`` {component: version}, ``packages`` {component:
{package: version}}, ``instance`` (an entry of data/instance_types.yml), ``xids`` (the entries of data/xids.yml), and
under a group's name what the role of that name, or who asks, says of it.
"""
Reader = Callable[[Probe], Reading]


@dataclass(frozen=True)
class Judgement:
    """A verdict, and what it rests on.

    :param value: what was found.
    :param limit: what it is held to.
    :param reason: one line; for a skip, what is not known.
    :param fix: what to do; for a failure.
    """

    verdict: str
    value: str = ""
    limit: str = ""
    reason: str = ""
    fix: str = ""
    unit: str = ""


def passed(value: object = "", limit: object = "", reason: str = "", unit: str = "") -> Judgement:
    """It is as it should be."""
    return Judgement(PASS, str(value), str(limit), reason, "", unit)


def failed(reason: str, fix: str, value: object = "", limit: object = "", unit: str = "") -> Judgement:
    """It is not; ``fix`` says what to do."""
    return Judgement(FAIL, str(value), str(limit), reason, fix, unit)


def skipped(reason: str) -> Judgement:
    """It cannot be judged, and why."""
    return Judgement(SKIP, reason=reason)


@dataclass(frozen=True)
class Check:
    """A check of a node.

    :param id: ``<group>.<what>``; a group is a role of that name, or a part of the node, such as gpu.
    :param about: what holds where it passes, in a few words.
    :param reads: name of each reading: its probe; from what is expected.
    :param judge: pure.
    :param needs: keys of Expected, dotted, without which it is skipped: nothing passes for want of data.
    :param role: the role that brings the programs it runs; that of the group's name without it.
    """

    id: str
    about: str
    reads: Callable[[Expected], Mapping[str, Probe]]
    judge: Callable[[Readings, Expected], Judgement]
    needs: tuple[str, ...] = ()
    role: str = ""

    @property
    def group(self) -> str:
        """What it is a part of."""
        return self.id.partition(".")[0]


@dataclass(frozen=True)
class Result:
    """What one check says of one node."""

    id: str
    node: str
    verdict: str
    value: str = ""
    limit: str = ""
    reason: str = ""
    fix: str = ""
    unit: str = ""

    def as_dict(self) -> dict[str, str]:
        """Plain values."""
        return asdict(self)

    def __str__(self) -> str:
        fix = f"; fix: {self.fix}" if self.fix else ""
        return f"{self.id}: {self.reason or self.value}{fix}"


def expected_value(expected: Expected, key: str) -> Any:
    """A dotted key of what is expected; None where it is not known."""
    value: Any = expected
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def run(check: Check, expected: Expected, read: Reader, node: str = "") -> Result:
    """Run one check. What cannot be read fails, unless the check itself knows what that means."""
    judgement = _judgement(check, expected, read)
    return Result(check.id, node, **{key: _one_line(value) for key, value in asdict(judgement).items()})


def run_all(
    checks: Iterable[Check],
    expected: Expected,
    read: Reader,
    node: str = "",
    wait_s: float = 0.0,
    clock: Clock | None = None,
) -> list[Result]:
    """Run checks; those that fail are run again until ``wait_s`` has passed. What several read is read once."""
    time_of = clock or Clock()
    end = time_of.now() + wait_s
    ordered = list(checks)
    once = remembered(read)
    results = {check.id: run(check, expected, once, node) for check in ordered}
    while wait_s and time_of.now() < end and any(result.verdict == FAIL for result in results.values()):
        time_of.sleep(1.0)
        once = remembered(read)
        for check in ordered:
            if results[check.id].verdict == FAIL:
                results[check.id] = run(check, expected, once, node)
    return list(results.values())


def remembered(read: Reader) -> Reader:
    """A reader that reads each probe once."""
    known: dict[Probe, Reading] = {}

    def once(probe: Probe) -> Reading:
        if probe not in known:
            known[probe] = read(probe)
        return known[probe]

    return once


@dataclass(frozen=True)
class Clock:
    """The time, which tests replace."""

    now: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)


def _judgement(check: Check, expected: Expected, read: Reader) -> Judgement:
    unknown = [key for key in check.needs if expected_value(expected, key) in (None, "", {}, [])]
    if unknown:
        return skipped(f"not known: {', '.join(unknown)}")
    readings = {}
    for name, probe in check.reads(expected).items():
        readings[name] = read(probe)
        if not readings[name].there and not probe.may_lack:
            what = probe.argv[0] if isinstance(probe, Command) else probe.path
            return failed(f"there is no {what}", f"apply role {check.role or check.group}")
    try:
        return check.judge(readings, expected)
    except (ValueError, KeyError, IndexError) as error:
        return failed(f"what was read makes no sense: {error!r}", "run the command by hand, and report what it prints")


def _one_line(value: str) -> str:
    return " ".join(value.split())
