"""Make a fake node for people: ``make fake NODE=p5.48xlarge FAULT=gpu_missing``. FAULT=help lists faults.

build/fake/<node>/ has bin/ with its programs, root/ with the same at the places where a node has them, and files/ with
what it has below /proc, /sys, /dev and /etc.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

from . import describe, program
from .node import Node

CORE = ("node.py", "nvidia.py", "devices.py", "system.py", "imds.py", "program.py")
"""What programs of a fake node run."""

HOME = "opt/adt-fake-hardware"
_SCRIPT = f"""#!/usr/bin/env python3
# {program.MARK}
import os
import sys

sys.dont_write_bytecode = True
place = os.path.dirname(os.path.realpath(__file__))
while not os.path.isdir(os.path.join(place, "{HOME}")) and place != "/":
    place = os.path.dirname(place)
place = os.path.join(place, "{HOME}")
sys.path.insert(0, place)
from fake_hardware.program import main

sys.exit(main(place, sys.argv))
"""


def make(type_: str, faults: Sequence[str], into: Path) -> Path:
    """Write a fake node, and return its folder.

    :raises TrainingError: see describe.with_faults.
    """
    state = describe.with_faults(type_, faults)
    node, folder = Node(state), into / "+".join([type_, *faults])
    shutil.rmtree(folder, ignore_errors=True)
    home = folder / "root" / HOME
    (home / "fake_hardware").mkdir(parents=True)
    for name in CORE:
        shutil.copy(describe.HERE / name, home / "fake_hardware" / name)
    shutil.copytree(describe.HERE / "forms", home / "fake_hardware/forms")
    (home / "node.json").write_text(json.dumps(state, indent=1))
    (folder / "bin").mkdir()
    for name, place in {**node.programs, "fake-imds": "/usr/local/bin/fake-imds"}.items():
        script = folder / "root" / place.lstrip("/")
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(_SCRIPT)
        script.chmod(0o755)
        (folder / "bin" / name).symlink_to(os.path.relpath(script, folder / "bin"))
    for path, text in node.files.items():
        file = folder / "files" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def _listed(type_: str) -> str:
    """The faults, and which checks each breaks; of a type those that it can have."""
    names = [name for name, fault in describe.faults().items() if not type_ or describe.fits(fault["where"], type_)]
    width = max(map(len, names))
    lines = []
    for name in names:
        fault = describe.faults()[name]
        checks = describe.fails(name, type_) if type_ else fault["fails"]
        lines.append(f"{name:<{width}}  {fault['about']}: {', '.join(checks) or 'no check fails'}")
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    """Exit status 1 where a type or a fault cannot be had."""
    type_, faults = words[0], [name for name in words[1].split(",") if name]
    try:
        if type_ and type_ != "help":
            describe.instance(type_)
        if faults == ["help"]:
            print(_listed(type_))
            return 0
        if type_ in ("", "help"):
            print("\n".join(describe.types()))
            return 0
        folder = make(type_, faults, Path(words[2]))
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 1
    checks = sorted({check for name in faults for check in describe.fails(name, type_)})
    shown = os.path.relpath(folder)
    print(f"{shown}: {type_}, {', '.join(faults) or 'nothing is wrong'}")
    if faults:
        print(f"checks that fail: {', '.join(checks) or 'none'}")
    print(
        f'here:           PATH="$PWD/{shown}/bin:$PATH" nvidia-smi -L'
        if "cuda" in describe.traits(type_)["kind"]
        else f'here:           PATH="$PWD/{shown}/bin:$PATH" neuron-ls'
    )
    print(f"in a container: tar -C {shown}/root -c . | docker exec -i NAME tar -C / -x")
    print(f"metadata:       {shown}/bin/fake-imds 127.0.0.1:1338")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
