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
    try:
        with open(os.path.join(run_dir, "job.json"), encoding="utf-8") as file:
            job: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        return {"state": "absent"}
    if job["state"] == "running" and not _exists(job["supervisor"]):
        return {**job, "state": "exited", "exit_status": LOST}
    return job


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


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
