"""One local cluster for every test of this folder and of tests/faults."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests.slurm import clusters


@pytest.fixture(scope="session")
def cluster(make_workplace: Callable[[str], Path], kept_prefix: str | None) -> Iterator[clusters.Cluster]:
    """A controller and four nodes, on which two runs of two nodes fit beside each other."""
    running = os.environ.get("ADT_TEST_CLUSTER")  # folder of a cluster "test" that is up: for who writes these tests
    if running:
        yield clusters.Cluster("test", Path(running))
        return
    folder = make_workplace("cluster")
    before = clusters.cgroup_folders()
    try:
        made, _, _ = clusters.bring_up("test", folder, "-e", "nodes=4 gpus=2")
        yield made
    finally:
        if kept_prefix is None:
            clusters.take_down("test", folder)
    if kept_prefix is None:
        assert clusters.left_behind("test") == []
        assert not [path for path in clusters.cgroup_folders() - before if "docker" in path or "slurm" in path]
