# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Program adt-checks: the registry on the node that it runs on, without Ansible: at boot, in a prolog, in a pod."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import folders, validation
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    FAIL,
    Result,
    groups,
    reading,
    record,
    registry,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

SOUND, BROKEN, NOT_RUN = 0, 1, 2
"""Exit status: nothing failed; a check failed or nothing was proved; the program could not do what it was asked."""

_EPILOG = "exit status: 0 all is well, 1 a check failed or nothing could be checked, 2 the checks did not run"
_SLURM = "/opt/slurm/bin"
"""Where AWS ParallelCluster and HyperPod have Slurm; a prolog has no PATH."""


def main(words: Sequence[str], data: Mapping[str, Any]) -> int:
    """Run the checks that apply here, tell what they say, and return the exit status.

    :param data: ``types`` and ``xids``, as record.machine takes them, and ``version`` of the collection.
    """
    asked = _parser(str(data["version"])).parse_args(words)
    began = time.monotonic()
    try:
        judged = validation.judged({asked.node: [result.as_dict() for result in _results(asked, data)]})
        verdict = validation.verdict(judged)
        told = json.dumps(
            {
                "node": asked.node,
                "verdict": verdict,
                "seconds": round(time.monotonic() - began, 2),
                "results": judged[asked.node],
            }
        )
        if asked.output:
            folders.replace_file(asked.output, f"{told}\n")
    except TrainingError as error:
        print(f"adt-checks: {error}", file=sys.stderr)
        return NOT_RUN
    except OSError as error:
        print(f"adt-checks: {error.filename}: {error.strerror}; fix: run it as root", file=sys.stderr)
        return NOT_RUN
    print(told if asked.json else validation.table(judged))
    if verdict == validation.PASS:
        return SOUND
    if asked.drain:
        failed = [one for one in judged[asked.node] if one["verdict"] == FAIL]
        return _drained(asked.node, "; ".join(f"{one['id']}: {one['reason']}" for one in failed), asked.scontrol)
    return BROKEN


def _parser(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="adt-checks",
        description="Checks this node: GPUs, fabric, storage, and what was installed.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=version)
    parser.add_argument("--tags", default="", help=f"only these: {', '.join(sorted({*validation.TAGS, 'stack'}))}")
    parser.add_argument("--groups", default="", help="only these groups of checks, such as gpu,efa, on any node")
    parser.add_argument("--json", action="store_true", help="one line of JSON in place of the table")
    parser.add_argument("--output", metavar="FILE", help="write that line of JSON there too")
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="try what fails again for S seconds")
    parser.add_argument("--instance-type", help="the EC2 type, where the firmware does not state it")
    parser.add_argument("--python", metavar="PATH", help="check this environment's PyTorch too")
    parser.add_argument("--record", default=record.PATH, metavar="FILE", help="what the roles left on the node")
    parser.add_argument("--drain", action="store_true", help="where a check fails, take the node out of Slurm")
    parser.add_argument("--scontrol", default="", metavar="PATH", help="Slurm's scontrol, where it is not on the PATH")
    node = os.environ.get("SLURMD_NODENAME") or platform.node()
    parser.add_argument("--node", default=node, help="this node's name in Slurm and in the report")
    return parser


def _results(asked: argparse.Namespace, data: Mapping[str, Any]) -> list[Result]:
    held_to = record.read(reading.text(asked.record), asked.record)
    here = reading.machine(asked.instance_type, data["types"], data["xids"], asked.python)
    if asked.groups:
        names = asked.groups.split(",")
        registry.select(names)
    else:
        tags = [tag for tag in asked.tags.split(",") if tag]
        names = validation.groups_of(tags, record.groups_here(held_to, here, registry.GROUPS))
    return groups.run_groups(names, held_to, here, reading.read, asked.node, asked.wait)


def _drained(node: str, reason: str, scontrol: str) -> int:
    """Take the node out of service with its reason, before Slurm itself would by "Prolog error"."""
    path = os.pathsep.join([reading.environment()["PATH"], _SLURM])
    program = scontrol or shutil.which("scontrol", path=path)
    if not program:
        print("adt-checks: there is no scontrol; fix: --scontrol=PATH", file=sys.stderr)
        return NOT_RUN
    words = [program, "update", f"nodename={node}", "state=drain", f"reason=adt-checks: {reason[:200]}"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    if ran.returncode != 0:
        print(f"adt-checks: scontrol: {ran.stderr.strip()}; fix: see that slurmctld answers", file=sys.stderr)
    return BROKEN
