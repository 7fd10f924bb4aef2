"""What is wrong with a request is told in one line, with its value and its fix, before anything is made."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests.local import cases
from ansible_collections.awsome.distributed_training.tests.rendering import forked

RUN_ID = "20261124T000000Z-abcd"

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

    def ask(name: str, play: forked.Play) -> tuple[subprocess.CompletedProcess[str], set[str]]:
        standing, refusal = folder / name, REFUSALS[name]
        (standing / "mine").mkdir(parents=True)
        if refusal.case is not None:
            (standing / "mine/case.yml").write_text(refusal.case)
        ran = play(["-e", refusal.args] if refusal.args else [], standing)
        return ran, {str(path.relative_to(standing)) for path in standing.rglob("*")} - {"mine", "mine/case.yml"}

    with forked.plays(2) as play:
        told = cases.two_at_a_time([partial(ask, name, play) for name in tested])
    return dict(zip(tested, told, strict=True))


@pytest.mark.parametrize("name", REFUSALS)
def test_it_is_refused_in_one_line_and_nothing_is_made(name: str, answers: Answers) -> None:
    ran, made = answers[name]
    assert ran.returncode != 0
    assert REFUSALS[name].says in cases.told(ran.stdout)
    assert made == set()
