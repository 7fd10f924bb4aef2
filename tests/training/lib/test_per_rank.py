"""The launcher of one process per rank."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

LAUNCHER = [sys.executable, "-m", "adt_train.per_rank"]


def variables(nodes: int = 1, node_rank: int = 0) -> dict[str, str]:
    return {
        **os.environ,
        "ADT_NODES": str(nodes),
        "ADT_NODE_RANK": str(node_rank),
        "ADT_PROCS_PER_NODE": "2",
    }


def launch(script: str, launcher: Sequence[str] = LAUNCHER, **where: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*launcher, "sh", "-c", script], env=variables(**where), capture_output=True, text=True, timeout=30, check=False
    )


def test_each_process_knows_its_rank() -> None:
    ran = launch('echo "$ADT_RANK $ADT_LOCAL_RANK $ADT_WORLD_SIZE"', nodes=3, node_rank=1)
    assert ran.returncode == 0
    assert sorted(ran.stdout.splitlines()) == ["2 0 6", "3 1 6"]


def test_the_first_failure_ends_the_others_and_is_told() -> None:
    started = time.monotonic()
    ran = launch('[ "$ADT_RANK" = 1 ] && exit 3; trap "exit 9" TERM; while :; do sleep 0.05; done')
    assert ran.returncode == 3
    assert time.monotonic() - started < 10


def test_who_does_not_end_when_asked_is_killed() -> None:
    impatient = "import sys; from adt_train import per_rank as p; p.GRACE_S = 0.3; sys.exit(p.main(sys.argv[1:]))"
    script = '[ "$ADT_RANK" = 1 ] && exit 3; trap "" TERM; while :; do sleep 0.05; done'
    started = time.monotonic()
    assert launch(script, [sys.executable, "-c", impatient]).returncode == 3
    assert time.monotonic() - started < 10


def test_a_process_that_a_signal_ended_counts_as_its_shell_would_say() -> None:
    assert launch('[ "$ADT_RANK" = 1 ] && kill -KILL $$; sleep 0.2').returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stop_request_is_handed_on_and_waited_for(number: signal.Signals) -> None:
    script = 'trap "sleep 0.2; echo saved; exit 75" TERM INT USR1; echo ready; while :; do sleep 0.05; done'
    command = [*LAUNCHER, "sh", "-c", script]
    with subprocess.Popen(command, env=variables(), stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert [launcher.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        launcher.send_signal(number)
        assert launcher.stdout.read() == "saved\n" * 2
    assert launcher.returncode == 75


def test_a_rank_that_saved_gives_the_others_the_time_to_save() -> None:
    ran = launch('[ "$ADT_RANK" = 0 ] && exit 75; sleep 0.5; echo saved; exit 75')
    assert (ran.stdout, ran.returncode) == ("saved\n", 75)


def test_saved_ranks_are_not_a_failure_of_the_last_to_save() -> None:
    # rank 1 is still saving when rank 0 has gone
    script = 'trap "exit 4" TERM; [ "$ADT_RANK" = 0 ] && exit 75; sleep 0.3; exit 75'
    assert launch(script).returncode == 75
