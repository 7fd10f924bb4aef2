"""A shared object that holds what is read of a SPANK plugin: sections and symbols by elf(5), and nothing that runs."""

from __future__ import annotations

import struct

HEADER, SECTION, SYMBOL = 64, 64, 24


def plugin(number: int, text: bytes = b"", symbol: str = "plugin_version", has: bool = True) -> bytes:
    """A plugin for the Slurm of a SLURM_VERSION_NUMBER.

    :param text: stands among its constants.
    :param has: whether the symbol is its own; else it asks for it.
    """
    names = b"\0other\0" + symbol.encode() + b"\0"
    # the constants lie elsewhere in memory than in the file
    constants, address = text + struct.pack("<I", number), 0x4000
    symbols = b"".join(
        struct.pack("<IBBHQQ", name, 0x11, 0, section, value, 4)
        for name, section, value in (
            (0, 0, 0),
            (1, 3, address),
            (names.index(symbol.encode()), *((3, address + len(text)) if has else (0, 0))),
        )
    )
    parts, sections, offset = (symbols, names, constants), [(0,) * 10], HEADER
    for kind, where, link, part in zip((11, 3, 1), (0, 0, address), (2, 0, 0), parts, strict=True):
        sections.append((0, kind, 0, where, offset, len(part), link, 0, 1, SYMBOL if kind == 11 else 0))
        offset += len(part)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    rest = struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, offset, 0, HEADER, 56, 0, SECTION, len(sections), 0)
    return identity + rest + b"".join(parts) + b"".join(struct.pack("<IIQQQQIIQQ", *one) for one in sections)
