"""Tests of the training code run by a case's interpreter (tests/unit/test_training_code.py); others pass them over."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

_IS_INSTALLED = {name: importlib.util.find_spec(name) is not None for name in ("adt_train", "torch", "jax")}
collect_ignore_glob = [
    pattern
    for pattern, needs in (("lib/*", "torch"), ("pytorch/*", "torch"), ("jax/*", "jax"))
    if not (_IS_INSTALLED[needs] and _IS_INSTALLED["adt_train"])
]

# before packages datasets and huggingface_hub are imported: they read it then
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def _nothing_of_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the caller reaches the code under test."""
    for name in [*os.environ]:
        if name.startswith("ADT_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_hugging_face(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cache of our own, also for the processes that tests start."""
    os.environ["HF_HOME"] = str(tmp_path_factory.mktemp("hugging-face"))


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A folder for a run."""
    return tmp_path / "run"
