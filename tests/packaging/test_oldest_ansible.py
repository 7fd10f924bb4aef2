"""The collection with the oldest ansible-core that it is for. A real run with it is a test of tier local."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support


@pytest.fixture(scope="module")
def oldest() -> Path:
    """The bin folder of its environment."""
    return support.environment(support.ROOT / "requirements/oldest.lock")


def test_the_lock_file_has_the_oldest_release_that_the_collection_admits(oldest: Path, workplace: Path) -> None:
    admitted = (support.ROOT / "meta/runtime.yml").read_text()
    assert 'requires_ansible: ">=2.17.0"' in admitted
    assert "[core 2.17." in support.run([oldest / "ansible", "--version"], workplace).stdout


def imported(file: Path) -> Iterator[str]:
    """Names of the modules that a Python file may import."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def meets_ansible(file: Path) -> bool:
    """A test imports Ansible, or what does: a plugin, or what plugins on the controller share."""
    found = list(imported(file))
    own = [name.removeprefix(f"ansible_collections.{support.COLLECTION}.").replace(".", "/") for name in found]
    direct = [path for path in (support.ROOT / f"{name}.py" for name in own) if path.exists()]
    return any(name.split(".")[0] == "ansible" for name in (*found, *(n for path in direct for n in imported(path))))


def test_the_unit_tests_that_meet_ansible_pass(oldest: Path, workplace: Path) -> None:
    files = sorted((support.ROOT / "tests/unit").glob("test_*.py"))
    meeting = [file for file in files if meets_ansible(file)]
    assert {"test_controller.py", "test_lookups.py", "test_run_files.py"} <= {file.name for file in meeting}
    words = [oldest / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *meeting]
    ran = support.run(words, support.ROOT, support.linked_collection(workplace))
    assert ran.returncode == 0, ran.stdout


def test_check_mode_shows_the_plan(oldest: Path, workplace: Path) -> None:
    env = support.linked_collection(workplace)
    ran = support.play(["-e", "case=ddp", "--check"], workplace, env, ansible=oldest)
    assert ran.returncode == 0, ran.stdout
    assert "world_size: 2" in ran.stdout
