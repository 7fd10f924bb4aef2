# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What a plan means for Slurm: the batch jobs of a run, and what a partition's nodes offer to it. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError, did_you_mean

_TIME = re.compile(r"\d+|\d+:\d+|\d+:\d+:\d+|\d+-\d+(:\d+){0,2}")
"""sbatch --time: minutes, minutes:seconds, hours:minutes:seconds, days-hours and so on (sbatch(1))."""


def batch_jobs(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The jobs of a run in their order; each waits until the one before it ended well.

    Steps on all nodes that follow each other share a job. A step on one node is a job of its own, which takes one node
    and, where its process starts alone, no accelerator: none waits idle for data. Each has name, file, nodes, steps,
    gpus (a node, 0 for none), cpus (a node; 0 where the job has the nodes to itself), whole (nodes to itself).
    """
    jobs: list[dict[str, Any]] = []
    for step in plan["steps"]:
        alone = step["on"] == "one"
        if not alone and jobs and not jobs[-1]["alone"]:
            jobs[-1]["steps"].append(step)
        else:
            jobs.append({"alone": alone, "steps": [step]})
    processes, node = plan["procs_per_node"], plan["node"]
    accelerators = node.get("accelerators") or 0
    for job in jobs:
        single = job["alone"] and all(step["start"] == "single" for step in job["steps"])
        uses = 0 if single else min(processes, accelerators)
        job["nodes"] = 1 if job["alone"] else plan["nodes"]
        job["gpus"] = uses if node.get("gres") else 0
        job["whole"] = uses > 0 and uses >= accelerators
        cpus = node.get("cpus") or processes
        share = cpus * uses // accelerators if accelerators else cpus
        job["cpus"] = 0 if job["whole"] else 1 if single else max(share, 1)
        job["name"] = plan["jobs"][job["steps"][-1]["name"]]
        job["file"] = "job.sbatch" if job is jobs[-1] else f"{job['steps'][-1]['name']}.sbatch"
    return jobs


def scripts(jobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The files that a run's jobs need: template, dest (in the run folder), mode and, for a batch script, its job."""
    return [
        *({"template": "slurm_job.sbatch.j2", "dest": job["file"], "mode": "0644", "job": job} for job in jobs),
        {"template": "slurm_node.sh.j2", "dest": "node.sh", "mode": "0644", "job": None},
        {"template": "slurm_submit.sh.j2", "dest": "submit.sh", "mode": "0755", "job": None},
    ]


def submissions(jobs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The jobs as module slurm_job takes them."""
    return [{"name": job["name"], "file": job["file"], "step": job["steps"][-1]["name"]} for job in jobs]


def refuse_wrong_options(options: Mapping[str, Any]) -> None:
    """Stop on launcher_params that Slurm would misread: they become lines of a script."""
    for name, value in options.items():
        if isinstance(value, str) and re.search(r"[\s\"'`\\]", value) and name not in ("shared_dir", "python"):
            raise TrainingError(
                f"launcher_params of slurm: {name}={value!r} holds a blank, a quote or a backslash", "leave it out"
            )
    if options["time"] and not _TIME.fullmatch(options["time"]):
        raise TrainingError(
            f"launcher_params of slurm: time={options['time']!r} is no time limit",
            "minutes, hours:minutes:seconds or days-hours, such as 90, 8:00:00 or 2-00",
        )
    if options["time"] and options["save_s"] >= seconds_of(options["time"]):
        raise TrainingError(
            f"launcher_params of slurm: save_s={options['save_s']} is all of time={options['time']}",
            "a longer time, or a smaller save_s",
        )


def seconds_of(limit: str) -> int:
    """A time limit as sbatch(1) reads it: minutes, minutes:seconds, hours:minutes:seconds, days-hours and so on."""
    days, dash, rest = limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, (*parts, 0)[:2]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def offered_node(
    cluster: Mapping[str, Any], partition: str, constraint: str, nodes: int, types: Mapping[str, Any]
) -> dict[str, Any]:
    """What each node of a partition offers: accelerator, accelerators, accelerator_model, cpus, memory_gib,
    instance_type, gres (whether Slurm hands out its accelerators).

    :param cluster: partitions (name, default, nodes) and nodes (name, cpus, memory_mib, gpus, gpu_model, features,
        partitions) as Slurm tells them.
    :param partition: its name; empty takes the cluster's default.
    :param constraint: only nodes with this feature count; an expression of several is left to Slurm.
    :param types: EC2 types by name; one among the nodes' features is theirs (ParallelCluster lists it there).
    :raises TrainingError: there is no such partition, it has too few nodes, or they differ in what counts here.
    """
    name = partition or next((p["name"] for p in cluster["partitions"] if p["default"]), "")
    known = [p["name"] for p in cluster["partitions"]]
    if not name:
        raise TrainingError("the cluster has no default partition", f"-e launcher_params='partition={'|'.join(known)}'")
    if name not in known:
        raise TrainingError(f"partition={name} is not known to this cluster", did_you_mean(name, known))
    offered = [node for node in cluster["nodes"] if name in node["partitions"]]
    where = f"partition {name}"
    if constraint and re.fullmatch(r"[\w.-]+", constraint):
        offered = [node for node in offered if constraint in node["features"]]
        where += f" with feature {constraint}"
    if nodes > len(offered):
        raise TrainingError(
            f"nodes={nodes}: {where} has {len(offered)} node{'' if len(offered) == 1 else 's'}",
            f"-e nodes={len(offered)}" if offered else "another partition or constraint",
        )
    kinds = Counter((node["gpus"], node["gpu_model"]) for node in offered)
    if len(kinds) > 1:
        told = ", ".join(f"{count} with {gpus} GPUs" for (gpus, _), count in sorted(kinds.items(), key=str))
        raise TrainingError(f"{where} mixes nodes: {told}", "-e launcher_params='constraint=FEATURE' of one kind")
    least = min(offered, key=lambda node: (node["cpus"], node["memory_mib"]))
    return {
        "accelerator": "cuda" if least["gpus"] else "cpu",
        "accelerators": least["gpus"],
        "accelerator_model": least["gpu_model"],
        "cpus": least["cpus"],
        "memory_gib": round(least["memory_mib"] / 1024, 1),
        "instance_type": next((feature for feature in least["features"] if feature in types), None),
        "gres": least["gpus"] > 0,
    }
