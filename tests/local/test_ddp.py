"""Case ddp through the play: interrupted and resumed, left to itself and followed again."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases


def test_an_interrupted_run_saves_and_goes_on_where_it_stopped(workplace: Path) -> None:
    args = ["-e", "case=ddp", "-e", "params='steps=120 eval_rows=32'"]
    with cases.Play(args, workplace) as play:
        play.wait_for("\nstep 29/120")
        play.signal(signal.SIGINT)
        assert play.wait() != 0
    run = support.latest_run(workplace, "ddp")
    cases.wait_until(lambda: cases.job(run)["state"] == "exited", "the job ends")
    assert cases.job(run)["exit_status"] == 75
    assert (run / "saved.1").exists()
    asked = re.search(r'"name": "saved_on_request".*"step": (\d+)', (run / "log.txt").read_text())
    assert asked
    saved = int(asked[1])
    assert 30 <= saved < 120

    resumed = support.play([*args, "-e", f"run_id={run.name}"], workplace)

    assert resumed.returncode == 0, resumed.stdout
    assert f"resumed: from step-{saved:08d}" in resumed.stdout
    assert "\nstep 0/120" not in resumed.stdout
    steps = [line for line in cases.metrics(run) if line["kind"] == "step"]
    assert [line["attempt"] for line in steps] == sorted(line["attempt"] for line in steps)
    assert [line["step"] for line in steps] == sorted({0, *range(9, 120, 10), saved})
    assert next(line["step"] for line in steps if line["attempt"] == 2) == saved
    result = cases.result(run)
    assert (result["attempts"], result["state"], result["verdict"]) == (2, "completed", "pass")


def test_a_detached_run_outlives_its_follower_and_is_followed_again(workplace: Path) -> None:
    mine = cases.write_case(workplace / "mine", cases.training(steps=60, pause_s=0.1))
    started = support.play(["-e", "case=./mine detach=true"], workplace)
    assert started.returncode == 0, started.stdout
    run = support.latest_run(workplace, mine.name)
    attach = f"-e attach={run.name}"
    assert attach in started.stdout
    with cases.Play(attach.split(), workplace) as follower:
        follower.wait_for("\nstep 0/60")
        follower.signal(signal.SIGKILL)
        follower.wait()
    job = cases.job(run)
    assert job["state"] == "running"
    os.kill(job["pid"], 0)
    assert not (run / "result.json").exists()

    ran = support.play(attach.split(), workplace)

    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.index("\nstep 0/60") < ran.stdout.index("\nstep 59/60") < ran.stdout.index("verdict: pass")
    result = cases.result(run)
    assert (result["attempts"], result["state"], result["verdict"]) == (1, "completed", "pass")


def test_rendered_ddp_trains_in_an_environment_of_the_users_own(trained_ddp: Path, workplace: Path) -> None:
    params = "steps=5 eval_rows=16"
    ran = support.play(
        ["-e", f"case=ddp render_to=job params='{params}' launcher_params='procs_per_node=1'"], workplace
    )
    assert ran.returncode == 0, ran.stdout
    assert (workplace / "job/requirements.lock").exists()
    python = re.search(r"^export ADT_PYTHON=(\S+)$", (trained_ddp / "job.sh").read_text(), re.MULTILINE)
    assert python
    ran = support.run(["bash", "job/job.sh"], workplace, {"ADT_PYTHON": python[1]})
    assert ran.returncode == 0, ran.stdout
    lines = [json.loads(line.partition("ADT_METRIC ")[2]) for line in ran.stdout.splitlines() if "ADT_METRIC " in line]
    assert [line["step"] for line in lines if line["kind"] == "step"] == [0, 4]
    assert (workplace / "job/checkpoints/step-00000005/manifest.json").exists()
