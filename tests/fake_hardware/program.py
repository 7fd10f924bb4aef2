"""What the programs of a fake node run: they answer from its state, and leave the rest to the node's own program."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from . import imds
from .node import Node


def main(place: str, words: Sequence[str]) -> int:
    """Answer one command.

    :param place: folder of the state.
    :param words: the program's path and its words.
    """
    with open(os.path.join(place, "node.json"), encoding="utf-8") as file:
        state = json.load(file)
    name = os.path.basename(words[0])
    if name == "fake-imds":
        return _serve(state, words[1:])
    answer = Node(state).answer([name, *words[1:]])
    if answer is None:
        return _own(name, words)
    sys.stdout.write(answer.out)
    sys.stderr.write(answer.err)
    return answer.status


def _own(name: str, words: Sequence[str]) -> int:
    """Become the node's own program of that name: the first on the PATH that is not a fake."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK) and not is_fake(path):
            os.execv(path, [path, *words[1:]])
    asked = " ".join([name, *words[1:]])
    print(f"{asked}: the fake node has no answer, and there is no other {name}", file=sys.stderr)
    return 127


MARK = "fake node: runs program.py"


def is_fake(path: str) -> bool:
    """Whether a program is one of a fake node."""
    with open(path, "rb") as file:
        return MARK.encode() in file.read(400)


def _serve(state: Mapping[str, Any], words: Sequence[str]) -> int:
    address, _, port = (words[0] if words else "127.0.0.1:1338").rpartition(":")
    with imds.server(state, address or "127.0.0.1", int(port)) as server:
        print(f"http://{address or '127.0.0.1'}:{server.server_port}/latest/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0
