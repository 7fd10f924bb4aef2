"""What training or a save finds out is told in one line, and costs nothing that was good."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases
from ansible_collections.awsome.distributed_training.tests.local.conftest import DDP_PARAMS

RUN_ID = "20261124T000000Z-abcd"
ONE_PROCESS = "launcher_params='procs_per_node=1'"
"""Starts in half the time; a run may go on with another number of processes than it began with."""


def copied(run: Path, workplace: Path, run_id: str | None = None) -> Path:
    """The copy of a run that a user who stands in ``workplace`` goes on with."""
    copy = workplace / "runs" / run.parent.name / (run_id or run.name)
    shutil.copytree(run, copy)
    return copy


def test_an_environment_that_cannot_be_made_leaves_no_run_behind(workplace: Path) -> None:
    mine = cases.write_case(workplace / "mine", environment={"requirements": "requirements"})
    (mine / "requirements.lock").write_text(f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": None, "XDG_CACHE_HOME": str(workplace / "cache")}
    ran = support.play(["-e", "case=./mine"], workplace, offline)
    assert ran.returncode != 0
    assert "No matching distribution found for no-such-package==1.0; fix: " in cases.told(ran.stdout)
    assert not (workplace / "runs").exists()
    assert [path.name for path in (workplace / "cache").rglob("*") if path.suffix != ".lock"] == [
        "awsome-distributed-training",
        "environments",
    ]


def test_a_run_goes_on_only_by_its_own_plan(trained_ddp: Path, workplace: Path) -> None:
    run = copied(trained_ddp, workplace)
    before = support.files_under(run)
    ran = support.play(["-e", "case=ddp", "-e", f"run_id={run.name}"], workplace)
    assert ran.returncode != 0
    assert f"run {run.name} has another plan: parameters, steps differ; fix: repeat the first" in cases.told(ran.stdout)
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
    assert says in cases.told(screen)
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
    message = cases.told(first)
    assert "ddp: the checkpoint of step 40 could not be saved in" in message
    assert "MiB are free there; fix: make room or name another folder, and run again" in message
    assert "No space left on device" in message
    assert second.splitlines()[1] == "step-00000020"
    assert "resumed: from step-00000020" in second
    assert ran.returncode == 0, second
    assert "verdict: pass" in second
