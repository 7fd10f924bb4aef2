# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of cases and runs: which files somebody wrote, and files that are whole or as they were."""

from __future__ import annotations

import os

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

_MADE_FOLDERS = {"__pycache__", "runs", ".git"}


def files_of(folder: str) -> list[str]:
    """The files below a folder without what was made in it, relative to it, in order."""
    found: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _MADE_FOLDERS)
        found += [os.path.relpath(os.path.join(place, name), folder) for name in names if not name.endswith(".pyc")]
    return sorted(found)


def holds(path: str, text: str, mode: int) -> bool:
    """The file is there with this text and this mode."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read() == text and os.stat(path).st_mode & 0o7777 == mode
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def replace_file(path: str, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file that others may be reading, or writing too: it has the old content or all of the new one."""
    part = f"{path}.{os.getpid()}.new"
    try:
        with open(part, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(part, mode)
        os.replace(part, path)
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror}", "make its folder writable, and room on its disk") from error
