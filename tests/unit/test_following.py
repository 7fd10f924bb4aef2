# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Following a job: what is shown, what is copied, and connections that are lost; on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.following import (
    PATIENCE_S,
    Follower,
    LogCopy,
    NoAnswerError,
)

STEP = 'ADT_METRIC {{"kind": "step", "attempt": 1, "step": {step}, "steps": 9, "loss": 2.0}}\n'


class Cluster:
    """A job whose log is what ``log`` holds, with times at which it cannot be reached."""

    def __init__(self, log: str, looks_until_end: int = 3, most: int = 10_000) -> None:
        self.log, self.most = log.encode(), most
        self.looks_left = looks_until_end
        self.now = 0.0
        self.away: list[tuple[float, float]] = []
        self.shown: list[str] = []
        self.notes: list[str] = []

    def look(self, offset: int) -> dict[str, Any]:
        if any(begin <= self.now < end for begin, end in self.away):
            raise NoAnswerError("no route to host")
        self.looks_left -= 1
        state = "running" if self.looks_left > 0 else "exited"
        part = self.log[offset : offset + self.most]
        note = self.notes.pop(0) if self.notes else ""
        return {"job": {"state": state, "note": note}, "text": part.decode(), "offset": offset + len(part)}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def follow(self, show_from: int = 0, copy: LogCopy | None = None) -> dict[str, Any]:
        return Follower(self.look, self.shown.append, lambda: self.now, self.sleep).follow(show_from, 2.0, copy)


def steps(shown: list[str]) -> list[int]:
    return [int(line.split()[1].split("/")[0]) for line in shown if line.startswith("step ")]


def log(*numbers: int) -> str:
    return "".join(STEP.format(step=number) for number in numbers)


def test_every_step_is_shown_once_and_the_ended_job_is_returned() -> None:
    cluster = Cluster(log(0, 1, 2))
    assert cluster.follow()["state"] == "exited"
    assert steps(cluster.shown) == [0, 1, 2]


def test_what_an_ended_job_left_is_read_to_its_end() -> None:
    text = log(*range(9))
    cluster = Cluster(text, looks_until_end=1, most=len(log(0)))
    cluster.follow()
    assert steps(cluster.shown) == list(range(9))


def test_an_engines_word_is_shown_when_it_changes() -> None:
    cluster = Cluster("", looks_until_end=4)
    cluster.notes = ["job 7 PENDING (Priority)", "job 7 PENDING (Priority)", "job 7 RUNNING on c1", "job 7 COMPLETED"]
    cluster.follow()
    assert cluster.shown == ["job 7 PENDING (Priority)", "job 7 RUNNING on c1", "job 7 COMPLETED"]


@pytest.mark.parametrize("lost_s", [1.0, 300.0, PATIENCE_S - 40])
def test_a_lost_connection_is_survived(lost_s: float) -> None:
    cluster = Cluster(log(0, 1), looks_until_end=4)
    cluster.away = [(1.5, 1.5 + lost_s)]
    assert cluster.follow()["state"] == "exited"
    assert steps(cluster.shown) == [0, 1]
    told = [line for line in cluster.shown if "answer" in line]
    assert told[0] == "no answer: no route to host; the job goes on, trying again for 15 minutes"
    assert len(told) == 2
    assert told[1].startswith("an answer again, after ")


def test_two_losses_have_their_own_patience_each() -> None:
    cluster = Cluster("", looks_until_end=100)
    cluster.away = [(3.0, 600.0), (640.0, 1300.0)]
    assert cluster.follow()["state"] == "exited"
    assert sum(line.startswith("an answer again") for line in cluster.shown) == 2


def test_a_connection_that_stays_lost_ends_with_the_way_back() -> None:
    cluster = Cluster(log(0))
    cluster.away = [(1.0, 1e9)]
    with pytest.raises(TrainingError, match=r"^no answer for 15 minutes: no route to host; fix: attach to the run"):
        cluster.follow()
    assert PATIENCE_S < cluster.now < PATIENCE_S + 60


def test_the_copy_of_a_log_is_the_log(tmp_path: Path) -> None:
    text = "Grüße\n" + log(0, 1, 2)
    cluster = Cluster(text, looks_until_end=2, most=len(text.encode()) // 2 + 40)
    copy = LogCopy(str(tmp_path / "log.txt"))
    cluster.follow(copy=copy)
    assert (tmp_path / "log.txt").read_text() == text
    assert copy.offset() == len(text.encode())


@pytest.fixture
def half_copied(tmp_path: Path) -> Callable[[], LogCopy]:
    """A copy that another play has made of the first two steps."""

    def make() -> LogCopy:
        copy = LogCopy(str(tmp_path / "log.txt"))
        copy.add(log(0, 1), len(log(0, 1)))
        return copy

    return make


def test_who_attaches_sees_the_run_from_its_first_line_on(half_copied: Callable[[], LogCopy], tmp_path: Path) -> None:
    cluster = Cluster(log(0, 1, 2, 3))
    cluster.follow(copy=half_copied())
    assert steps(cluster.shown) == [0, 1, 2, 3]
    assert (tmp_path / "log.txt").read_text() == log(0, 1, 2, 3)


def test_a_run_that_goes_on_shows_its_new_lines_only(half_copied: Callable[[], LogCopy], tmp_path: Path) -> None:
    cluster = Cluster(log(0, 1, 2, 3))
    cluster.follow(show_from=len(log(0, 1, 2)), copy=half_copied())
    assert steps(cluster.shown) == [3]
    assert (tmp_path / "log.txt").read_text() == log(0, 1, 2, 3)
