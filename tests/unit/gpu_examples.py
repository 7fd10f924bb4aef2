# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What tools print on nodes with GPUs, made from the recordings in tests/recorded/gpu."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.tests import support

RECORDED = support.ROOT / "tests/recorded/gpu"
TYPES = controller.read_catalogue("instance_types")
XIDS: Mapping[str, Any] = controller.read_catalogue("xids")["xids"]
ALL = tuple(range(8))
# state and status as the fabric manager leaves them: reconstructed (public reports of driver 580.95.05)
IN_FABRIC = {"fabric/state": "Completed", "fabric/status": "Success"}
Changes = Mapping[str, "str | None"]
"""Element of a GPU and its text; None takes it away."""


def expected(type_: str = "p5en.48xlarge", **more: Any) -> dict[str, Any]:
    """What a node of an EC2 type is held to without any role."""
    return {"instance_type": type_, "instance": catalogue.instance_type(TYPES, type_), "xids": XIDS, **more}


def recorded(name: str) -> str:
    """A file of tests/recorded/gpu."""
    return (RECORDED / name).read_text()


def queried(changes: Changes | None = None, of: Iterable[int] = (3,), count: int = 8) -> str:
    """``nvidia-smi -q -x``: the idle H200 many times, in the fabric; some GPUs with other elements: reconstructed."""
    log = ElementTree.fromstring(recorded("h200-idle.xml"))
    [one] = log.findall("gpu")
    log.remove(one)
    for index in range(count):
        gpu = copy.deepcopy(one)
        gpu.set("id", f"00000000:{0x50 + index:X}:00.0")
        for path, text in {**IN_FABRIC, **((changes or {}) if index in set(of) else {})}.items():
            changed(gpu, path, text)
        log.append(gpu)
    return f'<?xml version="1.0" ?>\n{ElementTree.tostring(log, encoding="unicode")}\n'


def changed(gpu: ElementTree.Element, path: str, text: str | None) -> None:
    """Change an element, or take it away."""
    element, parent = gpu.find(path), gpu.find(path.rpartition("/")[0] or ".")
    assert element is not None, path
    assert parent is not None
    if text is None:
        parent.remove(element)
    else:
        element.text = text


def linked(speed: str, links: int = 18, count: int = 8, changes: Mapping[tuple[int, int], str] | None = None) -> str:
    """``nvidia-smi nvlink -s``, form of driver 535 and A100 (leptonai/gpud testdata): reconstructed."""
    lines = []
    for gpu in range(count):
        lines.append(f"GPU {gpu}: NVIDIA H200 (UUID: GPU-00000000-0000-0000-0000-{gpu:012d})")
        lines += [f"\t Link {link}: {(changes or {}).get((gpu, link), speed)}" for link in range(links)]
    return "\n".join(lines) + "\n"
