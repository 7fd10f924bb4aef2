# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Run folders: their names, ``latest``, finding them, and what a second call may not change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import runs
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.request import RUN_ID

RUN = "20261123T200000Z-1a2b"
PLAN: dict[str, Any] = {"case": {"name": "fsdp"}, "nodes": 1, "parameters": {"lr": 1}, "revision": "a", "run_id": RUN}


def test_a_new_run_has_an_id_of_its_own() -> None:
    ids = {runs.new_run_id() for _ in range(20)}
    assert all(RUN_ID.fullmatch(run_id) for run_id in ids)
    assert len(ids) > 1


def test_latest_points_at_the_newest_run(tmp_path: Path) -> None:
    runs.make_run_dir(str(tmp_path), "fsdp", RUN)
    newest = runs.make_run_dir(str(tmp_path), "fsdp", "20261123T200001Z-1a2b")
    assert (tmp_path / "fsdp/latest").resolve() == Path(newest)


def test_a_run_folder_that_is_there_is_taken_again(tmp_path: Path) -> None:
    made = Path(runs.make_run_dir(str(tmp_path), "fsdp", RUN))
    (made / "log.txt").write_text("kept")
    assert runs.make_run_dir(str(tmp_path), "fsdp", RUN) == str(made)
    assert (made / "log.txt").read_text() == "kept"


def test_runs_can_be_moved_as_a_whole(tmp_path: Path) -> None:
    runs.make_run_dir(str(tmp_path / "a"), "fsdp", RUN)
    (tmp_path / "a").rename(tmp_path / "b")
    assert (tmp_path / "b/fsdp/latest").resolve() == tmp_path / "b/fsdp" / RUN


def test_a_run_is_found_whatever_its_case(tmp_path: Path) -> None:
    made = runs.make_run_dir(str(tmp_path / "[runs]"), "ddp", RUN)
    assert runs.find_run(str(tmp_path / "[runs]"), RUN) == made


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=rf"^run {RUN} is not in {re.escape(str(tmp_path))}; fix: "):
        runs.find_run(str(tmp_path), RUN)


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(TrainingError, match=r"runs: Not a directory; fix: -e runs_dir="):
        runs.make_run_dir(str(tmp_path / "runs"), "fsdp", RUN)


@pytest.mark.parametrize(
    ("now", "keys"),
    [
        (PLAN, []),
        ({**PLAN, "revision": "b"}, []),
        ({**PLAN, "nodes": 2}, ["nodes"]),
        ({**PLAN, "case": {"name": "ddp"}, "parameters": {"lr": 2}}, ["case", "parameters"]),
    ],
)
def test_two_plans_of_a_run_differ_by_what_changes_the_training(now: dict[str, Any], keys: list[str]) -> None:
    assert runs.differing(PLAN, now) == keys
