"""Archives whose bytes follow from what they hold alone: tar in three compressions, zip and ar."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

Content = Mapping[str, "str | bytes"]
"""Path, and what the file holds. Scripts (``#!``) are executable."""

_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=1),
}


def tar(content: Content, compression: str, dotted: bool = False) -> bytes:
    """A tar archive of regular files and their folders, all of root, time 0.

    :param dotted: names begin with ``./``, as dpkg writes them.
    """
    buffer = io.BytesIO()
    prefix = "./" if dotted else ""
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in _folders(content):
            folder = tarfile.TarInfo(f"{prefix}{name}")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for name, held in sorted(content.items()):
            data = as_bytes(held)
            file = tarfile.TarInfo(f"{prefix}{name}")
            file.size, file.mode = len(data), 0o755 if data.startswith(b"#!") else 0o644
            archive.addfile(file, io.BytesIO(data))
    return _COMPRESS[compression](buffer.getvalue())


def zipped(content: Content) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, held in sorted(content.items()):
            data = as_bytes(held)
            file = zipfile.ZipInfo(name)
            file.external_attr = (0o755 if data.startswith(b"#!") else 0o644) << 16
            archive.writestr(file, data)
    return buffer.getvalue()


def ar(members: Mapping[str, bytes]) -> bytes:
    """An ar archive, the form of a .deb (deb(5)). Members keep their order; names have at most 15 letters."""
    parts = [b"!<arch>\n"]
    for name, data in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode())
        parts.append(data + b"\n" * (len(data) % 2))
    return b"".join(parts)


def as_bytes(held: str | bytes) -> bytes:
    return held.encode() if isinstance(held, str) else held


def _folders(content: Content) -> list[str]:
    return sorted({str(folder) for name in content for folder in PurePosixPath(name).parents if str(folder) != "."})
