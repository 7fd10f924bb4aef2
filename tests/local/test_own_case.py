"""A user's own case, in a folder outside the project, runs by its path with nothing edited."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases

SCRIPT = """
import json
for step in range(3):
    print("ADT_METRIC", json.dumps({"kind": "step", "attempt": 1, "step": step, "steps": 2, "loss": 3.0 - step}))
print("<script>alert(1)</script>")
print("ADT_METRIC", json.dumps({"kind": "event", "name": "note", "message": "<script>alert(2)</script>"}))
"""


def test_a_case_runs_by_its_path_and_its_report_shows_markup_as_text(workplace: Path) -> None:
    cases.write_case(workplace / "mine", SCRIPT, summary="<script>alert(3)</script>")
    ran = support.play(["-e", "case=./mine"], workplace)
    assert ran.returncode == 0, ran.stdout
    run = support.latest_run(workplace, "mine")
    assert "<script>alert(1)</script>" in (run / "log.txt").read_text()
    report = (run / "report.html").read_text()
    assert "<script" not in report
    for number in (1, 2, 3):
        assert f"&lt;script&gt;alert({number})&lt;/script&gt;" in report
    assert support.files_under(workplace / "mine") == {"case.yml", "train.py"}


def test_make_run_takes_the_path_of_a_case(workplace: Path) -> None:
    cases.write_case(workplace / "mine", SCRIPT)
    ran = support.run(["make", "-f", support.ROOT / "Makefile", "run", f"CASE={workplace}/mine"], workplace)
    assert ran.returncode == 0, ran.stdout
    assert cases.result(support.latest_run(workplace, "mine"))["verdict"] == "pass"


MAKE = ["python", "make.py", "it's {word}"]
STEPS = [
    {
        "name": "fetch",
        "start": "single",
        "on": "one",
        "when": "absent",
        "makes": ["$ADT_DATA_DIR/fetched"],
        "run": [*MAKE, "$ADT_DATA_DIR/fetched"],
    },
    {
        "name": "convert",
        "start": "single",
        "on": "one",
        "when": "changed",
        "makes": ["$ADT_DATA_DIR/converted"],
        "run": [*MAKE, "${ADT_DATA_DIR}/converted"],
    },
    {"name": "check", "start": "per_node", "run": ["python", "check.py", "--node=$ADT_NODE_RANK of ${ADT_NODES}"]},
    {
        "name": "train",
        "start": "per_rank",
        "run": ["python", "train.py", "{params}"],
        "resume": ["python", "train.py", "--resume", "{params}"],
    },
]
MAKES = """
import sys
with open(sys.argv[2], "a") as file:
    print(sys.argv[1], file=file)
"""
RANK = """
import json, os, sys
rank, ranks, attempt = (os.environ[f"ADT_{name}"] for name in ("RANK", "WORLD_SIZE", "ATTEMPT"))
print(f"rank {rank} of {ranks} attempt {attempt} {sys.argv[1:]}\\n", end="")  # one write: ranks share the log
if rank == "0":
    print("ADT_METRIC", json.dumps({"kind": "eval", "attempt": int(attempt), "step": 1, "loss": 1.0}))
"""


def test_steps_run_in_order_when_they_must_and_a_second_attempt_resumes(workplace: Path) -> None:
    case = cases.write_case(
        workplace / "steps",
        RANK,
        steps=STEPS,
        parameters={"word": {"type": "str", "default": "here & there", "help": "A word."}},
    )
    (case / "make.py").write_text(MAKES)
    (case / "check.py").write_text("import sys; print('checks', sys.argv[1:])")
    data = workplace / "runs/steps/data"

    def train(request: str) -> str:
        ran = support.play(["-e", f"case=./steps launcher_params='procs_per_node=2' {request}"], workplace)
        assert ran.returncode == 0, ran.stdout
        return (support.latest_run(workplace, "steps") / "log.txt").read_text()

    first = train("")
    lines = ["step fetch", "step convert", "step check", "checks ['--node=0 of 1']", "step train", "rank "]
    places = [first.index(line) for line in lines]
    assert places == sorted(places)
    for rank in (0, 1):
        assert f"rank {rank} of 2 attempt 1 ['--word=here & there']" in first
    made = {name: (data / name).read_text() for name in ("fetched", "converted")}
    assert made == {"fetched": "it's here & there\n", "converted": "it's here & there\n"}

    run = support.latest_run(workplace, "steps")
    second = train(f"run_id={run.name}").removeprefix(first)
    for step in ("fetch", "convert"):
        assert f"step {step}: what it makes is there" in second
    for rank in (0, 1):
        assert f"rank {rank} of 2 attempt 2 ['--resume', '--word=here & there']" in second
    assert cases.result(run)["attempts"] == 2

    other = train("params='word=elsewhere'")
    assert "step fetch: what it makes is there" in other
    assert "step convert\n" in other
    assert (data / "fetched").read_text() == made["fetched"]
    assert (data / "converted").read_text() == made["converted"] + "it's elsewhere\n"


def test_a_run_is_cancelled_from_another_terminal_once(workplace: Path) -> None:
    cases.write_case(workplace / "long", cases.training(steps=1000, pause_s=0.1))
    started = support.play(["-e", "case=./long detach=true"], workplace)
    assert started.returncode == 0, started.stdout
    run = support.latest_run(workplace, "long")
    cancel = ["-e", f"cancel={run.name}"]
    with cases.Play(["-e", f"attach={run.name}"], workplace) as follower:
        follower.wait_for("\nstep 0/1000")
        cancelled = support.play(cancel, workplace)
        assert cancelled.returncode == 0, cancelled.stdout
        assert follower.wait() != 0
    says = f"long was cancelled; fix: -e run_id={run.name} goes on from its newest checkpoint"
    assert says in follower.shown(), follower.shown()
    assert cases.job(run)["exit_status"] == 75
    assert list((run / "checkpoints").glob("step-*"))
    assert (run / "report.html").exists()

    again = support.play(cancel, workplace)
    assert again.returncode == 0, again.stdout
    assert f"run {run.name} does not run: nothing was stopped" in again.stdout
    assert cases.result(run)["state"] == "cancelled"


FAILING = {
    "nan": (
        'print(\'ADT_METRIC {"kind": "step", "step": 0, "steps": 0, "loss": "nan"}\')',
        "nan: check finite_loss nan nats/token: the loss of step 0 is not a number; fix: lower the learning rate",
    ),
    "silent": ("pass", "silent: check finite_loss: no loss was printed; fix: print metrics through adt_train"),
    "exits": (
        SCRIPT + "raise SystemExit(3)",
        "exits: check exit_status 3: the job failed; fix: read the end of log.txt",
    ),
    "early": (
        'print(\'ADT_METRIC {"kind": "step", "step": 3, "steps": 9, "loss": 1.0}\')',
        "early: check last_step 4 steps: training ended before step 9; fix: read the end of log.txt",
    ),
}


@pytest.fixture(scope="module")
def failed(make_workplace: Callable[[str], Path]) -> dict[str, tuple[subprocess.CompletedProcess[str], Path]]:
    """By name of a case that fails: what its play showed, and the folder that the user stood in."""
    folder = make_workplace("failing")
    for name, (script, _) in FAILING.items():
        cases.write_case(folder / name, script)
    ran = cases.two_at_a_time([partial(support.play, ["-e", f"case=./{name}"], folder) for name in FAILING])
    return {name: (one, folder) for name, one in zip(FAILING, ran, strict=True)}


@pytest.mark.parametrize("name", FAILING)
def test_a_run_that_proves_nothing_fails_the_play(
    name: str, failed: dict[str, tuple[subprocess.CompletedProcess[str], Path]]
) -> None:
    ran, folder = failed[name]
    assert ran.returncode != 0
    assert FAILING[name][1] in ran.stdout
    assert "verdict: fail" in ran.stdout
    run = support.latest_run(folder, name)
    assert cases.result(run)["verdict"] == "fail"
    assert (run / "report.html").exists()
