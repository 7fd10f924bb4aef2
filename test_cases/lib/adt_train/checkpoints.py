"""Checkpoint folders: complete or not there at all.

A checkpoint is written into ``.step-N.tmp``, gets a manifest of its files last, and becomes ``step-N`` by one rename.
A crash while saving leaves the last good one as it was. Nothing here knows what the files hold.

Its manifest's ``about`` is what a reader must know: ``step``, the number of updates, which is the data position too
(adt_train.data); ``identity``, what must be equal to go on from it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adt_train.errors import UserError
from adt_train.metrics import MetricWriter

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


def publish(
    part: Path, about: dict[str, Any], keep: int, remove: Callable[[Path], object] = shutil.rmtree
) -> tuple[Path, int]:
    """Make a written checkpoint the newest; returns its path and its size in bytes. The oldest beyond ``keep`` go.

    :param about: what a reader must know before it loads; JSON.
    :param remove: removes one.
    """
    for path in part.iterdir():
        _sync(path)
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
    # a newer one is damaged, or this run would have begun with it: it does not count
    for old in [other for other in complete(path.parent) if other.name <= path.name][keep:]:
        remove(old)
    return path, sum(size for size, _ in files.values())


def save(
    root: Path, step: int, about: dict[str, Any], keep: int, fill: Callable[[Path], object], writer: MetricWriter
) -> None:
    """A checkpoint in one go; ``fill`` writes its files into the folder that it is given."""
    started = time.monotonic()
    try:
        part = begin(root, step)
        fill(part)
        path, size = publish(part, about, keep)
    except (OSError, RuntimeError) as error:  # torch.save makes a RuntimeError of a full disk
        told = save_error(root, step, error)
        abandon(root)
        raise told from None
    seconds = time.monotonic() - started
    writer.checkpoint(step, str(path), seconds, size, blocked_s=seconds)


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


def refuse_another(path: Path, about: dict[str, Any], identity: dict[str, Any]) -> None:
    """Stop where a checkpoint's ``identity`` is another: its model, or what its data position counts."""
    saved = about["identity"]
    differing = [key for key, here in identity.items() if saved.get(key) != here]
    if differing:
        told = ", ".join(f"{key} {saved.get(key)} there, {identity[key]} here" for key in differing[:3])
        raise UserError(f"checkpoint {path} does not fit: {told}", "the settings that it was made with, or a new run")


def save_error(root: Path, step: int, error: BaseException) -> UserError:
    """What to raise of a failed save, before what it left is removed."""
    place = root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**20
    # torch.save has words of its own for a full disk
    reason = os.strerror(errno.ENOSPC) if free < 1 else _reason(error)
    return UserError(
        f"the checkpoint of step {step} could not be saved in {root}: {reason}; {free:.0f} MiB are free there",
        "make room or name another folder, and run again: the last complete checkpoint is kept",
    )


def _reason(error: BaseException) -> str:
    """The operating system's own words, out of what wraps them."""
    failures = getattr(error, "failures", None)  # of PyTorch's CheckpointException: by rank, (exception, traceback)
    if failures:
        return _reason(next(iter(failures.values()))[0])
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError):
        return _reason(cause)
    return next(iter(str(error).splitlines()), type(error).__name__)


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


def _sync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
