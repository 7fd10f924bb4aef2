# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Case, preset, launcher and what is known of the nodes: the plan of a run. Pure: the same inputs, the same plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import test_case
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.values import resolve, split_assignments

SCHEMA = 1


def make_plan(
    case: Mapping[str, Any],
    request: Mapping[str, Any],
    launcher: Mapping[str, Any],
    node: Mapping[str, Any],
    revision: str,
    cluster: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The plan of a run: what every launcher renders and every report shows.

    :param case: a valid case.yml, with ``path``, the absolute path of its folder.
    :param request: run_id, preset, nodes, params, launcher_params, image.
    :param launcher: an entry of data/launchers.
    :param node: accelerator (cuda, neuron, cpu), accelerators (count), cpus, memory_gib, instance_type, and, where
        known, efa (interfaces), accelerator_model, peak_tflops (dense bf16, per accelerator) and gres (whether Slurm
        hands the accelerators out).
    :param cluster: name, kind and prefix (folder of Slurm's bin, empty where it is on the PATH); None outside clusters.
    :raises TrainingError: the request does not fit the case, the launcher or the nodes.
    """
    options = resolve(
        launcher["parameters"],
        split_assignments(request.get("launcher_params"), "launcher_params"),
        f"launcher_params of {launcher['name']}",
    )
    nodes = request["nodes"]
    most = launcher.get("nodes", {}).get("maximum")
    if nodes < 1:
        raise TrainingError(f"nodes={nodes}: a run needs at least one node", "-e nodes=1")
    if most is not None and nodes > most:
        raise TrainingError(
            f"nodes={nodes}: launcher {launcher['name']} has {most} node{'s' if most > 1 else ''}",
            f"-e nodes={most}, or a launcher for several nodes",
        )
    _refuse_unsupported(case, launcher, options, request)
    accelerator = _accelerator(case, node)
    processes = options.get("procs_per_node") or node["accelerators"] or _CPU_PROCESSES
    values, changed = test_case.parameters(case, request["preset"], request.get("params"))
    return {
        "schema": SCHEMA,
        "run_id": request["run_id"],
        "case": {key: case[key] for key in ("name", "summary", "framework", "path")},
        "preset": request["preset"],
        "launcher": launcher["name"],
        "launcher_params": options,
        "nodes": nodes,
        "procs_per_node": processes,
        "world_size": nodes * processes,
        "accelerator": accelerator,
        "accelerator_model": node.get("accelerator_model"),
        "instance_type": node.get("instance_type"),
        "node": {key: node.get(key) for key in ("accelerators", "cpus", "efa", "gres", "memory_gib")},
        "cluster": dict(cluster or {}),
        "image": request.get("image"),
        "environment": dict(case.get("environment", {})),
        "secrets": list(case.get("secrets", [])),
        "parameters": values,
        "defaults": {name: about["default"] for name, about in case.get("parameters", {}).items()},
        "changed_parameters": changed,
        "steps": [_step(step, values, nodes) for step in case["steps"]],
        "jobs": {step["name"]: job_name(case["name"], request["run_id"], step["name"]) for step in case["steps"]},
        "variables": _variables(node, accelerator, processes),
        "metrics": dict(case["metrics"]),
        "checks": [dict(check) for check in case.get("checks", [])],
        "revision": revision,
    }


_CPU_PROCESSES = 2
"""Processes on a machine without accelerators: the fewest that still distribute."""


def _refuse_unsupported(
    case: Mapping[str, Any], launcher: Mapping[str, Any], options: Mapping[str, Any], request: Mapping[str, Any]
) -> None:
    """What a launcher cannot start, by name."""
    name, nodes = launcher["name"], request["nodes"]
    for step in case["steps"]:
        if step["start"] not in launcher["starts"]:
            known = ", ".join(launcher["starts"])
            raise TrainingError(
                f"launcher={name} cannot start step {step['name']} by {step['start']}", f"start: {known}"
            )
    shared = launcher.get("shares_files_by")
    if shared and not options[shared] and (nodes > 1 or len(case["steps"]) > 1):
        several = f"{nodes} nodes" if nodes > 1 else f"{len(case['steps'])} steps"
        raise TrainingError(
            f"case {case['name']}: {several} share checkpoints and data", f"-e launcher_params='{shared}=NAME'"
        )
    longest = launcher.get("longest_name")
    if longest:
        for step in case["steps"]:
            job = job_name(case["name"], request["run_id"], step["name"])
            if len(f"{job}-{nodes - 1}") > longest:
                raise TrainingError(
                    f"{job} is longer than the {longest} characters that a name of {name} may have",
                    "a shorter name of the case or of its step",
                )


def job_name(case: str, run_id: str, step: str) -> str:
    """A step's name for engines that allow small letters, digits and hyphens: a DNS label."""
    return "-".join([case, run_id, step]).lower().replace("_", "-")


def _accelerator(case: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    offered = node["accelerator"]
    if offered in case["accelerators"]:
        return str(offered)
    where = node.get("instance_type") or "this machine"
    raise TrainingError(
        f"case {case['name']} runs on {', '.join(case['accelerators'])}; {where} offers {offered}",
        "another case, or nodes of another type",
    )


def _step(step: Mapping[str, Any], values: Mapping[str, Any], nodes: int) -> dict[str, Any]:
    groups = step.get("groups", [])
    together = sum(group["nodes"] for group in groups)
    if groups and together != nodes:
        raise TrainingError(f"nodes={nodes}: the groups of step {step['name']} take {together}", f"-e nodes={together}")
    return {
        "name": step["name"],
        "start": step["start"],
        "on": step.get("on", "all"),
        "when": step.get("when", "always"),
        "makes": test_case.command(step.get("makes", []), values),
        "command": test_case.command(step["run"], values),
        "resume": test_case.command(step["resume"], values) if "resume" in step else None,
        "groups": [{**group, "run": test_case.command(group["run"], values)} for group in groups],
    }


def _variables(node: Mapping[str, Any], accelerator: str, processes: int) -> dict[str, str]:
    """Environment variables that are the same on every node."""
    peak = node.get("peak_tflops")
    variables = {"ADT_ACCELERATOR": accelerator, "ADT_PEAK_TFLOPS": "" if peak is None else f"{peak:g}"}
    if accelerator == "cpu" and node.get("cpus"):
        # PyTorch takes every core for every process otherwise
        variables["OMP_NUM_THREADS"] = str(max(1, int(node["cpus"]) // processes))
    return variables
