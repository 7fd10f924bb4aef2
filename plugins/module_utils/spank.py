# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""SPANK plugins of Slurm: where its configuration loads one, and for which Slurm that was built.

SchedMD/slurm, tag slurm-25-11-7-1: src/common/spank.c reads plugstack.conf; slurm/spank.h gives each plugin the symbol
plugin_version, which src/common/plugin.c holds against Slurm's own.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import Command

_SHOW = r"""
show() {
    for file in "$@"; do
        grep -sH "" "$file"
        show $(sed -n 's/^[[:space:]]*include[[:space:]][[:space:]]*\([^[:space:]#]*\).*/\1/p' "$file" 2>/dev/null)
    done
}
cd "$1" && show "$1/plugstack.conf"
"""
"""Each line of plugstack.conf and of what it includes, behind its file's name. What has no folder is sought here."""

_SYMBOL = b"plugin_version"
_DYNSYM = 11


def stack(config_dir: str) -> Command:
    """What tells which plugins Slurm loads; for ``lines``.

    :param config_dir: the folder of slurm.conf.
    """
    return Command(("sh", "-c", _SHOW, "show", config_dir))


def version(prefix: str) -> Command:
    """What tells Slurm's version; for ``version_told``. Of its programs slurmd alone needs no slurm.conf for that."""
    return Command(("sh", "-c", f"{prefix}/sbin/slurmd -V 2>/dev/null || {prefix}/bin/srun --version"))


def version_told(text: str) -> str:
    """``22.05.8`` of ``slurm-wlm 22.05.8``, as Debian's Slurm says it, or of ``slurm 25.11.8``; empty without one."""
    match = re.search(r"^slurm\S* (\d+\.\d+\.\d+)", text, re.MULTILINE)
    return match[1] if match else ""


@dataclass(frozen=True)
class Line:
    """A line that loads a plugin.

    :param path: as the line has it: a plain name is looked for in Slurm's own folder of plugins.
    """

    file: str
    path: str
    arguments: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "arguments": list(self.arguments)}


def lines(shown: str, config_dir: str, plugin: str) -> list[Line]:
    """The lines that load a plugin, by the name of its file."""
    found = []
    for file, words in _words(shown, config_dir):
        if words[0] in ("required", "optional") and len(words) > 1 and os.path.basename(words[1]) == plugin:
            found.append(Line(file, words[1], tuple(words[2:])))
    return found


def included(shown: str, config_dir: str) -> list[str]:
    """The patterns of files that plugstack.conf includes, from the root."""
    return [
        os.path.join(config_dir, words[1])
        for _file, words in _words(shown, config_dir)
        if words[0] == "include" and len(words) > 1
    ]


def _words(shown: str, config_dir: str) -> list[tuple[str, Sequence[str]]]:
    split = [line.partition(":")[::2] for line in shown.splitlines()]
    return [
        (os.path.join(config_dir, file), words)
        for file, words in ((file, text.partition("#")[0].split()) for file, text in split)
        if words
    ]


def header_version(text: str) -> str:
    """The version of Slurm whose slurm_version.h this is; empty where it says none."""
    match = re.search(r"^#define\s+SLURM_VERSION_NUMBER\s+(0x[0-9a-fA-F]+)", text, re.MULTILINE)
    return _told(int(match[1], 16)) if match else ""


def built_for(data: bytes) -> str:
    """The version of Slurm that a plugin was built for.

    :param data: the plugin's file.
    :raises ValueError: it is no such plugin.
    """
    try:
        return _told(struct.unpack("<I", _symbol(data))[0])
    except (struct.error, IndexError) as error:
        raise ValueError(f"it is cut off: {error}") from error


def _told(number: int) -> str:
    """The version that slurm_version.h writes as one number: a byte each for 22, 05 and 8."""
    return f"{number >> 16 & 255}.{number >> 8 & 255:02d}.{number & 255}"


def _symbol(data: bytes) -> bytes:
    """The four bytes of plugin_version in a shared object of 64 bits and small end first: elf(5)."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("it is no shared object of 64 bits")
    (start,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    # name, type, flags, address, offset, size, link, info, alignment, size of an entry
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, start + size * index) for index in range(count)]
    for section in sections:
        if section[1] != _DYNSYM:
            continue
        names = sections[section[6]][4]
        for place in range(section[4], section[4] + section[5], 24):
            name, _info, _other, index, address, _size = struct.unpack_from("<IBBHQQ", data, place)
            if data[names + name : names + name + len(_SYMBOL) + 1] == _SYMBOL + b"\0" and index:
                offset = sections[index][4] + address - sections[index][3]
                return data[offset : offset + 4]
    raise ValueError(f"it has no symbol {_SYMBOL.decode()}")
