# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Files of the controller packed by action run_files and unpacked by its module."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.action import run_files as action
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.modules import run_files
from ansible_collections.awsome.distributed_training.tests.unit.module_call import call

CASE = {"train.py": (b"print('training')\n", 0o644), "tools/make data.sh": (b"#!/bin/sh\n", 0o755),
        "tools/table.bin": (bytes(range(256)) * 9, 0o600), "empty": (b"", 0o444)}  # fmt: skip


@pytest.fixture
def case(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    for name, (content, mode) in CASE.items():
        write(folder / name, content, mode)
    return folder


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "fsx/adt-trainer/runs/mine/20261124T000000Z-abcd"


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def bring(dest: Path, check_mode: bool = False, **files: Path | str) -> dict[str, Any]:
    """Files by the names that they get, brought into a folder."""
    archive = base64.b64encode(action.packed({name: str(path) for name, path in files.items()})).decode()
    return call(run_files, check_mode, dest=str(dest), archive=archive)


def found(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and mode of every file under a folder."""
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode & 0o777) for path in files}


def test_a_folder_and_a_file_arrive_under_their_names_with_content_and_mode(case: Path, dest: Path) -> None:
    answer = bring(dest, case=case, plan=case / "train.py", nothing="")
    expected = {**{f"case/{name}": about for name, about in CASE.items()}, "plan": CASE["train.py"]}
    assert found(dest) == expected
    assert (answer["changed"], sorted(answer["written"])) == (True, sorted(expected))


def test_what_is_there_already_is_not_written_again(case: Path, dest: Path) -> None:
    bring(dest, case=case)
    before = {path: path.stat().st_ino for path in dest.rglob("*")}
    assert bring(dest, case=case) == {"changed": False, "written": []}
    assert {path: path.stat().st_ino for path in dest.rglob("*")} == before


@pytest.mark.parametrize("changed", ["content", "mode", "removed"])
def test_only_the_file_that_differs_is_written(case: Path, dest: Path, changed: str) -> None:
    bring(dest, case=case)
    target = dest / "case/train.py"
    if changed == "content":
        target.write_bytes(b"print('trainers')\n")
    elif changed == "mode":
        target.chmod(0o600)
    else:
        target.unlink()
    assert bring(dest, case=case) == {"changed": True, "written": ["case/train.py"]}
    assert found(dest / "case") == CASE


def test_files_that_only_the_cluster_has_stay(case: Path, dest: Path) -> None:
    write(dest / "checkpoints/step-10/state", b"10")
    write(dest / "case/notes.txt", b"mine")
    bring(dest, case=case)
    assert {"checkpoints/step-10/state", "case/notes.txt", "case/train.py"} <= set(found(dest))


def test_what_was_made_in_a_folder_stays_behind(case: Path, dest: Path) -> None:
    for name in ("runs/mine/1/log.txt", ".git/HEAD", "tools/__pycache__/a.cpython-311.pyc", "old.pyc"):
        write(case / name, b"made")
    write(case / "tools/runs.py", b"written")
    bring(dest, case=case)
    assert set(found(dest / "case")) == {*CASE, "tools/runs.py"}


def test_check_mode_tells_and_writes_nothing(case: Path, dest: Path) -> None:
    answer = bring(dest, check_mode=True, case=case)
    assert (answer["changed"], len(answer["written"])) == (True, len(CASE))
    assert not dest.exists()
    bring(dest, case=case)
    assert bring(dest, check_mode=True, case=case)["changed"] is False


def test_the_same_files_give_the_same_archive(case: Path) -> None:
    first = action.packed({"case": str(case)})
    os.utime(case / "train.py", (1, 1))
    assert action.packed({"case": str(case)}) == first


def test_a_folder_with_data_in_it_is_refused_by_its_name(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sum(len(content) for content, _ in CASE.values())
    monkeypatch.setattr(action, "_MOST_BYTES", whole)
    assert action.packed({"case": str(case)})
    monkeypatch.setattr(action, "_MOST_BYTES", whole - 1)
    with pytest.raises(
        TrainingError, match=r"/mine holds more than 0 MiB; fix: keep data outside of the case's folder$"
    ):
        action.packed({"case": str(case)})


def test_the_limit_is_64_mib(tmp_path: Path) -> None:
    with open(tmp_path / "data.bin", "wb") as file:
        file.truncate(64 * 2**20 + 1)
    with pytest.raises(TrainingError, match=r"data\.bin holds more than 64 MiB; fix: "):
        action.packed({"data.bin": str(tmp_path / "data.bin")})


def test_a_folder_that_cannot_be_written_is_told_with_what_to_choose(case: Path, tmp_path: Path) -> None:
    write(tmp_path / "file", b"no folder")
    answer = bring(tmp_path / "file/run", case=case)
    assert answer["failed"]
    assert answer["msg"].startswith(f"{tmp_path}/file/run/case/")
    assert answer["msg"].endswith(" cannot be written: Not a directory; fix: shared_dir=FOLDER that you may write to")
