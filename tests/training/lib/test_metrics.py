"""Metric lines: who prints them, what they hold, how their numbers are made."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from adt_train import Environment, MetricWriter


def writer(rank: int = 0, peak_tflops: float | None = None) -> MetricWriter:
    environment = dataclasses.replace(Environment.read(), attempt=3, peak_tflops=peak_tflops)
    return MetricWriter(environment, rank, accelerators=4, tokens_per_step=1000, flops_per_token=1e9, total_steps=50)


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The one line that was printed; JSON as the standard has it, where NaN is no number."""
    (line,) = capsys.readouterr().out.splitlines()
    mark, text = line.split(" ", 1)
    assert mark == "ADT_METRIC"

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    metric: dict[str, object] = json.loads(text, parse_constant=refuse)
    return metric


def test_a_step_tells_speed_by_definition(capsys: pytest.CaptureFixture[str]) -> None:
    writer(peak_tflops=100.0).step(7, 2.5, step_time_s=0.5, memory_gib=1.25, learning_rate=1e-3)
    metric = printed(capsys)
    assert metric.pop("elapsed_s") == pytest.approx(0, abs=5)
    assert metric == {
        "kind": "step",
        "attempt": 3,
        "step": 7,
        "steps": 50,
        "loss": 2.5,
        "step_time_s": 0.5,
        "tokens_per_s": 2000.0,
        "tokens_per_s_per_accelerator": 500.0,
        "tflops_per_accelerator": 0.5,  # 500 tokens/s × 1e9
        "mfu": 0.005,  # of 100
        "memory_gib": 1.25,
        "learning_rate": 0.001,
    }


def test_mfu_is_null_where_the_peak_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    writer().step(0, 2.5, step_time_s=0.5, memory_gib=1.0)
    assert printed(capsys)["mfu"] is None


@pytest.mark.parametrize(("loss", "told"), [(float("nan"), "nan"), (float("inf"), "inf"), (-float("inf"), "-inf")])
def test_a_loss_that_is_no_number_leaves_the_line_valid(
    capsys: pytest.CaptureFixture[str], loss: float, told: str
) -> None:
    writer().step(0, loss, step_time_s=0.5, memory_gib=1.0)
    assert printed(capsys)["loss"] == told


def test_only_rank_0_prints(capsys: pytest.CaptureFixture[str]) -> None:
    other = writer(rank=1)
    other.step(0, 2.5, step_time_s=0.5, memory_gib=1.0)
    other.eval(1, 2.5)
    other.checkpoint(1, "step-1", 1.0, 10, 1.0)
    other.event("finished")
    assert capsys.readouterr().out == ""


def test_numbers_have_six_digits(capsys: pytest.CaptureFixture[str]) -> None:
    writer().eval(1, 1.23456789)
    assert printed(capsys)["loss"] == 1.23457


def test_the_other_kinds_tell_their_fields(capsys: pytest.CaptureFixture[str]) -> None:
    tells = writer()
    tells.eval(10, 2.0)
    metric = printed(capsys)
    assert (metric["kind"], metric["attempt"], metric["step"], metric["loss"]) == ("eval", 3, 10, 2.0)
    tells.checkpoint(10, "run/step-10", seconds=2.0, size=4096, blocked_s=0.25)
    metric = printed(capsys)
    assert [metric[key] for key in ("kind", "step", "path", "seconds", "bytes", "blocked_s")] == [
        "checkpoint", 10, "run/step-10", 2.0, 4096, 0.25,
    ]  # fmt: skip
    tells.event("resumed", "from step-10", step=10)
    metric = printed(capsys)
    assert [metric[key] for key in ("kind", "name", "message", "step")] == ["event", "resumed", "from step-10", 10]


def test_the_environment_is_what_the_launcher_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "RUN_DIR": "/runs/1", "CHECKPOINT_DIR": "/fast/1", "DATA_DIR": "/data", "NODES": "4", "NODE_RANK": "2",
        "PROCS_PER_NODE": "8", "HEAD_ADDR": "n0", "HEAD_PORT": "1234", "ATTEMPT": "2", "ACCELERATOR": "cuda",
        "PEAK_TFLOPS": "989.5",
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(f"ADT_{name}", value)
    assert Environment.read() == Environment(
        Path("/runs/1"), Path("/fast/1"), Path("/data"), 4, 2, 8, "n0", 1234, 2, "cuda", 989.5
    )


def test_a_script_started_by_hand_finds_a_place_of_its_own() -> None:
    environment = Environment.read()
    assert environment.checkpoint_dir == Path("runs/manual/checkpoints")
    assert (environment.attempt, environment.peak_tflops) == (1, None)


def test_by_hand_torchrun_tells_the_processes_of_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert Environment.read().procs_per_node == 8


def test_the_mark_of_a_saved_attempt_carries_its_number(run_dir: Path) -> None:
    dataclasses.replace(Environment.read(), run_dir=run_dir, attempt=3).mark_saved()
    assert [path.name for path in run_dir.iterdir()] == ["saved.3"]
