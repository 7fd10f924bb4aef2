"""Which scenarios of molecule/ a change asks for in make test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests.molecule.selection import (
    MOST,
    Known,
    changed_files,
    fitting,
    selected,
)

SCENARIOS = {
    "dcgm": Known(("dcgm",)),
    "efa": Known(("efa",)),
    "munge": Known(("munge",)),
    "slurm": Known(("munge", "slurm")),
    "gpu_node": Known(("dcgm", "efa"), composed=True),
}


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("roles/efa/tasks/main.yml", ["efa"]),
        ("roles/efa/README.md", ["efa"]),
        ("plugins/module_utils/checks/efa.py", ["efa"]),
        ("molecule/efa/scenario.yml", ["efa"]),
        ("molecule/slurm/tasks/job.yml", ["slurm"]),
        ("roles/munge/tasks/main.yml", ["munge", "slurm"]),
        ("plugins/module_utils/checks/munge.py", ["munge", "slurm"]),
        ("molecule/base.yml", ["dcgm"]),
        ("molecule/common/create.yml", ["dcgm"]),
        ("molecule/README.md", ["dcgm"]),
        ("tests/molecule/harness.py", ["dcgm"]),
        ("tests/stand_ins/contents/dcgm/root/usr/bin/dcgmi", ["dcgm"]),
        ("tests/unit/test_checks_efa.py", []),
        ("plugins/module_utils/checks/common.py", []),
        ("roles/test_case/tasks/run.yml", []),
        ("roles/efa", []),
        ("README.md", []),
    ],
)
def test_a_file_asks_for_the_scenarios_of_its_role_and_composed_ones_always_run(path: str, asked: list[str]) -> None:
    assert selected(SCENARIOS, [path]) == sorted({"gpu_node", *asked})


def test_a_scenario_that_was_removed_is_not_asked_for() -> None:
    assert selected({"efa": Known(("efa",))}, ["molecule/gone/molecule.yml", "molecule/base.yml"]) == []


def test_several_files_ask_for_each_scenario_once() -> None:
    changed = ["roles/efa/tasks/main.yml", "molecule/efa/verify.yml", "tests/stand_ins/deb.py", "molecule/base.yml"]
    assert selected(SCENARIOS, changed) == ["dcgm", "efa", "gpu_node"]


class Repository:
    """A git repository with its own settings."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> None:
        who = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=self.root, check=True, capture_output=True)

    def commit(self, *names: str) -> None:
        for name in names:
            (self.root / name).write_text(name)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=more")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_on_main_the_last_commit_counts_and_what_is_not_committed(repository: Repository) -> None:
    repository.commit("first")
    repository.commit("second")
    repository.commit("third")
    (repository.root / "first").write_text("changed")
    (repository.root / "new").write_text("new")
    assert changed_files(repository.root) == ["first", "new", "third"]


def test_on_main_that_is_ahead_of_its_origin_the_last_commit_counts(repository: Repository) -> None:
    repository.commit("first")
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    repository.commit("second")
    repository.commit("third")
    assert changed_files(repository.root) == ["third"]


def test_on_a_branch_all_counts_since_it_left_main(repository: Repository) -> None:
    repository.commit("first")
    repository.git("checkout", "--quiet", "-b", "branch")
    repository.commit("second")
    repository.commit("third")
    repository.git("checkout", "--quiet", "main")
    repository.commit("of main")
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    repository.git("checkout", "--quiet", "branch")
    assert changed_files(repository.root) == ["second", "third"]


def test_without_history_nothing_is_known_to_differ(
    repository: Repository, tmp_path_factory: pytest.TempPathFactory
) -> None:
    repository.commit("first")
    assert changed_files(repository.root) == []
    assert changed_files(tmp_path_factory.mktemp("no-repository")) == []


def test_what_does_not_fit_into_the_tier_is_left_and_named() -> None:
    many = {**SCENARIOS, **{name: Known((name,)) for name in ("base", "cuda", "docker")}}
    taken, left = fitting(many, sorted(many))
    assert taken == ["base", "cuda", "dcgm", "docker", "gpu_node"]
    assert left == ["efa", "munge", "slurm"]
    assert fitting(SCENARIOS, ["slurm"]) == (["slurm"], [])
    assert len(taken) == MOST
