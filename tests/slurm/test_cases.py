"""The shipped cases on two nodes of the local cluster: the launcher has no line for any of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases
from ansible_collections.awsome.distributed_training.tests.slurm.clusters import Cluster

SHORT = "steps=40 log_every=10 eval_rows=16"


@pytest.mark.parametrize(
    ("case", "params"),
    [
        ("fsdp", SHORT),
        ("ddp", SHORT),
        pytest.param("ddp", "", marks=pytest.mark.full),  # the preset as it is
        ("jax", SHORT),
    ],
)
def test_a_case_trains_on_two_nodes(cluster: Cluster, workplace: Path, case: str, params: str) -> None:
    changed = f" params='{params}'" if params else ""
    request = f"case={case} nodes=2{changed} launcher_params='procs_per_node=1'"
    ran = cluster.play("-e", request, cwd=workplace, timeout=900)
    assert ran.returncode == 0, ran.stdout
    result = cases.result(support.latest_run(workplace, case))
    told = {key: result[key] for key in ("launcher", "state", "nodes", "world_size", "verdict")}
    assert told == {"launcher": "slurm", "state": "completed", "nodes": 2, "world_size": 2, "verdict": "pass"}
    verdicts = {check["id"]: check["verdict"] for check in result["checks"]}
    assert verdicts["first_loss"] == "pass"
    assert verdicts["held_out_loss"] == ("skip" if params else "pass")
    assert result["stack"]["packages"]
