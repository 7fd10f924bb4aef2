# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role slurm, on what Slurm 22.05 and 24.11 print.

Expected has ``slurm``: ``parts``, ``prefix`` (a folder, or empty), ``config`` (path of slurm.conf), ``cluster``,
``accounting``, ``node`` (its name among the cluster's nodes).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    Judgement,
    Probe,
    Readings,
    common,
    failed,
    passed,
    skipped,
)

_UNITS = {"controller": "slurmctld", "database": "slurmdbd", "compute": "slurmd"}

_LOST = re.compile(r"State=\S*(DOWN|UNKNOWN|NOT_RESPONDING|[*])")
"""States in which the controller does not hear of a node."""


def _program(expected: Expected, name: str, *words: str) -> Command:
    prefix = expected["slurm"]["prefix"]
    return Command((f"{prefix}/bin/{name}" if prefix else name, *words))


def _of(part: str, judge: Callable[[Readings, Expected], Judgement]) -> Callable[[Readings, Expected], Judgement]:
    """A judge of nodes with a part alone."""

    def judged(readings: Readings, expected: Expected) -> Judgement:
        if part not in expected["slurm"]["parts"]:
            return skipped(f"this node is no {part}")
        return judge(readings, expected)

    return judged


def _units(expected: Expected) -> Mapping[str, Probe]:
    words = ("systemctl", "show", "--property=LoadState,ActiveState,SubState,UnitFileState")
    parts = expected["slurm"]["parts"]
    return {unit: Command((*words, f"{unit}.service")) for part, unit in _UNITS.items() if part in parts}


def _services(readings: Readings, expected: Expected) -> Judgement:
    if not readings:
        return skipped("this node has the commands alone")
    for unit, reading in readings.items():
        judgement = common.judge_service({"unit": reading}, unit, "slurm")
        if judgement.verdict != "pass":
            return judgement
    return passed(", ".join(readings), "active, enabled")


def _controller(readings: Readings, expected: Expected) -> Judgement:
    said = (readings["ping"].lines or readings["ping"].err.splitlines() or ["it says nothing"])[0].strip()
    if " is UP" in said:
        return passed(said, "UP")
    return failed(
        f"the controller does not answer: {said}", "systemctl status slurmctld there; the network to it", said, "UP"
    )


def _configuration(readings: Readings, expected: Expected) -> Judgement:
    found = re.search(r"^SLURM_CONF\s+= (\S+)", readings["config"].out, re.MULTILINE)
    wanted = expected["slurm"]["config"]
    if found and found[1] == wanted:
        return passed(found[1], wanted)
    value = found[1] if found else ""
    return failed(f"the controller reads {value or 'no file'}, not {wanted}", "slurm_config_dir", value, wanted)


def _accounting(readings: Readings, expected: Expected) -> Judgement:
    slurm = expected["slurm"]
    if slurm["accounting"] != "slurmdbd":
        return skipped("the cluster keeps no accounting")
    if not {"controller", "database"} & set(slurm["parts"]):
        return skipped("this node is neither controller nor database")
    clusters, wanted = readings["clusters"].lines, slurm["cluster"].lower()
    if wanted in clusters:
        return passed(wanted, wanted)
    said = readings["clusters"].err.strip().splitlines()
    return failed(
        f"the accounting does not know cluster {wanted}: {(said or ['it answers with others'])[0]}",
        "systemctl status slurmdbd, mariadb and slurmctld",
        ", ".join(clusters),
        wanted,
    )


def _node(readings: Readings, expected: Expected) -> Judgement:
    name, shown, own = expected["slurm"]["node"], readings["node"].out, readings["slurmd"]
    state = re.search(r"State=(\S+)", shown)
    value = state[1] if state else ""
    if own.status != 0:
        return failed("this node's slurmd does not answer", "systemctl status slurmd", value)
    if not state:
        return failed(f"the controller does not know node {name}", "slurm_nodes, and slurm_node_name", value)
    if "INVAL" in value:
        reason = re.search(r"Reason=(.*)", shown)
        return failed(
            f"the controller refuses node {name}: {reason[1].strip() if reason else value}",
            "its entry in slurm_nodes, or slurm_gres",
            value,
        )
    # a controller that started anew tells a node's old state until the node has registered
    started = re.search(r"Boot time\s+= (\S+)", own.out)
    if not started or f"SlurmdStartTime={started[1]}" not in shown:
        return failed("the controller has not heard of this very slurmd", "the network from the controller", value)
    if _LOST.search(shown):
        return failed(f"the controller does not hear of node {name}", "the network from the controller", value)
    return passed(value)


CHECKS = (
    Check("slurm.services", "the daemons of the node's parts run", _units, _services, needs=("slurm",)),
    Check(
        "slurm.controller",
        "the controller answers",
        lambda expected: {"ping": _program(expected, "scontrol", "ping")},
        _controller,
        needs=("slurm",),
    ),
    Check(
        "slurm.configuration",
        "the controller read the file that the role wrote",
        lambda expected: {"config": _program(expected, "scontrol", "show", "config")},
        _of("controller", _configuration),
        needs=("slurm",),
    ),
    Check(
        "slurm.accounting",
        "the accounting knows the cluster",
        lambda expected: {
            "clusters": _program(expected, "sacctmgr", "--noheader", "--parsable2", "show", "cluster", "format=cluster")
        },
        _accounting,
        needs=("slurm",),
    ),
    Check(
        "slurm.node",
        "the controller hears of this node, and takes it",
        lambda expected: {
            "slurmd": _program(expected, "scontrol", "show", "slurmd"),
            "node": _program(expected, "scontrol", "show", "node", expected["slurm"]["node"]),
        },
        _of("compute", _node),
        needs=("slurm",),
    ),
)
