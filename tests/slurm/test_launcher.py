"""Launcher slurm on the local cluster, with a stand-in for training that needs nothing installed."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases
from ansible_collections.awsome.distributed_training.tests.slurm.clusters import Cluster, wait_for_step

WHO = """
import os
from adt_train import Environment, MetricWriter
names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODES", "NODE_RANK", "HEAD_ADDR", "ATTEMPT", "ACCELERATOR")
told = " ".join(f"{name}={os.environ['ADT_' + name]}" for name in names)
print(f"I am {told} {os.uname().nodename}\\n", end="", flush=True)
writer = MetricWriter(Environment.read(), int(os.environ["ADT_RANK"]), accelerators=1, tokens_per_step=1,
                      flops_per_token=1, total_steps=1)
data = open(os.environ["ADT_DATA_DIR"] + "/data").read()
writer.step(0, float(len(data)), 0.1, 0.1)
writer.eval(1, 1.0)
"""
TWO_STEPS = [
    {"name": "prepare", "start": "single", "on": "one", "when": "absent", "makes": ["$ADT_DATA_DIR/data"],
     "run": ["python", "-c", "import os; open(os.environ['ADT_DATA_DIR'] + '/data', 'w').write('data')"]},
    {"name": "train", "start": "per_rank", "run": ["python", "train.py"]},
]  # fmt: skip


def test_data_is_prepared_by_a_small_job_and_the_processes_of_all_nodes_know_each_other(
    cluster: Cluster, workplace: Path
) -> None:
    cases.write_case(workplace / "who", WHO, steps=TWO_STEPS)
    ran = cluster.play("-e", "case=./who nodes=2 launcher_params='time=10 procs_per_node=2'", cwd=workplace)
    assert ran.returncode == 0, ran.stdout
    run = support.latest_run(workplace, "who")
    told = sorted(line for line in (run / "log.txt").read_text().splitlines() if line.startswith("I am "))
    assert len(told) == 4
    for rank, line in enumerate(told):
        assert f"RANK={rank} LOCAL_RANK={rank % 2} WORLD_SIZE=4 NODES=2 NODE_RANK={rank // 2}" in line
        assert "ATTEMPT=1 ACCELERATOR=cpu" in line
    assert len({line.split()[-1] for line in told}) == 2
    result = cases.result(run)
    assert (result["state"], result["verdict"], result["world_size"]) == ("completed", "pass", 4)
    submitted = json.loads(cluster.run(f"cat {cluster.run_dir(run)}/slurm.json"))["jobs"]
    prepare, train = (job["id"] for job in submitted)
    columns = ("State", "NNodes", "TimelimitRaw")
    assert cluster.accounted(prepare, *columns)[0][:2] == ["COMPLETED", "1"]
    assert cluster.accounted(train, *columns) == [["COMPLETED", "2", "10"]]


def test_nobody_needs_another_right_than_to_submit(cluster: Cluster) -> None:
    denied = subprocess.run(
        ["docker", "exec", "-u", cluster.user, f"adt-{cluster.name}-ctl", "sudo", "-n", "true"],
        capture_output=True,
        check=False,
    )
    assert denied.returncode != 0


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("launcher_params='partition=mian'", "partition=mian is not known to this cluster; fix: did you mean main?"),
        ("nodes=9", "nodes=9: partition main has 3 nodes; fix: -e nodes=3"),
        (
            "launcher_params='reservation=mine'",
            "Requested reservation is invalid; fix: -e launcher_params='reservation=NAME'",
        ),
        ("launcher_params='time=soon'", "launcher_params of slurm: time='soon' is no time limit; fix: minutes"),
        ("launcher_params='shared_dir=/proc'", "/proc/adt-trainer"),
    ],
)
def test_what_the_cluster_refuses_is_told_in_one_line(
    cluster: Cluster, workplace: Path, request_: str, message: str
) -> None:
    cases.write_case(workplace / "refused", cases.training(2, 0.1))
    ran = cluster.play("-e", f"case=./refused {request_}", cwd=workplace)
    assert ran.returncode != 0
    assert message in cases.told(ran.stdout)


def test_check_mode_plans_with_what_the_cluster_offers_and_submits_nothing(cluster: Cluster, workplace: Path) -> None:
    cases.write_case(workplace / "checked", cases.training(2, 0.1))
    before = cluster.run("sacct --allusers --allocations --noheader --format=JobID | wc -l")
    ran = cluster.play("--check", "-e", "case=./checked nodes=2", cwd=workplace)
    assert ran.returncode == 0, ran.stdout
    assert "launcher: slurm" in ran.stdout
    assert "cpus: 2" in ran.stdout
    assert not (workplace / "runs").exists()
    assert cluster.run("sacct --allusers --allocations --noheader --format=JobID | wc -l") == before


def test_an_interrupted_play_leaves_the_job_and_the_printed_command_follows_it_to_its_end(
    cluster: Cluster, workplace: Path
) -> None:
    cases.write_case(workplace / "long", cases.training(40, 0.3))
    with cases.Play(cluster.words("-e", "case=./long launcher_params='procs_per_node=1'"), workplace) as play:
        wait_for_step(play, 2)
        play.signal(signal.SIGINT)
        play.wait()
        shown = play.shown()
    (again,) = (line.split(": ", 1)[1] for line in shown.splitlines() if line.startswith("follow from another"))
    run = support.latest_run(workplace, "long")
    job = cluster.job_id(run)
    assert cluster.run(f"squeue --noheader --jobs={job} --format=%T").strip() == "RUNNING"
    followed = support.run(["bash", "-c", again], workplace, {"PATH": f"{support.BIN}:/usr/bin:/bin"})
    assert followed.returncode == 0, followed.stdout
    for step in range(40):
        assert f"step {step}/40" in followed.stdout, "from the first line on"
    assert (cases.result(run)["state"], cases.result(run)["attempts"]) == ("completed", 1)


def test_cancel_lets_a_run_save_and_run_id_goes_on_from_there(cluster: Cluster, workplace: Path) -> None:
    cases.write_case(workplace / "stopped", cases.training(60, 0.2))
    one = "launcher_params='procs_per_node=1'"
    ran = cluster.play("-e", f"case=./stopped detach=true {one}", cwd=workplace)
    assert ran.returncode == 0, ran.stdout
    run = support.latest_run(workplace, "stopped")
    cases.wait_until(lambda: '"step": 3' in cluster.log(run), "step 3")
    ran = cluster.play("-e", f"cancel={run.name}", cwd=workplace)
    assert ran.returncode == 0, ran.stdout
    assert cases.result(run)["state"] == "cancelled"
    job = cluster.job_id(run)
    ((state, code),) = cluster.accounted(job, "State", "ExitCode")
    assert (state, code) == ("FAILED", "75:0"), "it ended by itself, saved, and did not go back to the queue"
    again = cluster.play("-e", f"cancel={run.name}", cwd=workplace)
    assert "nothing was stopped" in again.stdout
    ran = cluster.play("-e", f"case=./stopped run_id={run.name} {one}", cwd=workplace)
    assert ran.returncode == 0, ran.stdout
    result = cases.result(run)
    assert (result["state"], result["attempts"]) == ("completed", 2)
    saved = next(m for m in cases.metrics(run) if m["kind"] == "checkpoint")["step"]
    assert [m["step"] for m in cases.metrics(run) if m["kind"] == "step" and m["attempt"] == 2] == list(
        range(saved, 60)
    )


def test_a_run_that_waits_in_the_queue_is_submitted_once_and_cancelled_without_a_trace(
    cluster: Cluster, workplace: Path
) -> None:
    cases.write_case(workplace / "queued", cases.training(2, 0.1))
    held = "case=./queued detach=true run_id=20261125T000000Z-0001 launcher_params='reservation='"
    cluster.run("scontrol update partition=main state=down", user="root")
    try:
        for _ in range(2):
            ran = cluster.play("-e", held, cwd=workplace)
            assert ran.returncode == 0, ran.stdout
        waiting = cluster.run("squeue --me --noheader --states=PENDING --format=%j").split()
        assert [name for name in waiting if name.startswith("queued-")] == ["queued-20261125t000000z-0001-train"]
        ran = cluster.play("-e", "cancel=20261125T000000Z-0001", cwd=workplace)
    finally:
        cluster.run("scontrol update partition=main state=up", user="root")
    assert ran.returncode == 0, ran.stdout
    assert cases.result(workplace / "runs/queued/20261125T000000Z-0001")["state"] == "cancelled"


def test_a_mistake_is_not_tried_again(cluster: Cluster, workplace: Path) -> None:
    cases.write_case(workplace / "broken", "raise SystemExit('no such thing')")
    ran = cluster.play("-e", "case=./broken launcher_params='procs_per_node=1'", cwd=workplace)
    assert ran.returncode != 0
    run = support.latest_run(workplace, "broken")
    assert cases.result(run)["state"] == "failed"
    assert cluster.accounted(cluster.job_id(run), "State", "ExitCode") == [["FAILED", "1:0"]]


def test_a_run_that_loses_its_processes_again_and_again_stops_after_its_restarts(
    cluster: Cluster, workplace: Path
) -> None:
    dies = cases.training(9, 0.1).replace(
        "if stop.requested:", "if step == 1:\n        import os; os.kill(os.getpid(), 9)\n    if 0:"
    )
    cases.write_case(workplace / "dies", dies)
    ran = cluster.play("-e", "case=./dies launcher_params='procs_per_node=1 restarts=1'", cwd=workplace)
    assert ran.returncode != 0
    run = support.latest_run(workplace, "dies")
    rows = cluster.accounted(cluster.job_id(run), "State", "ExitCode")
    assert [state for state, _ in rows] == ["REQUEUED", "FAILED"]
    assert cases.result(run)["attempts"] == 2
