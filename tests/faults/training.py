"""Case fsdp on two nodes while something goes wrong, and what must hold of it afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.awsome.distributed_training.plugins.module_utils import adt_metrics
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases
from ansible_collections.awsome.distributed_training.tests.slurm.clusters import Cluster, wait_for_step

STEPS = 40
CHECKPOINT_EVERY = 10
PARAMS = f"steps={STEPS} checkpoint_every={CHECKPOINT_EVERY} log_every=1 eval_rows=16"
REQUEST = f"case=fsdp nodes=2 params='{PARAMS}' launcher_params='procs_per_node=1'"


LOST: list[str] = []
"""What each fault has cost, for the end of pytest's output."""


@dataclass
class Training:
    """A run that goes on."""

    cluster: Cluster
    play: cases.Play
    run: Path
    job: int

    def nodes(self) -> list[str]:
        """The hosts that it has; the script runs on the first."""
        listed = self.cluster.run(f"scontrol show hostnames $(squeue --noheader --jobs={self.job} --format=%N)")
        return listed.split()

    def wait_for_attempt(self, attempt: int, timeout: float = 120) -> None:
        """Return when that attempt has done a step."""

        def reached() -> bool:
            told = adt_metrics.parse_metrics(self.cluster.log(self.run).splitlines())
            return any(metric["kind"] == "step" and metric["attempt"] == attempt for metric in told)

        cases.wait_until(reached, f"a step of attempt {attempt}", timeout)


@contextmanager
def training(cluster: Cluster, folder: Path, until_step: int, launcher_params: str = "") -> Iterator[Training]:
    """The run, once it has done that many steps."""
    request = REQUEST.replace("procs_per_node=1", f"procs_per_node=1 {launcher_params}".strip())
    with cases.Play(cluster.words("-e", request), folder) as play:
        wait_for_step(play, until_step)
        run = support.latest_run(folder, "fsdp")
        yield Training(cluster, play, run, cluster.job_id(run))


def losses(run: Path, attempt: int) -> dict[int, float]:
    """The loss of every step that an attempt did."""
    return {
        metric["step"]: metric["loss"]
        for metric in cases.metrics(run)
        if metric["kind"] == "step" and metric["attempt"] == attempt
    }


def assert_resumed(run: Path, unbroken: dict[int, float]) -> int:
    """The run ended well, lost at most the steps since a checkpoint, and learned what an unbroken one learns.

    Returns the steps that were done twice.
    """
    result = cases.result(run)
    assert (result["state"], result["verdict"]) == ("completed", "pass")
    attempts = [losses(run, attempt) for attempt in range(1, result["attempts"] + 1)]
    before, after = [told for told in attempts if told]  # an attempt may end before its first step
    began = min(after)
    assert began % CHECKPOINT_EVERY == 0 or began == max(before) + 1
    assert began > 0, "it began anew"
    assert [*after] == list(range(began, STEPS))
    lost = max(before) + 1 - began
    assert 0 <= lost <= CHECKPOINT_EVERY + 1, "a checkpoint that is being written counts from the one before"
    assert result["metrics"]["steps_repeated"] == lost
    for step, loss in after.items():
        assert abs(loss - unbroken[step]) <= 1e-4 * unbroken[step], f"step {step}: {loss}, unbroken {unbroken[step]}"
    LOST.append(f"{os.environ['PYTEST_CURRENT_TEST'].split('::')[-1].split()[0]}: {lost} steps lost, on from {began}")
    return lost
