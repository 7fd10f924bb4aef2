"""The folder with the sources, and nodes that take from it. A test file takes what its part of sources.PARTS takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.tests.mirror import containers
from ansible_collections.awsome.distributed_training.tests.molecule import test_scenarios
from ansible_collections.awsome.distributed_training.tests.real_sources import nodes, sources

MakeNode = Callable[..., AbstractContextManager[nodes.Workshop]]


@pytest.fixture(autouse=True)
def part(request: pytest.FixtureRequest) -> str:
    """The test file's part; skips where MIRROR does not have what that takes, or this machine makes no nodes."""
    name = request.path.stem.removeprefix("test_")
    found = sources.lacks(os.environ.get("MIRROR", ""), [name])
    reason = found[0] if found else test_scenarios.missing()
    if reason:
        pytest.skip(reason)
    return name


@pytest.fixture
def bare_node(part: str, workplace: Path, kept_prefix: str | None) -> MakeNode:
    """Makes a node for the part.

    :param mounts: more that the node has, by the path in there.
    :param variables: of the plays.
    """
    mirror = Path(os.environ["MIRROR"]).resolve()

    @contextmanager
    def make(
        mounts: dict[str, Path] | None = None, variables: dict[str, Any] | None = None
    ) -> Iterator[nodes.Workshop]:
        given = {nodes.MIRROR: mirror, **(mounts or {})}
        if part in sources.FOLDERS:
            given[sources.FOLDERS[part].path] = mirror / sources.FOLDERS[part].place
        told = {**nodes.variables(mirror, part), **(variables or {})}
        with nodes.node(given, kept_prefix is not None) as made:
            yield nodes.Workshop(made, containers.ansible(workplace), told)

    return make


@pytest.fixture
def cuda(part: str, workplace: Path) -> Path:
    """A CUDA toolkit, to be mounted."""
    return nodes.cuda(workplace)
