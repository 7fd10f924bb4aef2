# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Removes and empties files by patterns, and says which."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

REMOVE, EMPTY = "remove", "empty"
_FORBIDDEN = frozenset(
    {"", "bin", "boot", "dev", "etc", "home", "lib", "opt", "proc", "root", "run", "srv", "sys", "usr", "var"}
)
"""Folders of the root that no pattern may match as a whole."""


@dataclass(frozen=True)
class Found:
    """Something to clear.

    :param topic: why.
    :param way: remove or empty.
    """

    topic: str
    way: str
    path: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.way} {self.path}"


def found(topics: Mapping[str, Mapping[str, Sequence[str]]]) -> list[Found]:
    """What is there to clear: each path once.

    :param topics: name, and lists of patterns (``**`` is any folders): ``remove``, ``empty`` and ``keep``. Files that
        are to be emptied and hold nothing are left out. A link is removed as a link, and never followed.
    :raises TrainingError: a pattern that is no absolute path, or that would take a folder of the system.
    """
    seen: set[str] = set()
    told = []
    for topic, patterns in topics.items():
        for way in (REMOVE, EMPTY):
            for path in _matches(patterns.get(way, ())):
                if path in seen or any(fnmatchcase(path, kept) for kept in patterns.get("keep", ())):
                    continue
                if way == EMPTY and (os.path.islink(path) or not os.path.isfile(path) or not os.path.getsize(path)):
                    continue
                seen.add(path)
                told.append(Found(topic, way, path))
    return told


def clear(what: Sequence[Found]) -> None:
    """Do it. What is gone meanwhile is as it should be."""
    for one in what:
        try:
            if one.way == EMPTY:
                os.truncate(one.path, 0)
            elif os.path.isdir(one.path) and not os.path.islink(one.path):
                shutil.rmtree(one.path)
            else:
                os.remove(one.path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise TrainingError(f"cannot {one.way} {one.path}: {error.strerror}", "see what holds it") from None


def _matches(patterns: Sequence[str]) -> Iterator[str]:
    for pattern in patterns:
        if not pattern.startswith("/") or ".." in pattern.split("/"):
            raise TrainingError(f"pattern {pattern!r} is no absolute path", "begin it with /, and leave out ..")
        start = os.path.realpath(_fixed(pattern))
        for path in sorted(glob.glob(pattern, recursive=True)):
            parts = os.path.normpath(path).split("/")[1:]
            if len(parts) == 1 and parts[0] in _FORBIDDEN:
                raise TrainingError(f"pattern {pattern!r} takes {path}", "name what is inside of it")
            folder = os.path.realpath(os.path.dirname(os.path.normpath(path)))
            # a link below the start leads elsewhere
            if os.path.normpath(path) != os.path.normpath(start) and f"{folder}/".startswith(f"{start.rstrip('/')}/"):
                yield os.path.normpath(path)


def _fixed(pattern: str) -> str:
    """The folder that a pattern names before its first wildcard."""
    return os.path.dirname(re.split(r"[*?\[]", pattern, maxsplit=1)[0])
