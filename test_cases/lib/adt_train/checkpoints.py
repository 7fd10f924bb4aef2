"""Checkpoint folders: complete or not there at all.

A checkpoint is written into ``.step-N.tmp``, gets a manifest of its files last, and becomes ``step-N`` by one rename.
A crash while saving leaves the last good one as it was. Nothing here knows what the files hold.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"

_NAME = re.compile(r"^step-(\d{8})$")
_PIECE = 1 << 20  # bytes
_PIECES = 16  # a checksum covers so many pieces, evenly spread from first to last: all of a file up to 16 MiB


def part_of(root: Path, step: int) -> Path:
    """Where the checkpoint of ``step`` is written until it is complete."""
    return root / f".step-{step:08d}.tmp"


def begin(root: Path, step: int) -> Path:
    """An empty folder to write the checkpoint of ``step`` into."""
    part = part_of(root, step)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part


def publish(part: Path, about: dict[str, Any], keep: int) -> tuple[Path, int]:
    """Make a written checkpoint the newest; returns its path and its size in bytes. The oldest beyond ``keep`` go.

    :param about: what a reader must know before it loads; JSON.
    """
    files = {path.name: _fingerprint(path) for path in sorted(part.iterdir())}
    with open(part / MANIFEST, "w", encoding="utf-8") as file:
        json.dump({"about": about, "files": files}, file)
        file.flush()
        os.fsync(file.fileno())
    _sync(part)
    path = part.with_name(part.name[1:].removesuffix(".tmp"))
    if path.exists():
        shutil.rmtree(path)
    part.rename(path)
    _sync(path.parent)
    for old in complete(path.parent)[keep:]:
        shutil.rmtree(old)
    return path, sum(size for size, _ in files.values())


def abandon(root: Path) -> None:
    """Remove what an interrupted save left."""
    for part in root.glob(".step-*.tmp"):
        shutil.rmtree(part, ignore_errors=True)


def complete(root: Path) -> list[Path]:
    """Published checkpoints, the newest first."""
    if not root.is_dir():
        return []
    return sorted((path for path in root.iterdir() if _NAME.match(path.name)), reverse=True)


def newest(root: Path, warn: Callable[[str], None]) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint whose files are whole, and its ``about``; each damaged one is told to ``warn``."""
    for path in complete(root):
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            damaged = [name for name, mark in manifest["files"].items() if _fingerprint(path / name) != tuple(mark)]
            about: dict[str, Any] = manifest["about"]
        except (OSError, ValueError, KeyError, TypeError):
            damaged = [MANIFEST]
        if not damaged:
            return path, about
        warn(f"checkpoint {path.name} is damaged ({damaged[0]}): the one before it is used")
    return None


def free_bytes(root: Path) -> int:
    """Bytes that a user may still write there."""
    place = root
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _fingerprint(path: Path) -> tuple[int, int]:
    """Size in bytes, and the CRC-32 of pieces of the file. A missing file has none of its own."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            last = max(0, size - _PIECE)
            pieces = min(_PIECES, -(-size // _PIECE))
            mark = 0
            for number in range(pieces):
                file.seek(last * number // max(1, pieces - 1))
                mark = zlib.crc32(file.read(_PIECE), mark)
            return size, mark
    except FileNotFoundError:
        return -1, 0


def _sync(folder: Path) -> None:
    """Make names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
