"""The catalogues that plans and the solver read, once for all tasks of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import (
    compatibility_catalogues,
    controller,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

OVERRIDES = {"stacks": {"long_term": {"components": {"dcgm": "4.6.0"}}}}


def test_what_is_kept_is_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = compatibility_catalogues.read_catalogues(OVERRIDES)
    assert compatibility_catalogues.kept_catalogues(OVERRIDES, str(tmp_path)) == read
    monkeypatch.setattr(controller, "read_yaml", lambda path: pytest.fail(f"{path} was read again"))
    assert compatibility_catalogues.kept_catalogues(OVERRIDES, str(tmp_path)) == read


def test_other_overrides_are_read_for_themselves(tmp_path: Path) -> None:
    for overrides in (None, OVERRIDES, {}):
        kept = compatibility_catalogues.kept_catalogues(overrides, str(tmp_path))
        taken = kept.stack["stacks"]["long_term"]["components"]["dcgm"]
        assert taken == ("4.6.0" if overrides else "4.7.0")
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_refused_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        compatibility_catalogues.kept_catalogues({"stacks": "all"}, str(tmp_path))
    assert list(tmp_path.iterdir()) == []
