# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The state of a job on this machine, as its supervisor notes it in the run folder."""

from __future__ import annotations

import json
import os
from typing import Any

LOST = 137
"""Exit status of a job whose supervisor is gone without a note: it was killed, or the machine was restarted."""


def read_job(run_dir: str) -> dict[str, Any]:
    """``{"state": "absent"}``, or pid, state running or exited, started, and with exited exit_status and ended."""
    job = _noted(run_dir)
    if job["state"] == "running" and not _supervises(job["supervisor"], run_dir):
        job = _noted(run_dir)  # it may have noted the end just now
        if job["state"] == "running":
            return {**job, "state": "exited", "exit_status": LOST}
    return job


CANCELLED = "cancelled"
"""File in the run folder of a job that its user stopped; gone when the job is started again."""


def was_cancelled(run_dir: str) -> bool:
    """The job was stopped by its user."""
    return os.path.exists(os.path.join(run_dir, CANCELLED))


def is_alive(job: dict[str, Any]) -> bool:
    """The job runs."""
    return bool(job["state"] == "running")


def read_log(run_dir: str, offset: int, most: int = 4_000_000) -> tuple[str, int]:
    """What log.txt has from a byte offset on, in whole lines, and the offset of the next call."""
    try:
        with open(os.path.join(run_dir, "log.txt"), "rb") as file:
            file.seek(offset)
            data = file.read(most)
    except FileNotFoundError:
        return "", offset
    whole = data.rfind(b"\n") + 1
    if not whole and len(data) == most:
        whole = most
    return data[:whole].decode("utf-8", "replace"), offset + whole


def look(run_dir: str, offset: int) -> dict[str, Any]:
    """job, and text and offset of what its log has gained."""
    # the state first: a job that exited has written all that the log read afterwards shows
    job = read_job(run_dir)
    text, reached = read_log(run_dir, offset)
    return {"job": job, "text": text, "offset": reached}


def _noted(run_dir: str) -> dict[str, Any]:
    try:
        with open(os.path.join(run_dir, "job.json"), encoding="utf-8") as file:
            job: dict[str, Any] = json.load(file)
            return job
    except FileNotFoundError:
        return {"state": "absent"}


def _supervises(pid: int, run_dir: str) -> bool:
    """The process is the run's supervisor, not a later one that got its number."""
    if not os.path.exists("/proc/self/cmdline"):  # not Linux: the number must do
        return _exists(pid)
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    name = os.path.basename(os.path.normpath(run_dir))
    return any(os.path.basename(os.path.normpath(os.fsdecode(word))) == name for word in words)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
