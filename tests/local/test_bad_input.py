"""What is wrong with a request is told in one line, with its value and its fix, and nothing is left half-done."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases
from ansible_collections.awsome.distributed_training.tests.local.conftest import DDP_PARAMS

RUN_ID = "20261124T000000Z-abcd"
ONE_PROCESS = "launcher_params='procs_per_node=1'"
"""Starts in half the time; a run may go on with another number of processes than it began with."""

MINE = """\
schema: 1
name: mine
summary: A case of a user.
framework: none
accelerators: [cpu, cuda]
presets: {tiny: {help: As it is.}}
steps:
  - {name: train, start: single, run: [python, train.py]}
metrics: {source: adt}
"""


@dataclass(frozen=True)
class Refusal:
    """A request that is refused before anything is made."""

    args: str
    says: str
    case: str | None = None
    """Text of mine/case.yml in the folder that the user stands in."""


REFUSALS = {
    "no case": Refusal("", "case is not given; fix: -e case=NAME; known: ddp, fsdp, jax"),
    "wrong case": Refusal("case=fspd", "case=fspd is not known; fix: did you mean fsdp? Known: ddp, fsdp, jax"),
    "folder without a case": Refusal("case=./", "holds no case.yml; fix: give a case's name or the folder"),
    "bad YAML": Refusal(
        "case=./mine",
        "mine/case.yml, line 2: not YAML: mapping values are not allowed here; fix:",
        "schema: 1\nname: mine: x\n",
    ),
    "unknown key": Refusal("case=./mine", "sercets", MINE + "sercets: [HF_TOKEN]\n"),
    "key of a wrong type": Refusal("case=./mine", "framework", MINE.replace("framework: none", "framework: [none]")),
    "unknown variable in a step": Refusal(
        "case=./mine",
        "steps.train: $ADT_RUNDIR is not known; fix: did you mean ADT_RUN_DIR?",
        MINE.replace("train.py", "train.py, $ADT_RUNDIR"),
    ),
    "lock file that is not there": Refusal(
        "case=./mine",
        "nowhere.lock; fix: write that lock file, or name another",
        MINE + "environment: {requirements: ../nowhere}\n",
    ),
    "parameter of a wrong type": Refusal(
        "case=ddp params='steps=abc'", "params: steps='abc' is not a whole number; fix: give steps like 4"
    ),
    "unknown choice": Refusal(
        "case=fsdp params='model=llama2_7'", "model='llama2_7' is not one of its choices; fix: did you mean llama2_7b?"
    ),
    "unknown parameter": Refusal(
        "case=ddp params='stesp=5'", "params: there is no parameter 'stesp'; fix: did you mean steps?"
    ),
    "params without a value": Refusal("case=ddp params=steps", "params: 'steps' is not name=value; fix: -e"),
    "misspelt variable": Refusal(
        "case=ddp prset=tiny", "variable 'prset' is not known; fix: did you mean preset? Known: attach, cancel"
    ),
    "no nodes": Refusal("case=ddp nodes=0", "nodes=0: a run needs at least one node; fix: -e nodes=1"),
    "more nodes than there are": Refusal(
        "case=ddp nodes=2", "nodes=2: launcher local has 1 node; fix: -e nodes=1, or a launcher for several nodes"
    ),
    "unknown preset": Refusal(
        "case=fsdp preset=tiny_hybird",
        "preset=tiny_hybird: case fsdp has no such preset; fix: did you mean tiny_hybrid?",
    ),
    "unknown launcher": Refusal(
        "case=ddp launcher=lokal", "launcher=lokal is not known; fix: did you mean local? Known: kubernetes, local"
    ),
    "malformed run id": Refusal(
        "case=ddp run_id=yesterday", "run_id='yesterday' is not a run id; fix: the name of a run's folder"
    ),
    "attach to an unknown run": Refusal(f"attach={RUN_ID}", f"run {RUN_ID} is not in "),
    "cancel of an unknown run": Refusal(f"cancel={RUN_ID}", "fix: give runs_dir, or stand in the folder that holds"),
    "two acts at once": Refusal(
        f"attach={RUN_ID} cancel={RUN_ID}", "attach and cancel exclude each other; fix: leave out cancel"
    ),
    "runs below a file": Refusal(
        "case=ddp runs_dir=/etc/hostname/runs",
        "runs_dir=/etc/hostname/runs: Not a directory; fix: -e runs_dir=FOLDER that you may write to",
    ),
    "runs where nobody may write": Refusal(
        "case=ddp runs_dir=/proc/runs", "runs_dir=/proc/runs: No such file or directory; fix: -e runs_dir=FOLDER"
    ),
    "render below a file": Refusal(
        "case=ddp render_to=/etc/hostname/job",
        "render_to=/etc/hostname/job: Not a directory; fix: -e render_to=FOLDER that you may write to",
    ),
    "submit to Kubernetes": Refusal(
        "case=ddp launcher=kubernetes image=ddp",
        "launcher=kubernetes cannot submit yet, only render; fix: -e render_to=FOLDER",
    ),
    "steps that share no folder": Refusal(
        "case=jax launcher=kubernetes image=jax render_to=job",
        "case jax: 2 steps share checkpoints and data; fix: -e launcher_params='claim=NAME'",
    ),
    "unknown instance type": Refusal(
        "case=ddp launcher=kubernetes image=ddp render_to=job launcher_params='instance_type=p5.48xlrge'",
        "instance type 'p5.48xlrge' is not in the catalogue; fix: did you mean p5.48xlarge?",
    ),
}
Answers = dict[str, tuple[subprocess.CompletedProcess[str], set[str]]]


@pytest.fixture(scope="module")
def answers(request: pytest.FixtureRequest, make_workplace: Callable[[str], Path]) -> Answers:
    """By name of a refusal that this session tests: what the play showed, and the files that it made."""
    tested = [name for name in REFUSALS if any(f"made[{name}]" in item.nodeid for item in request.session.items)]
    folder = make_workplace("refusals")

    def ask(name: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
        standing, refusal = folder / name, REFUSALS[name]
        (standing / "mine").mkdir(parents=True)
        if refusal.case is not None:
            (standing / "mine/case.yml").write_text(refusal.case)
        ran = support.play(["-e", refusal.args] if refusal.args else [], standing)
        return ran, {str(path.relative_to(standing)) for path in standing.rglob("*")} - {"mine", "mine/case.yml"}

    return dict(zip(tested, cases.two_at_a_time([partial(ask, name) for name in tested]), strict=True))


def told(screen: str) -> str:
    """The one message by which a play failed."""
    assert "Traceback" not in screen
    assert screen.count("[ERROR]") == 1, screen
    lines = [line for line in screen.splitlines() if line.startswith("fatal: ")]
    assert len(lines) == 1, screen
    message: str = json.loads(lines[0].partition("FAILED! => ")[2])["msg"]
    assert "\n" not in message
    assert re.search(r"\S; fix: \S", message), message
    return message


@pytest.mark.parametrize("name", REFUSALS)
def test_it_is_refused_in_one_line_and_nothing_is_made(name: str, answers: Answers) -> None:
    ran, made = answers[name]
    assert ran.returncode != 0
    assert REFUSALS[name].says in told(ran.stdout)
    assert made == set()


def copied(run: Path, workplace: Path, run_id: str | None = None) -> Path:
    """The copy of a run that a user who stands in ``workplace`` goes on with."""
    copy = workplace / "runs" / run.parent.name / (run_id or run.name)
    shutil.copytree(run, copy)
    return copy


def test_a_run_goes_on_only_by_its_own_plan(trained_ddp: Path, workplace: Path) -> None:
    run = copied(trained_ddp, workplace)
    before = support.files_under(run)
    ran = support.play(["-e", "case=ddp", "-e", f"run_id={run.name}"], workplace)
    assert ran.returncode != 0
    assert f"run {run.name} has another plan: parameters, steps differ; fix: repeat the first" in told(ran.stdout)
    assert support.files_under(run) == before


@pytest.fixture(scope="module")
def misfits(trained_ddp: Path, make_workplace: Callable[[str], Path]) -> dict[str, tuple[str, Path]]:
    """What plays showed of which training found out, and their run folders."""
    folder = make_workplace("misfits")
    params = {
        "no data": "steps=5 data=text:/nowhere/text",
        "other model": f"{DDP_PARAMS} width=48",
    }
    for name in params:
        (folder / name).mkdir()
    (copied(trained_ddp, folder / "other model", RUN_ID) / "plan.yml").unlink()

    def train(name: str) -> tuple[str, Path]:
        request = f"case=ddp run_id={RUN_ID} params='{params[name]}' {ONE_PROCESS}"
        ran = support.play(["-e", request], folder / name)
        assert ran.returncode != 0, ran.stdout
        return ran.stdout, folder / name / "runs/ddp" / RUN_ID

    return dict(zip(params, cases.two_at_a_time([partial(train, name) for name in params]), strict=True))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "no data",
            "ddp: data=text:/nowhere/text cannot be read: No such file or directory; fix: the path of a readable text",
        ),
        ("other model", "does not fit: width 96 there, 48 here; fix: the settings that it was made with, or a new run"),
    ],
)
def test_what_training_refuses_is_told_in_one_line(name: str, says: str, misfits: dict[str, tuple[str, Path]]) -> None:
    screen, run = misfits[name]
    assert says in told(screen)
    assert cases.result(run)["state"] == "failed"


def test_a_checkpoint_of_another_model_stays_as_it_was(trained_ddp: Path, misfits: dict[str, tuple[str, Path]]) -> None:
    run = misfits["other model"][1]
    for path in sorted((trained_ddp / "checkpoints").rglob("*.*")):
        assert (run / path.relative_to(trained_ddp)).read_bytes() == path.read_bytes()


def test_the_checkpoint_before_a_truncated_one_is_used(trained_ddp: Path, workplace: Path) -> None:
    run = copied(trained_ddp, workplace)
    newest = run / "checkpoints/step-00000040/state.pt"
    os.truncate(newest, newest.stat().st_size // 2)
    ran = support.play(["-e", f"case=ddp run_id={run.name} params='{DDP_PARAMS}' {ONE_PROCESS}"], workplace)
    assert ran.returncode == 0, ran.stdout
    assert "checkpoint step-00000040 is damaged (state.pt): the one before it is used" in ran.stdout
    second = [line for line in cases.metrics(run) if line["attempt"] == 2]
    assert next(line["step"] for line in second if line["kind"] == "step") == 20
    assert cases.result(run)["verdict"] == "pass"


FILL_THE_DISK = """\
mount -t tmpfs -o size=6m tmpfs disk
"$@" || echo "first ended with $?"
ls disk/ddp/latest/checkpoints
mount -o remount,size=64m disk
exec "$@"
"""


def test_a_disk_that_fills_up_while_saving_costs_no_checkpoint(workplace: Path) -> None:
    (workplace / "disk").mkdir()
    alone = ["unshare", "--map-root-user", "--mount"]
    if support.run([*alone, "mount", "-t", "tmpfs", "tmpfs", "disk"], workplace).returncode:
        pytest.skip("no file system of a test's own can be mounted here")
    request = f"case=ddp run_id={RUN_ID} runs_dir=disk params='{DDP_PARAMS} checkpoints_kept=3' {ONE_PROCESS}"
    play = [support.BIN / "ansible-playbook", support.PLAYBOOK, "-e", request]

    ran = support.run([*alone, "bash", "-euc", FILL_THE_DISK, "bash", *play], workplace)

    first, marked, second = ran.stdout.partition("first ended with")
    assert marked, ran.stdout
    message = told(first)
    assert "ddp: the checkpoint of step 40 could not be saved in" in message
    assert "MiB are free there; fix: make room or name another folder, and run again" in message
    assert "No space left on device" in message
    assert second.splitlines()[1] == "step-00000020"
    assert "resumed: from step-00000020" in second
    assert ran.returncode == 0, second
    assert "verdict: pass" in second
