# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What of a folder somebody wrote."""

from __future__ import annotations

import os

_MADE_FOLDERS = {"__pycache__", "runs", ".git"}


def files_of(folder: str) -> list[str]:
    """The files below a folder without what was made in it, relative to it, in order."""
    found: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _MADE_FOLDERS)
        found += [os.path.relpath(os.path.join(place, name), folder) for name in names if not name.endswith(".pyc")]
    return sorted(found)
