"""Checkpoint folders: complete or not there at all, and never less than the last good one."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adt_train import Environment, MetricWriter, UserError, checkpoints


def publish(root: Path, step: int, keep: int = 10, text: str = "state") -> Path:
    part = checkpoints.begin(root, step)
    (part / "state.bin").write_text(f"{text} {step}")
    path, _ = checkpoints.publish(part, {"step": step, "identity": {"model": "a"}}, keep)
    return path


def newest_step(root: Path) -> int | None:
    found = checkpoints.newest(root, print)
    return found[1]["step"] if found else None


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def writer() -> MetricWriter:
    return MetricWriter(Environment.read(), 0, accelerators=1, tokens_per_step=1, flops_per_token=1, total_steps=1)


def test_the_newest_is_the_one_of_the_highest_step(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        publish(tmp_path, step)
    assert newest_step(tmp_path) == 100


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path / "none", print) is None


def test_published_is_what_was_written_and_its_size(tmp_path: Path) -> None:
    part = checkpoints.begin(tmp_path, 5)
    (part / "a").write_bytes(b"123")
    (part / "b").write_bytes(b"4567")
    path, size = checkpoints.publish(part, {"step": 5}, keep=1)
    assert (path.name, size, names(path)) == ("step-00000005", 7, ["a", "b", "manifest.json"])


def test_so_many_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        publish(tmp_path, step, keep=2)
    assert names(tmp_path) == ["step-00000003", "step-00000004"]


def test_a_damaged_newer_one_does_not_crowd_out_the_one_just_written(tmp_path: Path) -> None:
    publish(tmp_path, 20)
    (tmp_path / "step-00000020/state.bin").write_text("")
    publish(tmp_path, 5, keep=1)
    assert newest_step(tmp_path) == 5


@pytest.mark.parametrize(
    "dies",
    [
        "(part / 'state.bin').write_bytes(b'half'); die()",
        "json.dump = lambda *_: die(); checkpoints.publish(part, {'step': 2}, 1)",
        "Path.rename = lambda *_: die(); checkpoints.publish(part, {'step': 2}, 1)",
    ],
    ids=["while writing", "before the manifest", "before the rename"],
)
def test_a_process_killed_while_saving_costs_nothing(tmp_path: Path, dies: str) -> None:
    publish(tmp_path, 1)
    script = f"""
import json, os, signal
from pathlib import Path
from adt_train import checkpoints
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
part = checkpoints.begin(Path({str(tmp_path)!r}), 2)
(part / "state.bin").write_bytes(b"all")
{dies}
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert names(tmp_path) == [".step-00000002.tmp", "step-00000001"]
    assert newest_step(tmp_path) == 1
    checkpoints.abandon(tmp_path)
    assert names(tmp_path) == ["step-00000001"]


def test_a_save_begins_with_an_empty_folder(tmp_path: Path) -> None:
    (checkpoints.begin(tmp_path, 2) / "of an interrupted save").touch()
    publish(tmp_path, 2)
    assert names(tmp_path / "step-00000002") == ["manifest.json", "state.bin"]


def truncate(path: Path) -> None:
    os.truncate(path / "state.bin", 3)


def change_a_byte(path: Path) -> None:
    (path / "state.bin").write_text("stale 2")


def remove_a_file(path: Path) -> None:
    (path / "state.bin").unlink()


def remove_the_manifest(path: Path) -> None:
    (path / "manifest.json").unlink()


def cut_the_manifest(path: Path) -> None:
    os.truncate(path / "manifest.json", 20)


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (truncate, "state.bin"),
        (change_a_byte, "state.bin"),
        (remove_a_file, "state.bin"),
        (remove_the_manifest, "manifest.json"),
        (cut_the_manifest, "manifest.json"),
    ],
)
def test_instead_of_a_damaged_one_the_one_before_is_used(
    tmp_path: Path, damage: Callable[[Path], None], file: str
) -> None:
    publish(tmp_path, 1)
    damage(publish(tmp_path, 2))
    told: list[str] = []
    found = checkpoints.newest(tmp_path, told.append)
    assert found is not None
    assert found[1]["step"] == 1
    assert told == [f"checkpoint step-00000002 is damaged ({file}): the one before it is used"]


def test_where_all_are_damaged_there_is_none(tmp_path: Path) -> None:
    for step in (1, 2):
        truncate(publish(tmp_path, step))
    told: list[str] = []
    assert checkpoints.newest(tmp_path, told.append) is None
    assert len(told) == 2


@pytest.mark.parametrize("place", [0, 10 << 20, (20 << 20) - 1], ids=["begin", "middle", "end"])
def test_damage_of_a_file_is_seen(tmp_path: Path, place: int) -> None:
    part = checkpoints.begin(tmp_path, 1)
    (part / "large").write_bytes(bytes(20 << 20))
    path, _ = checkpoints.publish(part, {"step": 1}, keep=1)
    with open(path / "large", "r+b") as file:
        file.seek(place)
        file.write(bytes([255]) * (1 if place != 10 << 20 else 1 << 20))
    assert newest_step(tmp_path) is None


def test_a_checkpoint_of_another_model_is_refused_by_what_differs(tmp_path: Path) -> None:
    about = {"identity": {"model": "a", "width": 8, "seed": 1}}
    checkpoints.refuse_another(tmp_path, about, {"model": "a", "width": 8, "seed": 1})
    with pytest.raises(UserError) as refused:
        checkpoints.refuse_another(tmp_path, about, {"model": "b", "width": 8, "seed": 2, "new": 3})
    told = "model a there, b here, seed 1 there, 2 here, new None there, 3 here"
    assert refused.value.message == f"checkpoint {tmp_path} does not fit: {told}"


def test_a_save_in_one_go_tells_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints.save(tmp_path, 3, {"step": 3}, 1, lambda part: (part / "a").write_bytes(b"123"), writer())
    assert newest_step(tmp_path) == 3
    out = capsys.readouterr().out
    assert '"kind": "checkpoint"' in out
    assert '"bytes": 3' in out


def _no_room(part: Path) -> None:
    (part / "a").write_bytes(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _no_room_says_pytorch(part: Path) -> None:
    try:
        _no_room(part)
    except OSError as error:
        raise RuntimeError("[enforce fail at inline_container.cc]") from error


@pytest.mark.parametrize("fill", [_no_room, _no_room_says_pytorch])
def test_a_failed_save_names_the_reason_and_the_free_space_and_leaves_the_last_good_one(
    tmp_path: Path, fill: Callable[[Path], None]
) -> None:
    publish(tmp_path, 1)
    with pytest.raises(UserError) as failed:
        checkpoints.save(tmp_path, 2, {"step": 2}, 1, fill, writer())
    message = f"the checkpoint of step 2 could not be saved in {tmp_path}: No space left on device; "
    assert failed.value.message.startswith(message)
    assert failed.value.message.endswith(" MiB are free there")
    assert names(tmp_path) == ["step-00000001"]


def test_a_folder_that_cannot_be_made_is_named_with_the_space_above_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Not a directory; [0-9]+ MiB are free there"):
        checkpoints.save(tmp_path / "file/checkpoints", 2, {"step": 2}, 1, print, writer())


def test_the_reason_is_found_inside_what_pytorch_gathers_from_its_ranks(tmp_path: Path) -> None:
    class GatheredError(Exception):
        def __init__(self) -> None:
            super().__init__("CheckpointException\nranks: 1")
            self.failures = {1: (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "its traceback")}

    assert "Disk quota exceeded" in checkpoints.save_error(tmp_path, 2, GatheredError()).message
