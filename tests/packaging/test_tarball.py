"""The collection as others get it: a tarball with what belongs to it, which runs where no checkout is."""

from __future__ import annotations

import fnmatch
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible_collections.awsome.distributed_training.tests import support

TOP_LEVEL = {
    "CHANGELOG.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "Makefile",
    "README.md",
    "data",
    "docs",
    "meta",
    "playbooks",
    "plugins",
    "pyproject.toml",
    "requirements",
    "roles",
    "schemas",
    "test_cases",
}
LEFTOVERS = (
    ".ansible/tmp/module.json",
    ".git/HEAD",
    ".mypy_cache/collection/errors.json",
    ".pytest_cache/v/cache/lastfailed",
    ".ruff_cache/0.1/0",
    ".venv/bin/python",
    "awsome-distributed_training-0.0.1.tar.gz",
    "build/junit-tests-unit.xml",
    "build/kept/t/log.txt",
    "playbooks/runs/ddp/latest/log.txt",
    "plugins/modules/__pycache__/run_plan.cpython-311.pyc",
    "runs/ddp/latest/log.txt",
    "test_cases/pytorch/ddp/.pytest_cache/CACHEDIR.TAG",
    "test_cases/pytorch/ddp/__pycache__/train.cpython-311.pyc",
    "test_cases/pytorch/ddp/runs/ddp/latest/log.txt",
    "tests/output/junit.xml",
)
"""What work leaves in a checkout."""


@pytest.fixture(scope="module")
def tarball(make_workplace: Callable[[str], Path]) -> Path:
    """Built from the project's files amid the leftovers of work."""
    folder = make_workplace("tarball")
    checkout = folder / "checkout"
    for name in support.project_files():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(support.ROOT / name, checkout / name)
    for name in LEFTOVERS:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("left over")
    built = support.run([support.BIN / "ansible-galaxy", "collection", "build", "--output-path", folder], checkout)
    assert built.returncode == 0, built.stdout
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def members(tarball: Path) -> dict[str, bool]:
    """Paths in the tarball, and whether each is a folder."""
    with tarfile.open(tarball) as archive:
        return {member.name.removeprefix("./"): member.isdir() for member in archive}


def test_the_top_level_is_as_listed(members: dict[str, bool]) -> None:
    assert {name.partition("/")[0] for name in members} - {"", "."} == TOP_LEVEL


def test_every_file_of_the_project_ships_and_nothing_else(members: dict[str, bool]) -> None:
    ignored = yaml.safe_load((support.ROOT / "galaxy.yml").read_text())["build_ignore"] + ["galaxy.yml"]
    expected = {name for name in support.project_files() if not is_ignored(name, ignored)}
    shipped = {name for name, is_folder in members.items() if not is_folder} - {"MANIFEST.json", "FILES.json"}
    assert shipped == expected


def test_no_leftover_ships(members: dict[str, bool]) -> None:
    folders = {name for name, is_folder in members.items() if is_folder}
    empty = {folder for folder in folders if not any(name.startswith(f"{folder}/") for name in members)}
    assert not empty - {"", "."}
    assert not set(LEFTOVERS) & set(members)


def test_the_tarball_is_small_and_needs_no_other_collection(tarball: Path) -> None:
    assert tarball.stat().st_size < 5_000_000
    with tarfile.open(tarball) as archive:
        file = archive.extractfile("MANIFEST.json")
        assert file is not None
        assert json.load(file)["collection_info"]["dependencies"] == {}


def test_the_installed_collection_trains_where_no_checkout_is(tarball: Path, workplace: Path) -> None:
    own = support.environment(support.ROOT / "requirements/runtime.lock")
    elsewhere, collections = workplace / "elsewhere", workplace / "collections"
    elsewhere.mkdir()
    env = {"ANSIBLE_COLLECTIONS_PATH": str(collections), "PYTHONPATH": None}
    install = [own / "ansible-galaxy", "collection", "install", "--no-deps", "--force", "-p", collections, tarball]
    installed = support.run(install, elsewhere, env)
    assert installed.returncode == 0, installed.stdout

    ran = support.play(["-e", "case=ddp", "-e", "params='steps=20'"], elsewhere, env, ansible=own)

    assert ran.returncode == 0, ran.stdout
    assert "verdict: pass" in ran.stdout
    run = support.latest_run(elsewhere, "ddp")
    assert (run / "report.html").exists()
    case = yaml.safe_load((run / "plan.yml").read_text())["case"]["path"]
    assert Path(case).is_relative_to(collections.resolve())
    for part in ("plugins", "roles", "test_cases"):
        assert f"{support.ROOT}/{part}" not in ran.stdout + (run / "job.sh").read_text()


def is_ignored(name: str, patterns: list[str]) -> bool:
    """A path, or a folder that it lies in, matches a pattern of build_ignore."""
    parts = name.split("/")
    paths = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    return any(fnmatch.fnmatch(path, pattern) for path in paths for pattern in patterns)
