"""The benchmark against torchtitan reads what both print, and goes on where it was cut off."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[3] / "benchmarks/fsdp_h200.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fsdp_h200", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_line_of_torchtitan_is_read(benchmark: ModuleType) -> None:
    # torchtitan 0.2.2 on one H200, 2026-11-25
    line = (
        "[titan] 2026-11-25 00:46:11,934 - root - INFO - step: 40  loss:  6.82912  grad_norm:  1.3520  "
        "memory: 95.87GiB(68.59%)  tps: 22,331  tflops: 619.31  mfu: 62.62%\n"
    )
    assert benchmark.parse_torchtitan(line) == (39, 6.82912, 22331.0, 95.87, pytest.approx(0.6262))
    assert benchmark.parse_torchtitan("[titan] … - INFO - Training starts at step 1\n") is None


def test_a_line_of_ours_is_read(benchmark: ModuleType) -> None:
    metric = {"kind": "step", "step": 39, "loss": 7.1, "tokens_per_s": 23803.1, "memory_gib": 94.1, "mfu": 0.667}
    assert benchmark.parse_fsdp(f"ADT_METRIC {json.dumps(metric)}\n") == (39, 7.1, 23803.1, 94.1, 0.667)
    assert benchmark.parse_fsdp('ADT_METRIC {"kind": "event", "name": "finished"}\n') is None


EVAL = 'ADT_METRIC {"kind": "eval", "step": %d, "loss": %s}'
STEP = 'ADT_METRIC {"kind": "step", "step": %d, "loss": 3.0, "tokens_per_s": 100.0, "memory_gib": 40.0, "mfu": 0.5}'


@pytest.mark.parametrize(
    ("replaced", "held_out"), [("eval_every=2 eval_rows=8", {2: 4.5, 4: 3.5}), ("eval_rows=8", {2: 4.5})]
)
def test_a_program_is_followed_to_its_last_evaluation_where_evaluations_are_asked_for(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, replaced: str, held_out: dict[int, float]
) -> None:
    lines = [STEP % 1, EVAL % (2, 4.5), STEP % 3, EVAL % (4, 3.5), "a checkpoint that would take long"]
    told = f"import time; print({chr(10).join(lines)!r}); time.sleep(60)"
    monkeypatch.setattr(benchmark, "words_of", lambda *_: [])
    follow = benchmark.follow
    monkeypatch.setattr(benchmark, "follow", lambda words, ends: follow(["-c", told], ends))
    speed = benchmark.measure("fsdp", "1b-1", "text:", 4, replaced)
    assert speed.seconds < 30
    assert list(speed.losses) == [1, 3]
    assert speed.held_out == held_out


def test_a_program_that_ends_before_its_last_step_is_told_with_its_last_words(benchmark: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"ended too early:\nout of memory"):
        list(benchmark.follow(["-c", "print('out of memory')"], lambda _: False))


def test_weights_of_torchtitan_have_a_name_in_our_model(benchmark: ModuleType) -> None:
    for theirs, ours in (
        ("tok_embeddings.weight", "embedding.weight"),
        ("layers.3._orig_mod.attention.wq.weight", "blocks.3.attention.query.weight"),
        ("layers.3._orig_mod.feed_forward.w2.weight", "blocks.3.ffn.down.weight"),
        ("layers.3._orig_mod.ffn_norm.weight", "blocks.3.ffn_norm.weight"),
        ("output.weight", "head.weight"),
    ):
        assert benchmark.name_in_models(theirs) == ours


def call(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, results: Path, tokens: dict[str, float]) -> list[str]:
    """One call of the benchmark with programs of given speeds; returns what it measured."""
    measured: list[str] = []

    def measure(program: str, cell: str, *_: object) -> object:
        measured.append(f"{cell} {program}")
        if program not in tokens:
            raise SystemExit(f"{program} failed")
        return benchmark.Speed(program, tokens[program], 0.6, 90.0, 60.0, {0: 12.0, 39: 7.0})

    monkeypatch.setattr(benchmark, "measure", measure)
    monkeypatch.setattr(benchmark, "gpu", lambda: "NVIDIA H200")
    monkeypatch.setattr(sys, "argv", ["fsdp_h200.py", f"--results={results}", "--cells=3b-2,3b-1"])
    benchmark.main()
    return measured


def test_a_cell_that_was_cut_off_is_measured_again_and_a_whole_one_is_not(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "cells.jsonl"
    with pytest.raises(SystemExit, match="torchtitan failed"):
        call(benchmark, monkeypatch, results, {"fsdp": 23803.0})
    speeds = {"fsdp": 23803.0, "torchtitan": 22331.0}
    everything = ["3b-2 fsdp", "3b-2 torchtitan", "3b-1 fsdp", "3b-1 torchtitan"]
    assert call(benchmark, monkeypatch, results, speeds) == everything
    assert call(benchmark, monkeypatch, results, speeds) == []
    rows = capsys.readouterr().out.splitlines()[-4:]
    assert rows[0] == "| 3b-2 | fsdp | 23,803 | 60.0% | 90 GiB | 1.066 | 7.0000 | yes |"
    # 22,331 is 7.9 % from the anchor of that cell
    assert rows[2] == "| 3b-1 | fsdp | 23,803 | 60.0% | 90 GiB | 1.066 | 7.0000 | no |"


def test_words_are_those_of_the_preset_and_the_cell(benchmark: ModuleType) -> None:
    pytest.importorskip("yaml")
    words = benchmark.words_of("fsdp_float8", "3b-1", "synthetic:128256", 30, "prefetch=1")
    for word in ("--model=llama3_2_3b", "--masters=true", "--compile=true", "--float8=true", "--untied=true"):
        assert word in words
    assert "--global_batch=1" in words
    assert "--prefetch=1" in words
