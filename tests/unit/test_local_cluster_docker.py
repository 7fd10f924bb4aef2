# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Docker Engine found, started by hand, or refused, with programs on the PATH that act like docker and dockerd."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.modules import docker_engine

NO_SYSTEMD = pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="systemd starts Docker Engine here")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH, with the shell's own tools."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return tmp_path


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\nexport PATH=/usr/bin:/bin\ncd {folder}\n{text}\n")
    path.chmod(0o755)


def test_an_engine_that_answers_is_used(programs: Path) -> None:
    program(programs, "docker", "echo 20.10.24")
    assert docker_engine.look() == "running"


def test_without_the_command_or_the_daemon_it_is_missing(programs: Path) -> None:
    assert docker_engine.look() == "missing"
    program(programs, "docker", "echo Cannot connect >&2; exit 1")
    assert docker_engine.look() == "missing"
    program(programs, "dockerd", "exit 1")
    assert docker_engine.look() == "stopped"


def test_a_user_whom_the_engine_does_not_let_in_is_told_how_to_get_in(programs: Path) -> None:
    program(programs, "docker", "echo 'permission denied while trying to connect' >&2; exit 1")
    with pytest.raises(TrainingError, match=r"does not let this user in .*; fix: sudo usermod -aG docker"):
        docker_engine.look()


def test_an_engine_elsewhere_is_not_replaced_by_one_here(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "docker", "exit 1")
    program(programs, "dockerd", "exit 0")
    monkeypatch.setenv("DOCKER_HOST", "tcp://away.example:2375")
    with pytest.raises(TrainingError, match=r"DOCKER_HOST=tcp://away\.example:2375 .*; fix: unset DOCKER_HOST"):
        docker_engine.look()


@NO_SYSTEMD
def test_only_root_starts_an_engine(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(TrainingError, match=r"only root can start it; fix: "):
        docker_engine.start(str(programs / "log"), 5)


@NO_SYSTEMD
@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts an engine")
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # as it shall
def test_an_engine_started_by_hand_is_waited_for_and_belongs_to_no_play(programs: Path) -> None:
    program(programs, "docker", "[ -e answers ] || { echo Cannot connect >&2; exit 1; }")
    program(programs, "dockerd", "echo $$ >pid; sleep 0.5; touch answers; echo ready; exec sleep 30")
    docker_engine.start(str(programs / "log"), 20)
    pid = int((programs / "pid").read_text())
    try:
        assert docker_engine.look() == "running"
        assert os.getsid(pid) == pid
        assert (programs / "log").read_text() == "ready\n"
    finally:
        os.kill(pid, signal.SIGKILL)


@NO_SYSTEMD
@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts an engine")
def test_an_engine_that_does_not_start_is_told_by_its_last_line(programs: Path) -> None:
    program(programs, "docker", "exit 1")
    program(programs, "dockerd", "echo first; echo 'no iptables'; exit 1")
    began = time.monotonic()
    with pytest.raises(TrainingError, match=r"was started and ended: no iptables; fix: look at .*log"):
        docker_engine.start(str(programs / "log"), 20)
    assert time.monotonic() - began < 10
