# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or as they were, by themselves and through action controller_file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.action.controller_file import ActionModule
from ansible_collections.awsome.distributed_training.plugins.module_utils import folders
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


class Task:
    """What the action asks of its task."""

    def __init__(self, check_mode: bool) -> None:
        self.check_mode = check_mode


def write(dest: Path, content: str, check_mode: bool = False, **options: str) -> dict[str, Any]:
    """A call of the action."""
    action = ActionModule.__new__(ActionModule)
    action._task = Task(check_mode)
    return action.act({"dest": str(dest), "content": content, **options}, {})


def test_a_file_gets_its_text_and_mode(tmp_path: Path) -> None:
    dest = tmp_path / "job.sh"
    assert write(dest, "#!/bin/sh\r\nécho\n", mode="0755") == {"changed": True, "dest": str(dest)}
    assert (dest.read_bytes(), dest.stat().st_mode & 0o777) == ("#!/bin/sh\r\nécho\n".encode(), 0o755)
    assert [path.name for path in tmp_path.iterdir()] == ["job.sh"]


def test_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    write(tmp_path / "plan.yml", "a: 1\n")
    before = (tmp_path / "plan.yml").stat().st_ino
    assert not write(tmp_path / "plan.yml", "a: 1\n")["changed"]
    assert (tmp_path / "plan.yml").stat().st_ino == before


@pytest.mark.parametrize(("content", "mode"), [("a: 2\n", "0644"), ("a: 1\n", "0600")])
def test_another_text_or_mode_replaces_it(tmp_path: Path, content: str, mode: str) -> None:
    dest = tmp_path / "plan.yml"
    write(dest, "a: 1\n")
    assert write(dest, content, mode=mode)["changed"]
    assert (dest.read_text(), dest.stat().st_mode & 0o777) == (content, int(mode, 8))


def test_check_mode_says_so_and_writes_nothing(tmp_path: Path) -> None:
    assert write(tmp_path / "plan.yml", "a: 1\n", check_mode=True)["changed"]
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_other_bytes_is_another_one(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff")
    assert not folders.holds(str(tmp_path / "log"), "ÿ", 0o644)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"gone/plan\.yml: No such file or directory; fix: "):
        write(tmp_path / "gone" / "plan.yml", "a: 1\n")
