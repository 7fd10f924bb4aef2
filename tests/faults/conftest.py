"""A cluster of their own, and the run that nothing disturbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.faults import training
from ansible_collections.awsome.distributed_training.tests.slurm import clusters


@pytest.fixture(scope="session")
def cluster_name() -> str:
    """Nodes that die here leave the tests beside these alone."""
    return "faults"


@pytest.fixture(scope="session")
def unbroken(cluster: clusters.Cluster, make_workplace: Callable[[str], Path]) -> dict[int, float]:
    """The loss of every step of a run on two nodes to which nothing happens."""
    folder = make_workplace("unbroken")
    ran = cluster.play("-e", training.REQUEST, cwd=folder)
    assert ran.returncode == 0, ran.stdout
    return training.losses(support.latest_run(folder, "fsdp"), attempt=1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in training.LOST:
        terminalreporter.write_line(line)
