"""Load an NCCL network plugin as NCCL does, and start it: python3 net_plugin.py LIBRARY; prints what it says.

Runs on a node. The table's first members are those of ncclNet_v8_t in every version that has the symbol: its name, and
init(logger). NCCL's errors: 0 is success.
"""

from __future__ import annotations

import ctypes
import os
import sys

Logger = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)
Init = ctypes.CFUNCTYPE(ctypes.c_int, Logger)


class Net(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("init", Init)]


def said(level: int, flags: int, function: bytes, line: int, text: bytes) -> None:
    """A line of the plugin, with its arguments left out."""
    print(text.decode(), flush=True)


def main(library: str) -> None:
    loaded = ctypes.CDLL(library, mode=os.RTLD_NOW)
    net = Net.in_dll(loaded, "ncclNetPlugin_v8")
    print(f"name: {net.name.decode()}", flush=True)
    print(f"init: {net.init(Logger(said))}")


if __name__ == "__main__":
    main(sys.argv[1])
