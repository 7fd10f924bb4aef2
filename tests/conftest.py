"""Folders that tests work in, what is kept of them, and skips that CI does not let pass."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ansible_collections.awsome.distributed_training.tests.slurm.clusters import Cluster

TESTS = Path(__file__).resolve().parent
KEPT = TESTS.parent / "build/kept"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--keep-artifacts",
        metavar="PREFIX",
        nargs="?",
        const="last",
        help="leave run folders, containers and images for a look: folders under build/kept/PREFIX (last)",
    )


def pytest_configure(config: pytest.Config) -> None:
    prefix = config.getoption("--keep-artifacts")
    if prefix is not None and not re.fullmatch(r"[A-Za-z0-9][\w.-]*", prefix):
        raise pytest.UsageError(f"--keep-artifacts {prefix} is not a prefix; fix: write --keep-artifacts=PREFIX")
    config.pluginmanager.register(SkipsCount(), "skips-count")


@pytest.fixture(scope="session")
def kept_prefix(pytestconfig: pytest.Config) -> str | None:
    """Prefix of the names of all that a test shall leave; None where it shall remove what it made."""
    prefix: str | None = pytestconfig.getoption("--keep-artifacts")
    return prefix


@pytest.fixture(scope="session")
def make_workplace(kept_prefix: str | None) -> Iterator[Callable[[str], Path]]:
    """Makes an empty folder of a name; removed after the last test, or kept and its path printed."""
    made: list[Path] = []

    def make(name: str) -> Path:
        name = re.sub(r"[^\w.-]+", "-", name).strip("-")
        if kept_prefix is None:
            made.append(Path(tempfile.mkdtemp(prefix=f"adt-{name[:40]}-")))
            return made[-1]
        folder = KEPT / kept_prefix / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"kept: {folder}")
        return folder

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def workplace(
    request: pytest.FixtureRequest, make_workplace: Callable[[str], Path], kept_prefix: str | None
) -> Iterator[Path]:
    """An empty folder for one test."""
    folder = make_workplace(request.node.name)
    yield folder
    if kept_prefix is None:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster_name() -> str:
    """Name of the cluster; tests/faults has another, for it runs beside tests/slurm."""
    return "test"


@pytest.fixture(scope="session")
def cluster(cluster_name: str, make_workplace: Callable[[str], Path], kept_prefix: str | None) -> Iterator[Cluster]:
    """A local Slurm cluster of three nodes: one to spare for runs of two."""
    # not above: the cases' own interpreters, which run this file too, have no Ansible
    from ansible_collections.awsome.distributed_training.tests.slurm import clusters

    running = os.environ.get("ADT_TEST_CLUSTER")  # folder of a cluster that is up: for who writes these tests
    if running:
        yield clusters.Cluster(cluster_name, Path(running))
        return
    folder = make_workplace("cluster")
    before = clusters.cgroup_folders()
    try:
        made, _, _ = clusters.bring_up(cluster_name, folder, "-e", "nodes=3")
        yield made
    finally:
        if kept_prefix is None:
            containers = clusters.containers(cluster_name)
            clusters.take_down(cluster_name, folder)
    if kept_prefix is None:
        assert clusters.left_behind(cluster_name) == []
        groups = clusters.cgroup_folders() - before
        assert not [path for path in groups if "/slurm_" in path or any(id_ in path for id_ in containers)]


class SkipsCount:
    """With CI=true, a skip that allowed_skips.txt does not list fails the session."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.allowed = allowed_skips(TESTS / "allowed_skips.txt") if os.environ.get("CI") == "true" else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "wasxfail"):
            self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and self.allowed is not None and report.nodeid not in self.allowed:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.refused.append(f"{report.nodeid}  {reason}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.refused:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self.refused:
            terminalreporter.write_line(f"skipped, and not in tests/allowed_skips.txt: {line}", red=True)


def allowed_skips(path: Path) -> set[str]:
    """Test ids of a file with lines ``id  reason``; # starts a comment."""
    lines = path.read_text().splitlines()
    return {line.partition("  ")[0] for line in lines if line.strip() and not line.startswith("#")}
