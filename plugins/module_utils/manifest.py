# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What a node got: components, versions, origins, digests. One document, schemas/manifest.schema.json. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

PATH = "/var/lib/awsome-distributed-training/manifest.json"
"""Where a node keeps it."""

_FIX = "move the file away; the roles write what they find into a new one"


def read(text: str, path: str) -> dict[str, Any]:
    """A manifest; an empty one from an empty text."""
    if not text:
        return {"schema": 1, "entries": []}
    try:
        document = json.loads(text)
    except ValueError as error:
        raise TrainingError(f"{path} is no JSON: {error}", _FIX) from None
    entries = document.get("entries") if isinstance(document, dict) else None
    if (
        not isinstance(entries, list)
        or document.get("schema") != 1
        or not all(isinstance(one, dict) for one in entries)
    ):
        raise TrainingError(f"{path} is no manifest of schema 1", _FIX)
    return dict(document)


def merged(
    document: Mapping[str, Any], entries: Iterable[Mapping[str, Any]], time: str, absent: bool = False
) -> dict[str, Any]:
    """The manifest with new entries in place of those for the same path or package, or without them.

    :param entries: one with ``brought`` came along with what another component asked for: where it is noted already, as
        the same package, the component that noted it stays.
    :param time: in UTC, ``2026-11-25T08:00:00Z``. An entry that says the same as before keeps its own.
    :param absent: take the entries of those paths and packages away.
    """
    kept = {_subject(entry): dict(entry) for entry in document["entries"]}
    for entry in entries:
        left_out = ("time", "brought", "shown")
        given = {key: value for key, value in entry.items() if value not in (None, "", False) and key not in left_out}
        before = kept.pop(_subject(given), {})
        if before and entry.get("brought") and before["sha256"] == given.get("sha256"):
            given = {**given, "component": before["component"], "version": before["version"]}
        if not absent:
            same = given == {key: value for key, value in before.items() if key != "time"}
            kept[_subject(given)] = before if same else {**given, "time": time}
    ordered = sorted(kept.values(), key=lambda entry: (entry["component"], *_subject(entry)))
    return {**document, "entries": ordered}


def written(document: Mapping[str, Any]) -> str:
    """The text of the file."""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _subject(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    """What an entry is about: a file by its path, or a package by name and architecture."""
    if not entry.get("path") and not entry.get("package"):
        raise TrainingError(
            f"an entry of {entry.get('component')!r} names neither path nor package", "give one of them"
        )
    return str(entry.get("path", "")), str(entry.get("package", "")), str(entry.get("arch", ""))
