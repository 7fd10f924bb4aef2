"""Case jax through the play: two processes without torchrun, and a step that prepares data only when it must."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases


@pytest.fixture(scope="module")
def trained(make_workplace: Callable[[str], Path]) -> Path:
    """The folder in which a user trained."""
    folder = make_workplace("jax")
    ran = support.play(["-e", "case=jax"], folder)
    assert ran.returncode == 0, ran.stdout
    assert "verdict: pass" in ran.stdout
    return folder


def test_two_processes_learn_the_text(trained: Path) -> None:
    run = support.latest_run(trained, "jax")
    result = cases.result(run)
    verdicts = {check["id"]: check["verdict"] for check in result["checks"]}
    assert (verdicts["first_loss"], verdicts["held_out_loss"]) == ("pass", "pass")
    assert "jax" in result["stack"]
    environment = next(line for line in cases.metrics(run) if line.get("name") == "environment")
    assert environment["message"].startswith(f"{result['world_size']} processes")
    assert "torch" not in (run / "log.txt").read_text()


def test_the_same_run_again_prepares_nothing_and_only_evaluates(trained: Path) -> None:
    run = support.latest_run(trained, "jax")
    tokens = trained / "runs/jax/data/tokens.bin"
    made, log = tokens.stat().st_mtime_ns, (run / "log.txt").read_text()
    ran = support.play(["-e", f"case=jax run_id={run.name}"], trained)
    assert ran.returncode == 0, ran.stdout
    assert "step prepare: what it makes is there" in (run / "log.txt").read_text().removeprefix(log)
    assert tokens.stat().st_mtime_ns == made
    assert "resumed: from step-00000280" in ran.stdout
    assert [line["kind"] for line in cases.metrics(run) if line["attempt"] == 2 and line["kind"] != "event"] == ["eval"]


def test_another_text_is_prepared_anew_and_one_that_is_not_there_leaves_the_old_tokens(trained: Path) -> None:
    tokens = trained / "runs/jax/data/tokens.bin"
    before = tokens.read_bytes()
    ran = support.play(["-e", "case=jax params='text=/nowhere/text'"], trained)
    assert ran.returncode != 0
    assert "jax: text=/nowhere/text cannot be read: No such file or directory; fix: the path of a" in ran.stdout
    assert tokens.read_bytes() == before
