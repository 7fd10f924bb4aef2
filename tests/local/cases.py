"""Cases that tests write, and plays that go on while a test does something else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import yaml
from ansible_collections.awsome.distributed_training.tests import support

Made = TypeVar("Made")

TRAINING = """\
import os, time
from adt_train import EXIT_SAVED, Environment, MetricWriter, StopRequest, checkpoints

environment, stop, rank = Environment.read(), StopRequest(), int(os.environ.get("ADT_RANK", "0"))
writer = MetricWriter(environment, rank, accelerators=1, tokens_per_step=100, flops_per_token=1, total_steps=STEPS)
found = checkpoints.newest(environment.checkpoint_dir, print)
first = found[1]["step"] if found else 0
for step in range(first, STEPS):
    time.sleep(PAUSE)
    writer.step(step, 5.0 - step / STEPS, 0.1, 0.1)
    if stop.requested:
        if rank == 0:
            about, root = {"step": step + 1}, environment.checkpoint_dir
            checkpoints.save(root, step + 1, about, 2, lambda part: (part / "state").touch(), writer)
            environment.mark_saved()
        raise SystemExit(EXIT_SAVED)
writer.eval(STEPS, 1.0)
"""
"""A stand-in for training, which needs nothing installed; STEPS and PAUSE are to be filled in."""


def training(steps: int, pause_s: float) -> str:
    """The stand-in's text."""
    return TRAINING.replace("STEPS", str(steps)).replace("PAUSE", str(pause_s))


def write_case(folder: Path, script: str = "", **changes: Any) -> Path:
    """A case folder whose only step runs ``script`` once, but for what ``changes`` of case.yml say."""
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(script)
    case = {
        "schema": 1,
        "name": folder.name,
        "summary": "A case of a user.",
        "framework": "none",
        "accelerators": ["cpu", "cuda"],
        "presets": {"tiny": {"help": "As it is."}},
        "steps": [{"name": "train", "start": "single", "run": ["python", "train.py"]}],
        "metrics": {"source": "adt"},
        **changes,
    }
    (folder / "case.yml").write_text(yaml.safe_dump(case, sort_keys=False))
    return folder


def two_at_a_time(calls: Iterable[Callable[[], Made]]) -> list[Made]:
    """What the calls return, in their order; most of a play's start keeps one core busy."""
    with ThreadPoolExecutor(2) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def result(run: Path) -> dict[str, Any]:
    """The run's result.json."""
    read: dict[str, Any] = json.loads((run / "result.json").read_text())
    return read


def job(run: Path) -> dict[str, Any]:
    """The run's job.json."""
    read: dict[str, Any] = json.loads((run / "job.json").read_text())
    return read


def wait_until(happened: Callable[[], Any], what: str, timeout: float = 120) -> None:
    """Return when it happened."""
    deadline = time.monotonic() + timeout
    while not happened():
        assert time.monotonic() < deadline, f"{what}: not within {timeout:.0f} s"
        time.sleep(0.1)


class Play:
    """The play in the background, in a process group of its own, as a terminal starts it."""

    def __init__(self, args: Iterable[str], cwd: Path) -> None:
        self.screen = cwd / f"screen-{time.monotonic_ns()}.txt"
        active = {
            **os.environ,
            "PATH": f"{support.BIN}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(support.BIN.parent),
            "PYTHONUNBUFFERED": "1",
        }
        with open(self.screen, "wb") as file:
            self.process = subprocess.Popen(
                [support.BIN / "ansible-playbook", support.PLAYBOOK, *args],
                cwd=cwd,
                env=active,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def __enter__(self) -> Play:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait()

    def shown(self) -> str:
        """What the screen shows by now."""
        return self.screen.read_text(errors="replace")

    def wait_for(self, text: str, timeout: float = 120) -> None:
        """Return when the screen shows it."""
        wait_until(lambda: text in self.shown() or self.process.poll() is not None, text, timeout)
        assert text in self.shown(), self.shown()

    def signal(self, number: signal.Signals) -> None:
        """To the whole group, as a terminal sends it."""
        os.killpg(self.process.pid, number)

    def wait(self, timeout: float = 120) -> int:
        """The exit status."""
        return self.process.wait(timeout)


def told(screen: str) -> str:
    """The one message by which a play failed."""
    assert "Traceback" not in screen
    assert screen.count("[ERROR]") == 1, screen
    lines = [line for line in screen.splitlines() if line.startswith("fatal: ")]
    assert len(lines) == 1, screen
    message: str = json.loads(lines[0].partition("FAILED! => ")[2])["msg"]
    assert "\n" not in message
    assert re.search(r"\S; fix: \S", message), message
    return message
