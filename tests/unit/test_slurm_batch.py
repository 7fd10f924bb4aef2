# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A plan becomes batch jobs; partitions become what a node offers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.slurm_batch import (
    batch_jobs,
    offered_node,
    refuse_wrong_options,
    seconds_of,
    submissions,
)

TRAIN = {"name": "train", "start": "torchrun", "on": "all"}
EVALUATE = {"name": "evaluate", "start": "torchrun", "on": "all"}
PREPARE = {"name": "prepare", "start": "single", "on": "one"}
CONVERT = {"name": "convert", "start": "torchrun", "on": "one"}


def jobs(*steps: dict[str, Any], processes: int = 8, **node: Any) -> list[dict[str, Any]]:
    offered = {"accelerators": 8, "cpus": 192, "gres": True, **node}
    names = {step["name"]: f"mine-{step['name']}" for step in steps}
    return batch_jobs({"steps": list(steps), "nodes": 4, "procs_per_node": processes, "node": offered, "jobs": names})


def test_a_step_on_one_node_is_a_small_job_of_its_own_that_holds_no_gpu() -> None:
    prepare, train = jobs(PREPARE, TRAIN)
    assert (prepare["nodes"], prepare["gpus"], prepare["cpus"], prepare["whole"]) == (1, 0, 1, False)
    assert (train["nodes"], train["gpus"], train["whole"]) == (4, 8, True)
    assert (prepare["file"], train["file"]) == ("prepare.sbatch", "job.sbatch")


def test_steps_on_all_nodes_that_follow_each_other_share_a_job() -> None:
    (job,) = jobs(TRAIN, EVALUATE)
    assert [step["name"] for step in job["steps"]] == ["train", "evaluate"]
    assert [len(job["steps"]) for job in jobs(TRAIN, PREPARE, TRAIN)] == [1, 1, 1]


def test_a_step_on_one_node_that_starts_processes_gets_that_nodes_gpus() -> None:
    convert, _ = jobs(CONVERT, TRAIN)
    assert (convert["nodes"], convert["gpus"], convert["whole"]) == (1, 8, True)


def test_fewer_processes_than_gpus_take_their_share_of_the_node() -> None:
    (job,) = jobs(TRAIN, processes=2)
    assert (job["gpus"], job["cpus"], job["whole"]) == (2, 48, False)


def test_where_slurm_hands_out_no_gpus_a_job_takes_whole_nodes() -> None:
    (job,) = jobs(TRAIN, gres=False)
    assert (job["gpus"], job["whole"]) == (0, True)


def test_without_accelerators_a_job_takes_a_nodes_processors() -> None:
    (job,) = jobs(TRAIN, accelerators=0, cpus=16, gres=False, processes=2)
    assert (job["gpus"], job["cpus"], job["whole"]) == (0, 16, False)


def test_a_submission_names_job_script_and_step() -> None:
    assert submissions(jobs(PREPARE, TRAIN)) == [
        {"name": "mine-prepare", "file": "prepare.sbatch", "step": "prepare"},
        {"name": "mine-train", "file": "job.sbatch", "step": "train"},
    ]


def node(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "cpus": 192, "memory_mib": 2_000_000, "gpus": 8, "gpu_model": "h100", "features": [],
            "partitions": ["gpu"], **more}  # fmt: skip


CLUSTER = {
    "partitions": [{"name": "gpu", "default": True}, {"name": "cpu", "default": False}],
    "nodes": [
        node("g1", features=["p5.48xlarge", "static"]),
        node("g2", features=["p5.48xlarge", "static"], memory_mib=1_900_000),
        node("c1", gpus=0, gpu_model=None, partitions=["cpu"], cpus=16),
    ],
}
TYPES: dict[str, Any] = {"p5.48xlarge": {}}


def offered(partition: str = "", constraint: str = "", nodes: int = 1, cluster: Any = CLUSTER) -> dict[str, Any]:
    return offered_node(cluster, partition, constraint, nodes, TYPES)


def test_a_partition_offers_what_the_smallest_of_its_nodes_has() -> None:
    assert offered() == {
        "accelerator": "cuda",
        "accelerators": 8,
        "accelerator_model": "h100",
        "cpus": 192,
        "memory_gib": 1855.5,
        "instance_type": "p5.48xlarge",
        "gres": True,
    }
    cpu = offered("cpu")
    assert (cpu["accelerator"], cpu["accelerators"], cpu["gres"], cpu["instance_type"]) == ("cpu", 0, False, None)


MIXED = {**CLUSTER, "nodes": [node("g1"), node("g4", gpus=4, features=["old"])]}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"partition": "gpus"}, "partition=gpus is not known to this cluster; fix: did you mean gpu?"),
        ({"nodes": 3}, "nodes=3: partition gpu has 2 nodes; fix: -e nodes=2"),
        ({"constraint": "efa"}, "nodes=1: partition gpu with feature efa has 0 nodes; fix: another partition"),
        ({"cluster": MIXED}, "partition gpu mixes nodes: 1 with 4 GPUs, 1 with 8 GPUs; fix: -e launcher_params="),
        (
            {"cluster": {**CLUSTER, "partitions": [{"name": "gpu", "default": False}]}},
            "the cluster has no default partition; fix: -e launcher_params='partition=gpu'",
        ),
    ],
)
def test_what_a_cluster_cannot_give_is_refused_before_anything_is_submitted(
    request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError) as refused:
        offered(**request_)
    assert str(refused.value).startswith(message)


def test_a_feature_chooses_among_unlike_nodes() -> None:
    assert offered(constraint="old", cluster=MIXED)["accelerators"] == 4


OPTIONS = {name: about["default"] for name, about in controller.load_launcher("slurm")["parameters"].items()}


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [("30", 1800), ("1:30", 90), ("8:00:00", 28800), ("2-00", 172800), ("2-12:30", 217800), ("1-1:1:1", 90061)],
)
def test_a_time_limit_in_seconds(limit: str, seconds: int) -> None:
    assert seconds_of(limit) == seconds


def test_a_time_limit_that_is_all_for_saving_is_refused() -> None:
    refuse_wrong_options({**OPTIONS, "time": "3", "save_s": 179})
    with pytest.raises(TrainingError, match=r"^launcher_params of slurm: save_s=180 is all of time=3; fix: a longer"):
        refuse_wrong_options({**OPTIONS, "time": "3", "save_s": 180})


@pytest.mark.parametrize("time", ["", "30", "30:00", "8:00:00", "2-00", "2-12:30"])
def test_time_limits_as_slurm_writes_them_pass(time: str) -> None:
    refuse_wrong_options({**OPTIONS, "time": time})


@pytest.mark.parametrize(
    "wrong", [{"time": "8h"}, {"time": "tomorrow"}, {"account": "me\n#SBATCH --uid=0"}, {"qos": "a b"}]
)
def test_what_would_become_another_line_of_the_script_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(TrainingError, match=r"^launcher_params of slurm: "):
        refuse_wrong_options({**OPTIONS, **wrong})
