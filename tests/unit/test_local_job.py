# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A job of this machine: what is known of it, what its log has gained, and who may stop it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.local_job import (
    LOST,
    is_alive,
    read_job,
    read_log,
)

SUPERVISOR = Path(controller.ROOT) / "roles/test_case/files/supervise.py"
Start = Callable[..., "subprocess.Popen[bytes]"]


def until(done: Callable[[], Any], seconds: float = 10) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "20261123T200000Z-1a2b"
    folder.mkdir()
    return folder


@pytest.fixture
def start(run_dir: Path) -> Iterator[Start]:
    """Start a script under the supervisor; whatever is left of it is killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(script: str, owner: int = 0, names: str = "PATH", **environment: str) -> subprocess.Popen[bytes]:
        (run_dir / "job.sh").write_text(script)
        words = [sys.executable, str(SUPERVISOR), str(run_dir), str(owner), names]
        started.append(subprocess.Popen(words, env={**os.environ, **environment}, start_new_session=True))
        until((run_dir / "job.json").exists)
        return started[-1]

    yield begin
    for supervisor in started:
        job = json.loads((run_dir / "job.json").read_text())
        if job["state"] == "running":
            os.killpg(job["pid"], signal.SIGKILL)
        supervisor.kill()
        supervisor.wait()


def test_a_job_that_was_never_started_is_absent(run_dir: Path) -> None:
    assert read_job(str(run_dir)) == {"state": "absent"}
    assert not is_alive(read_job(str(run_dir)))


def test_a_job_runs_until_it_ends(run_dir: Path, start: Start) -> None:
    supervisor = start(f"while [ ! -e {run_dir}/go ]; do sleep 0.05; done; exit 3")
    running = read_job(str(run_dir))
    assert is_alive(running)
    assert (running["supervisor"], running["started"] <= time.time()) == (supervisor.pid, True)
    (run_dir / "go").touch()
    assert supervisor.wait(10) == 3
    ended = read_job(str(run_dir))
    assert (ended["state"], ended["exit_status"], ended["pid"]) == ("exited", 3, running["pid"])
    assert ended["started"] <= ended["ended"] <= time.time()


def test_a_job_that_a_signal_ended_has_the_shells_status(run_dir: Path, start: Start) -> None:
    start("kill -9 $$").wait(10)
    assert read_job(str(run_dir))["exit_status"] == 128 + 9


def test_everything_that_a_job_prints_is_in_its_log(run_dir: Path, start: Start) -> None:
    (run_dir / "log.txt").write_text("first attempt\n")
    start("echo out; echo err >&2").wait(10)
    assert read_log(str(run_dir), 0)[0] == "first attempt\nout\nerr\n"


def test_a_job_whose_supervisor_is_gone_is_lost(run_dir: Path, start: Start) -> None:
    supervisor = start("sleep 60")
    supervisor.kill()
    supervisor.wait()
    lost = read_job(str(run_dir))
    assert (lost["state"], lost["exit_status"]) == ("exited", LOST)


def test_a_job_whose_supervisors_number_went_to_another_process_is_lost(run_dir: Path) -> None:
    (run_dir / "job.json").write_text(json.dumps({"state": "running", "pid": 1, "supervisor": os.getpid()}))
    assert read_job(str(run_dir))["exit_status"] == LOST


def test_an_end_that_is_noted_while_one_looks_is_not_lost(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = {"state": "running", "pid": 1, "supervisor": os.getpid()}
    notes = iter([running, {**running, "state": "exited", "exit_status": 0}])
    (run_dir / "job.json").touch()
    monkeypatch.setattr(json, "load", lambda file: next(notes))
    assert read_job(str(run_dir))["exit_status"] == 0


def test_a_job_is_asked_to_stop_when_its_owner_is_gone(run_dir: Path, start: Start) -> None:
    owner = subprocess.Popen(["sleep", "60"])
    supervisor = start("trap 'echo saved; exit 75' TERM\necho ready\nwhile :; do sleep 0.05; done", owner=owner.pid)
    until(lambda: "ready" in read_log(str(run_dir), 0)[0])
    assert is_alive(read_job(str(run_dir)))
    owner.kill()
    owner.wait()
    assert supervisor.wait(10) == 75
    assert read_log(str(run_dir), 0)[0].endswith("saved\n")


def test_a_job_without_an_owner_goes_on(run_dir: Path, start: Start) -> None:
    start("sleep 60")
    time.sleep(0.5)
    assert is_alive(read_job(str(run_dir)))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets a process adopt orphans")
def test_a_job_that_ended_leaves_no_process_behind(run_dir: Path, start: Start) -> None:
    start(f"setsid sleep 300 & echo $! >{run_dir}/left")
    until(lambda: read_job(str(run_dir))["state"] == "exited")
    assert not Path(f"/proc/{(run_dir / 'left').read_text().strip()}").exists()


def test_a_job_inherits_the_listed_variables_alone(run_dir: Path, start: Start) -> None:
    seen = {"ADT_SECRET": "canary", "NCCL_DEBUG": "INFO", "HF_TOKEN": "listed", "HF_TOKEN_OTHER": "canary"}
    start("env", names="PATH,HF_TOKEN,NCCL_*", **seen).wait(10)
    names = {line.partition("=")[0] for line in read_log(str(run_dir), 0)[0].splitlines()}
    assert names - {"PWD", "SHLVL", "_"} == {"PATH", "HF_TOKEN", "NCCL_DEBUG"}


def test_a_job_inherits_nothing_where_nothing_is_listed(run_dir: Path, start: Start) -> None:
    start("echo ${HOME-none} ${ADT_SECRET-none}", names="", ADT_SECRET="canary").wait(10)
    assert read_log(str(run_dir), 0)[0] == "none none\n"


def test_a_job_reads_nothing_from_the_terminal(run_dir: Path, start: Start) -> None:
    start("read -r line || echo nothing").wait(10)
    assert read_log(str(run_dir), 0)[0] == "nothing\n"


def test_a_log_is_read_in_whole_lines_from_where_the_last_look_ended(run_dir: Path) -> None:
    log = run_dir / "log.txt"
    log.write_bytes(b"one\ntwo\nthr")
    text, offset = read_log(str(run_dir), 0)
    assert (text, offset) == ("one\ntwo\n", 8)
    log.write_bytes(b"one\ntwo\nthree\n")
    assert read_log(str(run_dir), offset) == ("three\n", 14)
    assert read_log(str(run_dir), 14) == ("", 14)


def test_a_log_that_is_not_there_yet_has_gained_nothing(run_dir: Path) -> None:
    assert read_log(str(run_dir), 0) == ("", 0)


def test_a_long_log_is_read_in_several_looks(run_dir: Path) -> None:
    (run_dir / "log.txt").write_text("ab\ncd\nef\n")
    assert read_log(str(run_dir), 0, most=7) == ("ab\ncd\n", 6)


def test_a_line_longer_than_a_look_does_not_hold_it_up(run_dir: Path) -> None:
    (run_dir / "log.txt").write_text("x" * 20 + "\n")
    assert read_log(str(run_dir), 0, most=8) == ("x" * 8, 8)


def test_bytes_that_are_no_text_are_replaced(run_dir: Path) -> None:
    (run_dir / "log.txt").write_bytes(b"a\xffb\n")
    assert read_log(str(run_dir), 0) == ("a\ufffdb\n", 4)
