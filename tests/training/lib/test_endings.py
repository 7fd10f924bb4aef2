"""How a training script ends: on request, by a mistake of its user, by one of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from adt_train import StopRequest

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@pytest.fixture
def _handlers_are_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers_are_restored")
@pytest.mark.parametrize("number", STOPS)
def test_a_stop_request_is_remembered(number: signal.Signals) -> None:
    stop = StopRequest()
    assert not stop.requested
    signal.raise_signal(number)
    assert stop.requested


def script(body: str, *, rank: int | None = None, last_words_s: float = 0.2) -> list[str]:
    text = f"""
import sys, threading, time
from adt_train import StopRequest, UserError, errors, run_main
errors._LAST_WORDS_S = {last_words_s}
def main():
    {body}
run_main(main)
"""
    where = [] if rank is None else ["env", f"RANK={rank}"]
    return [*where, sys.executable, "-c", text]


def end(body: str, rank: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(script(body, rank=rank), capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("status", [0, 1, 75])
def test_the_exit_status_is_what_main_returns(status: int) -> None:
    ran = end(f"print('done'); return {status}")
    assert (ran.returncode, ran.stdout, ran.stderr) == (status, "done\n", "")


def test_a_mistake_of_the_user_is_one_line() -> None:
    ran = end("raise UserError('this is\\n   wrong', 'do\\nthat')")
    assert (ran.returncode, ran.stderr) == (2, "")
    mark, line = ran.stdout.split(" ", 1)
    assert mark == "ADT_METRIC"
    assert json.loads(line) == {
        "kind": "event", "attempt": 1, "name": "error", "message": "this is wrong", "fix": "do that",
    }  # fmt: skip


def test_another_rank_tells_which_it_is() -> None:
    assert '"message": "rank 1: wrong"' in end("raise UserError('wrong', 'x')", rank=1).stdout


def test_another_rank_can_be_ended_before_it_speaks() -> None:
    body = "StopRequest(); print('here', flush=True); raise UserError('wrong', 'x')"
    with subprocess.Popen(script(body, rank=1, last_words_s=20), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        time.sleep(0.3)
        process.terminate()
        assert process.stdout.read() == ""
    assert process.returncode == -signal.SIGTERM


def test_a_mistake_of_ours_shows_where() -> None:
    ran = end("raise ValueError('ours')")
    assert ran.returncode == 1
    assert "Traceback" in ran.stderr
    assert "ValueError: ours" in ran.stderr


def test_threads_that_live_on_do_not_hold_the_process() -> None:
    started = time.monotonic()
    assert end("threading.Thread(target=time.sleep, args=(20,)).start(); return 0").returncode == 0
    assert time.monotonic() - started < 10


def test_the_rank_is_found_under_either_name() -> None:
    words = script("raise UserError('wrong', 'x')")
    ran = subprocess.run(words, env={**os.environ, "ADT_RANK": "1"}, capture_output=True, text=True, check=False)
    assert '"rank 1: wrong"' in ran.stdout
