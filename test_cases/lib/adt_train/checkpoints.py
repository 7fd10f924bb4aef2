"""Checkpoint folders: complete or not there at all.

A checkpoint is written into ``.step-N.part``, gets a manifest of its files last, and becomes ``step-N`` by one rename. A
crash while saving leaves the last good one as it was. Nothing here knows what the files hold.
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
_SAMPLE = 1 << 20  # bytes of a file's beginning and end that its checksum covers: whole files would take minutes


def begin(root: Path, step: int) -> Path:
    """An empty folder to write the checkpoint of ``step`` into."""
    part = root / f".step-{step:08d}.part"
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
    path = part.with_name(part.name[1:].removesuffix(".part"))
    if path.exists():
        shutil.rmtree(path)
    part.rename(path)
    _sync(path.parent)
    for old in complete(path.parent)[keep:]:
        shutil.rmtree(old)
    return path, sum(size for size, _ in files.values())


def abandon(root: Path) -> None:
    """Remove what an interrupted save left."""
    for part in root.glob(".step-*.part"):
        shutil.rmtree(part, ignore_errors=True)


def complete(root: Path) -> list[Path]:
    """Published checkpoints, the newest first."""
    if not root.is_dir():
        return []
    return sorted((path for path in root.iterdir() if _NAME.match(path.name)), reverse=True)


def newest(root: Path, warn: Callable[[str], None]) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint whose files are whole, and its ``about``; each damaged one before it is told to ``warn``."""
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
    """Size in bytes, and a CRC-32 of the file's beginning and end. A missing file has none of its own."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            mark = zlib.crc32(file.read(_SAMPLE))
            file.seek(max(0, size - _SAMPLE))
            return size, zlib.crc32(file.read(_SAMPLE), mark)
    except FileNotFoundError:
        return -1, 0


def _sync(folder: Path) -> None:
    """Make names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
