"""Case fsdp, preset tiny, through the play: one whole run, what it leaves, and what its checks would catch."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases

LIMIT = 2.0
TEXT = support.ROOT / "test_cases/lib/adt_train/text/python_reference.txt"
RESULT_KEYS = [
    "schema",
    "run_id",
    "case",
    "preset",
    "launcher",
    "state",
    "attempts",
    "nodes",
    "world_size",
    "instance_type",
    "started",
    "ended",
    "revision",
    "stack",
    "metrics",
    "checks",
    "transport",
    "verdict",
]


@dataclass(frozen=True)
class Trained:
    """A whole run: what its play showed, where the user stood, and its folder."""

    screen: str
    standing: Path
    run: Path


@pytest.fixture(scope="module")
def trained(make_workplace: Callable[[str], Path]) -> Trained:
    folder = make_workplace("fsdp")
    ran = support.play(["-e", "case=fsdp"], folder, timeout=600)
    assert ran.returncode == 0, ran.stdout
    return Trained(ran.stdout, folder, support.latest_run(folder, "fsdp"))


def test_the_first_loss_is_that_of_even_guesses_before_any_update(trained: Trained) -> None:
    first = next(line for line in cases.metrics(trained.run) if line["kind"] in ("step", "eval", "checkpoint"))
    assert (first["kind"], first["step"]) == ("step", 0)
    assert abs(first["loss"] - math.log(256)) < 0.2


def test_it_learns_the_held_out_text(trained: Trained) -> None:
    evaluated = [line for line in cases.metrics(trained.run) if line["kind"] == "eval"][-1]
    assert evaluated["step"] == 300
    assert evaluated["loss"] < LIMIT
    assert cases.result(trained.run)["metrics"]["eval_loss"] == evaluated["loss"]
    assert f"held-out loss {evaluated['loss']:.3f} at step 300" in trained.screen


def test_the_screen_shows_progress_verdicts_and_the_report(trained: Trained) -> None:
    progress = re.findall(
        r"^step \d+/300  loss \d\.\d{3}  [\d,]+ tokens/s  MFU \S+  \d+:\d\d left$", trained.screen, re.MULTILINE
    )
    assert len(progress) == len([line for line in cases.metrics(trained.run) if line["kind"] == "step"]) == 31
    assert re.search(r"^check +verdict +value +limit +reason$", trained.screen, re.MULTILINE)
    for check in ("exit_status", "last_step", "finite_loss", "first_loss", "held_out_loss"):
        assert re.search(rf"^{check} +PASS ", trained.screen, re.MULTILINE)
    assert re.search(r"^throughput +SKIP .*no baseline for ", trained.screen, re.MULTILINE)
    assert "\nverdict: pass\n" in trained.screen
    assert f"\nreport: {trained.run / 'report.html'}\n" in trained.screen
    for word in ("attach", "cancel"):
        assert f"-e {word}={trained.run.name}" in trained.screen.partition("\nstep 0/300")[0]


def test_the_run_folder_holds_what_is_promised(trained: Trained) -> None:
    runs = trained.standing / "runs/fsdp"
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", trained.run.name)
    assert (runs / "latest").is_symlink()
    assert (runs / "latest").resolve() == trained.run
    for name in ("plan.yml", "job.sh", "log.txt", "metrics.jsonl", "result.json", "report.html", "environment.json"):
        assert (trained.run / name).stat().st_size > 0
    assert {path.name for path in trained.standing.iterdir()} == {"runs"}
    assert support.run(["bash", "-n", "job.sh"], trained.run).returncode == 0


def test_the_metrics_are_those_of_the_log(trained: Trained) -> None:
    log = (trained.run / "log.txt").read_text().splitlines()
    told = [json.loads(line.partition("ADT_METRIC ")[2]) for line in log if "ADT_METRIC " in line]
    assert cases.metrics(trained.run) == told
    assert {line["kind"] for line in told} == {"step", "eval", "checkpoint", "event"}


def test_every_metric_has_the_fields_that_are_documented(trained: Trained) -> None:
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text("docs/metrics.md"), re.MULTILINE | re.DOTALL))
    documented = {
        name: set(re.findall(r"^\| `(\w+)` \|", body.partition("\n**")[0], re.MULTILINE))
        for name, body in sections.items()
    }
    for line in cases.metrics(trained.run):
        if line["kind"] == "event":
            assert {"name", "message"} <= set(line) - documented["Every line"]
            assert line["name"] in documented["event"]
        else:
            assert set(line) == documented["Every line"] | documented[line["kind"]], line["kind"]


def test_the_result_has_its_keys_and_tells_what_ran(trained: Trained) -> None:
    result = cases.result(trained.run)
    plan = yaml.safe_load((trained.run / "plan.yml").read_text())
    processes = plan["node"]["accelerators"] or 2
    assert list(result) == RESULT_KEYS
    assert list(result["metrics"]) == ["last_loss", "eval_loss", "tokens_per_s", "mfu", "steps_repeated"]
    for check in result["checks"]:
        assert list(check) == ["id", "node", "value", "unit", "limit", "verdict", "reason", "fix"]
    told = {key: result[key] for key in ("case", "preset", "launcher", "state", "attempts", "nodes", "world_size")}
    assert told == {
        "case": "fsdp",
        "preset": "tiny",
        "launcher": "local",
        "state": "completed",
        "attempts": 1,
        "nodes": 1,
        "world_size": processes,
    }
    assert (result["run_id"], result["verdict"]) == (trained.run.name, "pass")
    assert result["stack"]["packages"]["torch"] in result["stack"]["torch"]
    environment = next(line for line in cases.metrics(trained.run) if line.get("name") == "environment")
    assert environment["message"].startswith(f"{processes} ranks on ")


def test_training_took_less_than_three_minutes_and_ended_cleanly(trained: Trained) -> None:
    assert max(line["elapsed_s"] for line in cases.metrics(trained.run)) < 180
    assert "terminate called" not in (trained.run / "log.txt").read_text()


@pytest.fixture(scope="module")
def afterwards(
    trained: Trained, make_workplace: Callable[[str], Path]
) -> list[tuple[subprocess.CompletedProcess[str], Path]]:
    """The finished run once more, and a copy of it in the hands of a user whose model has no attention."""
    folder = make_workplace("without-attention")
    shutil.copytree(support.ROOT / "test_cases/pytorch", folder / "mine", ignore=shutil.ignore_patterns("ddp"))
    models = folder / "mine/fsdp/models.py"
    source = models.read_text()
    assert source.count("return self.out(mixed_") == 1
    models.write_text(source.replace("return self.out(mixed_", "return 0 * self.out(mixed_"))
    copy = folder / "runs/fsdp" / trained.run.name
    # without the plan, which names the other folder
    shutil.copytree(trained.run, copy, ignore=shutil.ignore_patterns("plan.yml", "job.json"))

    run_id = ["-e", f"run_id={trained.run.name}"]
    ran = cases.two_at_a_time(
        [
            partial(support.play, ["-e", "case=fsdp", *run_id], trained.standing),
            partial(support.play, ["-e", "case=./mine/fsdp launcher_params='procs_per_node=1'", *run_id], folder),
        ]
    )
    return list(zip(ran, (trained.run, copy), strict=True))


def test_the_same_run_again_installs_nothing_and_only_evaluates(
    afterwards: list[tuple[subprocess.CompletedProcess[str], Path]],
) -> None:
    ran, run = afterwards[0]
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"Environment \| Make it\] \*+\nskipping: ", ran.stdout)
    assert "resumed: from step-00000300" in ran.stdout
    second = [line for line in cases.metrics(run) if line["attempt"] == 2]
    assert [line["kind"] for line in second if line["kind"] != "event"] == ["eval"]
    first = next(line for line in cases.metrics(run) if line["kind"] == "eval")
    again = next(line for line in second if line["kind"] == "eval")
    assert again["loss"] == pytest.approx(first["loss"], abs=1e-4)
    assert cases.result(run)["attempts"] == 2


def test_a_model_without_attention_fails_the_held_out_loss_and_the_play(
    afterwards: list[tuple[subprocess.CompletedProcess[str], Path]],
) -> None:
    ran, run = afterwards[1]
    assert ran.returncode != 0
    assert re.search(r'"msg": "fsdp: check held_out_loss [\d.]+ nats/\w+: not below the limit; fix: ', ran.stdout)
    result = cases.result(run)
    assert [check["id"] for check in result["checks"] if check["verdict"] == "fail"] == ["held_out_loss"]
    assert result["verdict"] == "fail"


def test_no_training_would_bring_a_model_without_attention_below_the_limit() -> None:
    """It sees one byte to tell the next: at best the entropy of the very rows that it is held to, given a byte."""
    data = TEXT.read_bytes()
    held_out = data[len(data) - len(data) // 10 :]
    rows = [held_out[start : start + 257] for start in range(0, 64 * 257, 257)]
    pairs = Counter(pair for row in rows for pair in pairwise(row))
    before = Counter(first for first, _ in pairs.elements())
    best = -sum(count * math.log(count / before[first]) for (first, _), count in pairs.items()) / pairs.total()
    assert best > LIMIT


def text(name: str) -> str:
    """A file of the project."""
    return (support.ROOT / name).read_text()
