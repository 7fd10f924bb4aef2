"""The shipped cases on two nodes of the local cluster: the launcher has no line for any of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases
from ansible_collections.awsome.distributed_training.tests.slurm.clusters import Cluster


@pytest.mark.parametrize(
    ("case", "params"),
    [
        ("fsdp", "steps=40 log_every=10 eval_rows=16"),
        ("ddp", "steps=60 log_every=10 eval_rows=16"),
        ("jax", "steps=40 log_every=10 eval_rows=16"),
    ],
)
def test_a_case_trains_on_two_nodes(cluster: Cluster, workplace: Path, case: str, params: str) -> None:
    request = f"case={case} nodes=2 params='{params}' launcher_params='procs_per_node=1'"
    ran = cluster.play("-e", request, cwd=workplace, timeout=900)
    assert ran.returncode == 0, ran.stdout
    result = cases.result(support.latest_run(workplace, case))
    told = {key: result[key] for key in ("launcher", "state", "nodes", "world_size", "verdict")}
    assert told == {"launcher": "slurm", "state": "completed", "nodes": 2, "world_size": 2, "verdict": "pass"}
    verdicts = {check["id"]: check["verdict"] for check in result["checks"]}
    assert verdicts["first_loss"] == "pass"
    assert result["stack"]["packages"]


def test_a_preset_as_it_is_learns_what_its_check_asks(cluster: Cluster, workplace: Path) -> None:
    ran = cluster.play("-e", "case=ddp nodes=2 launcher_params='procs_per_node=1'", cwd=workplace, timeout=900)
    assert ran.returncode == 0, ran.stdout
    run = support.latest_run(workplace, "ddp")
    assert "held_out_loss  PASS" in ran.stdout
    plan = json.dumps(cases.result(run))
    assert str(workplace) not in plan
