"""What clearing takes and what it leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import clearing
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def cleared(topics: dict[str, dict[str, list[str]]]) -> list[str]:
    found = clearing.found(topics)
    clearing.clear(found)
    return [str(one) for one in found]


def test_what_matches_is_removed_and_told(tmp_path: Path) -> None:
    (tmp_path / "ssh_host_rsa_key").write_text("secret")
    (tmp_path / "ssh_config").write_text("stays")
    (tmp_path / "instances/i-1").mkdir(parents=True)
    said = cleared({"keys": {"remove": [f"{tmp_path}/ssh_host_*", f"{tmp_path}/instances/*"]}})
    assert said == [f"keys: remove {tmp_path}/ssh_host_rsa_key", f"keys: remove {tmp_path}/instances/i-1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["instances", "ssh_config"]


def test_what_is_emptied_keeps_its_mode_and_its_inode(tmp_path: Path) -> None:
    log = tmp_path / "deep/er/syslog"
    log.parent.mkdir(parents=True)
    log.write_text("a line\n")
    log.chmod(0o640)
    before = log.stat()
    assert cleared({"logs": {"empty": [f"{tmp_path}/**"]}}) == [f"logs: empty {log}"]
    after = log.stat()
    assert (after.st_size, after.st_mode, after.st_ino) == (0, before.st_mode, before.st_ino)


def test_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x")
    topics = {"logs": {"empty": [f"{tmp_path}/**"]}}
    assert cleared(topics)
    assert cleared(topics) == []


def test_what_is_to_be_kept_stays(tmp_path: Path) -> None:
    for name in ("lock", "list"):
        (tmp_path / name).write_text("x")
    cleared({"caches": {"remove": [f"{tmp_path}/*"], "keep": [f"{tmp_path}/lock"]}})
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_path_counts_for_one_topic_and_is_removed_rather_than_emptied(tmp_path: Path) -> None:
    (tmp_path / "old.gz").write_text("x")
    said = cleared(
        {"logs": {"empty": [f"{tmp_path}/**"], "remove": [f"{tmp_path}/*.gz"]}, "more": {"remove": [f"{tmp_path}/*"]}}
    )
    assert said == [f"logs: remove {tmp_path}/old.gz"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "precious").write_text("x")
    os.symlink(outside, inside / "folder")
    os.symlink(outside / "precious", inside / "file")
    assert clearing.found({"logs": {"empty": [f"{inside}/**"]}}) == []
    assert cleared({"logs": {"remove": [f"{inside}/*"]}}) == [
        f"logs: remove {inside}/file",
        f"logs: remove {inside}/folder",
    ]
    assert (outside / "precious").read_text() == "x"


def test_a_start_that_is_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/log").write_text("x")
    os.symlink(tmp_path / "real", tmp_path / "log")
    assert cleared({"logs": {"empty": [f"{tmp_path}/log/*"]}}) == [f"logs: empty {tmp_path}/log/log"]


def test_what_is_gone_meanwhile_is_as_it_should_be(tmp_path: Path) -> None:
    clearing.clear([clearing.Found("x", way, str(tmp_path / "gone")) for way in (clearing.REMOVE, clearing.EMPTY)])


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("var/log/*", r"pattern 'var/log/\*' is no absolute path; fix: begin it with /"),
        ("/var/log/../../etc/*", "is no absolute path"),
        ("/etc", "pattern '/etc' takes /etc; fix: name what is inside of it"),
        ("/*", r"pattern '/\*' takes /"),
        ("/usr/", "pattern '/usr/' takes /usr/"),
    ],
)
def test_a_pattern_that_takes_the_system_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        clearing.found({"x": {"remove": [pattern]}})


def test_what_cannot_be_removed_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot empty .*: Is a directory; fix: see what holds it"):
        clearing.clear([clearing.Found("x", clearing.EMPTY, str(tmp_path))])
