# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Run folders: runs/<case>/<UTC time>-<4 hex>/, with ``latest`` beside them."""

from __future__ import annotations

import errno
import glob
import os
import secrets
import time
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def new_run_id() -> str:
    """UTC time and four hexadecimal digits, such as 20261123T200000Z-1a2b."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"


def find_run(runs_dir: str, run_id: str) -> str:
    """The folder of a run."""
    found = glob.glob(os.path.join(glob.escape(runs_dir), "*", run_id))
    if not found:
        raise TrainingError(
            f"run {run_id} is not in {runs_dir}", "give runs_dir, or stand in the folder that holds runs/"
        )
    return found[0]


def make_run_dir(runs_dir: str, case: str, run_id: str) -> str:
    """Make a run's folder, or find it, and point ``latest`` at it; returns its path."""
    run_dir = os.path.join(runs_dir, case, run_id)
    try:
        os.makedirs(run_dir, exist_ok=True)
        if not os.access(run_dir, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        latest = os.path.join(runs_dir, case, "latest")
        if os.path.islink(latest):
            os.unlink(latest)
        os.symlink(run_id, latest)
    except OSError as error:
        raise TrainingError(
            f"runs_dir={runs_dir}: {error.strerror}", "-e runs_dir=FOLDER that you may write to"
        ) from error
    return run_dir


def refuse_unwritable(folder: str, option: str) -> None:
    """Stop where a folder can neither be written to nor be made."""
    place = folder
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        reason = os.strerror(errno.ENOTDIR)
    elif not os.access(place, os.W_OK):
        reason = os.strerror(errno.EACCES)
    else:
        return
    raise TrainingError(f"{option}={folder}: {reason}", f"-e {option}=FOLDER that you may write to")


def differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The keys by which two plans of one run differ, where that changes what is trained."""
    keys = ("case", "preset", "launcher", "nodes", "parameters", "steps")
    return [key for key in keys if before.get(key) != now.get(key)]
