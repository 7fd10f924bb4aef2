"""A node as its tools and files show it. Standard library only, Python 3.9: programs of a fake node run the same files.

A node's state is plain data, which describe.py writes from the catalogues; faults have changed it by then.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import devices, nvidia, system

State = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a program gives back."""

    status: int
    out: str = ""
    err: str = ""


PROGRAMS: dict[str, Callable[[State, list[str]], tuple[int, str, str] | None]] = {
    **nvidia.PROGRAMS,
    **devices.PROGRAMS,
    **system.PROGRAMS,
}
"""Name of a program, and what it answers to its words; None leaves it to the node's own program of that name."""

PLACES = {"fi_info": "/opt/amazon/efa/bin", "neuron-ls": "/opt/aws/neuron/bin"}
"""Programs that checks name by their path; all others are found on the PATH."""


class Node:
    """A node in a state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.files = {**system.files(state), **devices.files(state), **nvidia.files(state), **state["files"]}
        self.programs = self._programs()
        """Name and path of each program that the node has."""

    def _programs(self) -> dict[str, str]:
        absent: set[str] = set()
        if not self.state["driver"]:
            absent |= {*nvidia.PROGRAMS, "nvidia-ctk"}
        if "neuron" not in self.state["kinds"]:
            absent.add("neuron-ls")
        if not self.state["lustre"]:
            absent.add("lctl")
        if not self.state["imex"]:
            absent |= {"nvidia-imex", "nvidia-imex-ctl"}
        if not self.state["fabric_manager"]:
            absent.add("nv-fabricmanager")
        if "efa" not in self.state["kinds"]:
            absent |= {"fi_info", "ibv_devinfo"}
        return {
            name: posixpath.join(PLACES.get(name, "/usr/local/bin"), name) for name in PROGRAMS if name not in absent
        }

    def answer(self, words: Sequence[str]) -> Answer | None:
        """What a command gives; None where the node has no such program, or this knows no answer."""
        name = os.path.basename(words[0])
        path = self.programs.get(name)
        if path is None or (words[0] != name and words[0] != path):
            return None
        answer = PROGRAMS[name](self.state, list(words[1:]))
        return Answer(*answer) if answer is not None else None

    def folder(self, path: str) -> list[str] | None:
        """The names in a folder; None where there is none."""
        start = path.rstrip("/") + "/"
        names = {name[len(start) :].partition("/")[0] for name in self.files if name.startswith(start)}
        return sorted(names - {""}) if names else None
