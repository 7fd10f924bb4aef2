# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Looking at a job until it ends, through lost connections. Clock and connection are the caller's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import adt_metrics
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.progress import progress_line

PATIENCE_S = 900.0
"""How long a job that cannot be looked at is waited for: reboots of a login node and of slurmctld take less."""

_FIRST_RETRY_S, _LAST_RETRY_S = 2.0, 30.0


class NoAnswerError(Exception):
    """A look that failed: no connection, or an engine that is away for now."""


class LogCopy:
    """The copy of a log that lies on another machine, and how far it has come."""

    def __init__(self, path: str) -> None:
        """:param path: the copy; beside it ``.offset`` tells how many bytes of the original it holds."""
        self.path = path
        self._noted = path + ".offset"

    def offset(self) -> int:
        """Bytes of the original that the copy holds."""
        try:
            with open(self._noted, encoding="ascii") as file:
                return int(file.read())
        except FileNotFoundError:
            return 0

    def text(self) -> str:
        """What was copied."""
        try:
            with open(self.path, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def add(self, text: str, offset: int) -> None:
        """Append what comes next, up to byte ``offset`` of the original."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text)
        with open(self._noted + ".new", "w", encoding="ascii") as file:
            file.write(str(offset))
        os.replace(self._noted + ".new", self._noted)


class Follower:
    """Follows one job: shows its progress, and what its engine says of it whenever that changes."""

    def __init__(
        self,
        look: Callable[[int], Mapping[str, Any]],
        show: Callable[[str], None],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """:param look: one look from a byte of the log on; returns job, text and offset, or raises NoAnswerError.
        :param clock: seconds; only differences count.
        """
        self._look, self._show, self._clock, self._sleep = look, show, clock, sleep
        self._note = ""

    def follow(self, show_from: int, interval_s: float, copy: LogCopy | None = None) -> dict[str, Any]:
        """The job, ended.

        :param show_from: byte of the log at which the lines to show begin.
        :param interval_s: seconds between two looks.
        :param copy: gets every line of the log; None where the log lies where it is wanted.
        :raises TrainingError: there was no answer for longer than PATIENCE_S.
        """
        offset = show_from
        if copy is not None:
            offset = copy.offset()
            if show_from < offset:
                self._show_progress(copy.text())
        while True:
            looked = self._patient_look(offset)
            text, reached, job = looked["text"], looked["offset"], looked["job"]
            if copy is not None and text:
                copy.add(text, reached)
            self._show_progress(text if offset >= show_from else text.encode()[show_from - offset :].decode())
            advanced, offset = reached > offset, reached
            self._show_note(job.get("note", ""))
            # a job that ended may have left more log than one look returns
            if job["state"] != "running" and not advanced:
                return dict(job)
            if job["state"] == "running":
                self._sleep(interval_s)

    def _patient_look(self, offset: int) -> Mapping[str, Any]:
        lost_at, pause = None, _FIRST_RETRY_S
        while True:
            try:
                looked = self._look(offset)
            except NoAnswerError as error:
                if lost_at is None:
                    lost_at = self._clock()
                    self._show(f"no answer: {error}; the job goes on, trying again for {PATIENCE_S / 60:.0f} minutes")
                elif self._clock() - lost_at > PATIENCE_S:
                    raise TrainingError(
                        f"no answer for {PATIENCE_S / 60:.0f} minutes: {error}", "attach to the run when it is back"
                    ) from error
                self._sleep(pause)
                pause = min(2 * pause, _LAST_RETRY_S)
                continue
            if lost_at is not None:
                self._show(f"an answer again, after {self._clock() - lost_at:.0f} s")
            return looked

    def _show_progress(self, text: str) -> None:
        for metric in adt_metrics.parse_metrics(text.splitlines()):
            line = progress_line(metric)
            if line:
                self._show(line)

    def _show_note(self, note: str) -> None:
        if note and note != self._note:
            self._show(note)
        self._note = note
