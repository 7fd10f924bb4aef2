"""The collection with the oldest ansible-core that it is for. A real run with it is a test of tier local."""

from __future__ import annotations

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


def test_the_unit_tests_pass(oldest: Path, workplace: Path) -> None:
    words = [oldest / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit"]
    # the training code does not meet Ansible
    words.append("--ignore=tests/unit/test_training_code.py")
    ran = support.run(words, support.ROOT, support.linked_collection(workplace))
    assert ran.returncode == 0, ran.stdout


def test_check_mode_shows_the_plan(oldest: Path, workplace: Path) -> None:
    env = support.linked_collection(workplace)
    ran = support.play(["-e", "case=ddp", "--check"], workplace, env, ansible=oldest)
    assert ran.returncode == 0, ran.stdout
    assert "world_size: 2" in ran.stdout
