"""Case jax through the play: two processes without torchrun, and a step that prepares data only when it must."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases


@pytest.fixture(scope="module")
def trained(make_workplace: Callable[[str], Path]) -> Path:
    """The folder in which a user trained the whole preset."""
    folder = make_workplace("jax")
    ran = support.play(["-e", "case=jax"], folder)
    assert ran.returncode == 0, ran.stdout
    assert "verdict: pass" in ran.stdout
    return folder


def test_two_processes_learn_the_text(trained: Path) -> None:
    run = support.latest_run(trained, "jax")
    result = cases.result(run)
    verdicts = {check["id"]: check["verdict"] for check in result["checks"]}
    assert verdicts["first_loss"] == verdicts["held_out_loss"] == "pass"
    assert "jax" in result["stack"]
    environment = next(line for line in cases.metrics(run) if line.get("name") == "environment")
    assert environment["message"].startswith(f"{result['world_size']} processes")
    assert "torch" not in (run / "log.txt").read_text()


def test_data_is_prepared_once_and_again_for_another_text(trained: Path, workplace: Path) -> None:
    tokens = trained / "runs/jax/data/tokens.bin.json"
    bundled = tokens.read_text()
    made = tokens.stat().st_mtime_ns
    short = ["-e", "case=jax", "-e"]

    ran = support.play([*short, "params='steps=5 eval_rows=16'"], trained)
    assert ran.returncode == 0, ran.stdout
    assert "step prepare: what it makes is there" in (support.latest_run(trained, "jax") / "log.txt").read_text()
    assert tokens.stat().st_mtime_ns == made

    other = workplace / "other text.txt"
    other.write_text("All happy families are alike. " * 1000)
    ran = support.play([*short, f"params='steps=5 eval_rows=16 text=\"{other}\"'"], trained)
    assert ran.returncode == 0, ran.stdout
    assert (
        "step prepare\n30000 tokens of a vocabulary of 256"
        in (support.latest_run(trained, "jax") / "log.txt").read_text()
    )
    assert tokens.read_text() != bundled
    assert json.loads(tokens.read_text())["tokens"] == 30000
