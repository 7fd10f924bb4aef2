"""Module node_files: text files of a role, in one module's start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.modules import node_files
from ansible_collections.awsome.distributed_training.tests.unit import module_call


def call(*files: dict[str, Any], check_mode: bool = False) -> dict[str, Any]:
    return module_call.call(node_files, check_mode=check_mode, files=list(files))


def text(path: Path, content: str) -> dict[str, Any]:
    return {"path": str(path), "content": content}


def test_each_file_gets_its_text_and_mode_in_a_folder_that_is_made(tmp_path: Path) -> None:
    unit, program = tmp_path / "etc/systemd/a.service", tmp_path / "bin/a"
    asked = (text(unit, "[Unit]\n"), {**text(program, "#!/bin/sh\n"), "mode": "0755"})
    before = os.umask(0o077)
    try:
        answer = call(*asked)
    finally:
        os.umask(before)
    assert answer["written"] == [str(unit), str(program)]
    assert (unit.read_text(), unit.stat().st_mode & 0o777) == ("[Unit]\n", 0o644)
    assert (program.read_text(), program.stat().st_mode & 0o777) == ("#!/bin/sh\n", 0o755)
    assert unit.parent.stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in unit.parent.iterdir()) == ["a.service"]
    again = call(*asked)
    assert (again["changed"], again["written"]) == (False, [])


def test_what_differs_alone_is_written_and_check_mode_only_tells(tmp_path: Path) -> None:
    same, other = tmp_path / "same", tmp_path / "other"
    same.write_text("1\n")
    same.chmod(0o644)
    other.write_text("1\n")
    stamp = same.stat().st_mtime_ns
    would = call(text(same, "1\n"), text(other, "2\n"), check_mode=True)
    assert (would["changed"], would["written"], other.read_text()) == (True, [str(other)], "1\n")
    assert [(one["before"], one["after"]) for one in would["diff"]] == [("1\n", "2\n")]
    assert call(text(same, "1\n"), text(other, "2\n"))["written"] == [str(other)]
    assert (other.read_text(), same.stat().st_mtime_ns) == ("2\n", stamp)


def test_another_mode_is_set_right(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("1\n")
    path.chmod(0o666)
    assert call(text(path, "1\n"))["changed"] is True
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    elsewhere, link = tmp_path / "elsewhere", tmp_path / "link"
    elsewhere.write_text("1\n")
    elsewhere.chmod(0o644)
    link.symlink_to(elsewhere)
    assert call(text(link, "1\n"))["changed"] is True
    assert not link.is_symlink()
    assert elsewhere.read_text() == "1\n"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"path": "/a"}, "files: /a: no content; fix: give path and content"),
        ({"content": "a"}, "no path; fix: "),
        ({"path": "/a", "content": "", "owner": "me"}, "files: /a: owner is not known; fix: "),
        ({"path": "/a", "content": "", "mode": 420}, '/a: mode=420 is not octal; fix: write it in quotes, "0644"'),
        ({"path": "/a", "content": "", "mode": "u=rw"}, "/a: mode=u=rw is not octal; fix: "),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], says: str) -> None:
    assert says in call(given)["msg"]


def test_a_file_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = call(text(tmp_path / "file/below", "1\n"))
    assert answer["failed"]
    assert "\n" not in answer["msg"]
    assert "; fix: " in answer["msg"]
