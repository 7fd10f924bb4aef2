"""Nodes, ranks and plays that go away in mid-training: the run resumes, and learns what an unbroken one learns."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.faults.training import (
    STEPS,
    assert_resumed,
    losses,
    training,
)
from ansible_collections.awsome.distributed_training.tests.local import cases
from ansible_collections.awsome.distributed_training.tests.slurm.clusters import Cluster

Losses = dict[int, float]


def test_a_node_that_dies_and_is_noticed(cluster: Cluster, workplace: Path, unbroken: Losses) -> None:
    with training(cluster, workplace, until_step=15) as run:
        victim = run.nodes()[1]
        cluster.docker("kill", victim)
        try:
            cluster.wait_for_node(victim, "down")
        finally:
            cluster.docker("start", victim)
        assert run.play.wait(240) == 0, run.play.shown()
    assert_resumed(run.run, unbroken)


def test_a_node_that_dies_and_is_back_before_anyone_noticed(
    cluster: Cluster, workplace: Path, unbroken: Losses
) -> None:
    with training(cluster, workplace, until_step=15) as run:
        victim = run.nodes()[1]
        cluster.docker("kill", victim)
        cluster.docker("start", victim)
        assert run.play.wait(240) == 0, run.play.shown()
    assert_resumed(run.run, unbroken)
    assert [row[0] for row in cluster.accounted(run.job, "State")][-1] == "COMPLETED"


@pytest.mark.full
@pytest.mark.parametrize("noticed", [True, False])
def test_the_node_of_the_batch_script_dies(cluster: Cluster, workplace: Path, unbroken: Losses, noticed: bool) -> None:
    with training(cluster, workplace, until_step=15) as run:
        victim = run.nodes()[0]
        cluster.docker("kill", victim)
        try:
            if noticed:
                cluster.wait_for_node(victim, "down")
        finally:
            cluster.docker("start", victim)
        assert run.play.wait(240) == 0, run.play.shown()
    assert_resumed(run.run, unbroken)


def test_a_rank_that_is_killed(cluster: Cluster, workplace: Path, unbroken: Losses) -> None:
    with training(cluster, workplace, until_step=15) as run:
        cluster.run("pkill --signal KILL --newest --full train.py", host=run.nodes()[1])
        assert run.play.wait(240) == 0, run.play.shown()
    assert_resumed(run.run, unbroken)


@pytest.mark.full
def test_a_rank_that_hangs(cluster: Cluster, workplace: Path, unbroken: Losses) -> None:
    with training(cluster, workplace, until_step=15, launcher_params="silence_s=20") as run:
        cluster.run("pkill --signal STOP --newest --full train.py", host=run.nodes()[1])
        assert run.play.wait(300) == 0, run.play.shown()
    assert "the log was silent for 20 s" in (run.run / "log.txt").read_text()
    assert_resumed(run.run, unbroken)


def test_scancel_by_hand_saves_and_ends_the_run(cluster: Cluster, workplace: Path, unbroken: Losses) -> None:
    with training(cluster, workplace, until_step=15) as run:
        cluster.run(f"scancel {run.job}")
        assert run.play.wait(120) != 0
        shown = run.play.shown()
    assert f"fsdp was cancelled; fix: -e run_id={run.run.name} goes on" in cases.told(shown)
    assert cases.result(run.run)["state"] == "cancelled"
    done = losses(run.run, 1)
    assert all(abs(loss - unbroken[step]) <= 1e-4 * unbroken[step] for step, loss in done.items())
    assert cluster.run(f"squeue --noheader --jobs={run.job} --format=%T || echo gone").strip() in ("", "gone")


def test_a_job_of_a_higher_partition_takes_the_nodes_and_gives_them_back(
    cluster: Cluster, workplace: Path, unbroken: Losses
) -> None:
    with training(cluster, workplace, until_step=15) as run:
        nodes = ",".join(run.nodes())
        urgent = cluster.run(
            f"sbatch --parsable --partition=urgent --nodelist={nodes} --nodes=2 --exclusive --output=/dev/null"
            " --wrap='srun sleep 2'"
        )
        assert run.play.wait(300) == 0, run.play.shown()
    lost = assert_resumed(run.run, unbroken)
    assert lost <= 1, "it saved before it gave way"
    assert cluster.accounted(int(urgent), "State") == [["COMPLETED"]]


@pytest.mark.full
def test_a_spare_node_takes_over(cluster: Cluster, workplace: Path, unbroken: Losses) -> None:
    with training(cluster, workplace, until_step=15) as run:
        before = run.nodes()
        cluster.docker("kill", before[1])
        try:
            run.wait_for_attempt(2)
            now = run.nodes()
            assert run.play.wait(240) == 0, run.play.shown()
        finally:
            cluster.docker("start", before[1])
    assert before[1] not in now
    assert_resumed(run.run, unbroken)
    cluster.wait_for_node(before[1], "idle")


@pytest.mark.full
def test_an_interrupted_play_is_followed_to_the_end_of_the_run(
    cluster: Cluster, workplace: Path, unbroken: Losses
) -> None:
    with training(cluster, workplace, until_step=5) as run:
        run.play.signal(signal.SIGINT)
        run.play.wait()
        shown = run.play.shown()
    (again,) = (line.split(": ", 1)[1] for line in shown.splitlines() if line.startswith("follow from another"))
    followed = support.run(["bash", "-c", again], workplace, {"PATH": f"{support.BIN}:/usr/bin:/bin"})
    assert followed.returncode == 0, followed.stdout
    done = losses(run.run, 1)
    assert [*done] == list(range(STEPS))
    assert done == unbroken


@pytest.mark.full
def test_a_run_beyond_its_time_limit_saves_before_and_goes_on(cluster: Cluster, workplace: Path) -> None:
    cases.write_case(workplace / "limited", cases.training(45, 1.0))
    options = "time=1 save_s=52 restarts=0 procs_per_node=1"
    ran = cluster.play("-e", f"case=./limited launcher_params='{options}'", cwd=workplace)
    assert ran.returncode == 0, ran.stdout
    run = support.latest_run(workplace, "limited")
    assert cases.result(run)["attempts"] >= 2
    states = [row[0] for row in cluster.accounted(cluster.job_id(run), "State")]
    assert states == [*["REQUEUED"] * (len(states) - 1), "COMPLETED"]
