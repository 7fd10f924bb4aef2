"""Ranks as processes, forked from one that has imported PyTorch already: each costs milliseconds, not seconds."""

from __future__ import annotations

import importlib.util
import io
import json
import multiprocessing
import os
import runpy
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

TEST_CASES = Path(__file__).resolve().parents[2] / "test_cases"
TIMEOUT_S = 60.0

_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload(
    ["numpy", "pytest", "torch._dynamo", "torch.distributed.checkpoint.state_dict", "torch.distributed.fsdp"]
)


@dataclass(frozen=True)
class Run:
    """A training script that has ended on all of its ranks."""

    statuses: list[int]
    """Exit status of each rank; negative for a signal."""
    output: str

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Its metric lines, in order."""
        return metric_lines(self.output)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Metric lines of one kind."""
        return [metric for metric in self.metrics if metric["kind"] == kind]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Events of one name."""
        return [metric for metric in self.of("event") if metric["name"] == name]

    @property
    def losses(self) -> dict[int, float]:
        """Loss of each step that was printed."""
        return {metric["step"]: metric["loss"] for metric in self.of("step")}


def metric_lines(output: str) -> list[dict[str, Any]]:
    """The metrics in what a script printed."""
    return [json.loads(line.removeprefix("ADT_METRIC ")) for line in output.splitlines() if line[:11] == "ADT_METRIC "]


def on_ranks(count: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What ``function(*arguments)`` returns on each of ``count`` ranks, which have met over gloo."""
    port = free_port()
    ends, processes = [], []
    for rank in range(count):
        ours, theirs = _fork.Pipe(duplex=False)
        process = _fork.Process(
            target=_call, args=(theirs, _variables(rank, count, port), function, arguments), daemon=True
        )
        process.start()
        theirs.close()
        ends.append(ours)
        processes.append(process)
    try:
        return _receive(ends, processes)
    finally:
        _end(processes, at_once=True)


def run_script(
    script: str,
    folder: Path,
    *words: str,
    ranks: int = 2,
    first_do: Callable[[], None] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Run:
    """A training script, as its launcher starts it, with ``folder`` for its run; the first failure ends all ranks.

    :param script: its path under test_cases.
    :param first_do: what each rank does before the script, such as replacing a function.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    processes, logs = [], []
    for rank in range(ranks):
        log = folder / f"rank-{rank}.log"
        log.unlink(missing_ok=True)
        environment = {"ADT_RUN_DIR": str(folder), **_variables(rank, ranks, port), **(variables or {})}
        process = _fork.Process(
            target=_run, args=(str(TEST_CASES / script), words, environment, str(log), first_do), daemon=True
        )
        process.start()
        processes.append(process)
        logs.append(log)
    _end(processes)
    statuses = [process.exitcode if process.exitcode is not None else 1 for process in processes]
    return Run(statuses, "".join(log.read_text(errors="replace") for log in logs if log.exists()))


def load_script(script: str) -> ModuleType:
    """A training script as a module; several have the same file name."""
    name = script.removesuffix(".py").replace("/", "_")
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, TEST_CASES / script)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def this_rank() -> int:
    """The rank of this process."""
    return int(os.environ["RANK"])


def _variables(rank: int, ranks: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "ADT_PROCS_PER_NODE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _call(
    pipe: Connection, environment: dict[str, str], function: Callable[..., Any], arguments: Sequence[Any]
) -> None:
    import torch

    from adt_train.torch_ranks import Ranks

    os.environ.update(environment)
    told: tuple[str | None, Any]
    try:
        ranks = Ranks.start()
        told = (None, function(*arguments))
    except BaseException:
        told = (traceback.format_exc(), None)
    buffer = io.BytesIO()
    torch.save(told, buffer)
    pipe.send_bytes(buffer.getvalue())
    if not told[0]:
        ranks.wait()  # rank 0 keeps the addresses of all
    os._exit(0)  # as adt_train.errors.run_main


def _receive(ends: Sequence[Connection], processes: Sequence[BaseProcess]) -> list[Any]:
    """What each rank tells; the first failure is raised at once, for the others may wait for that rank."""
    import torch

    values: dict[Connection, Any] = {}
    deadline = time.monotonic() + TIMEOUT_S
    while waiting := [end for end in ends if end not in values]:
        ready = wait(waiting, timeout=max(0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"{len(waiting)} of {len(ends)} ranks do not answer")
        for end in (end for end in waiting if end in ready):
            try:
                failure, values[end] = torch.load(io.BytesIO(end.recv_bytes()), weights_only=False)
            except EOFError:
                rank = ends.index(end)
                processes[rank].join(5)
                raise AssertionError(f"rank {rank} died with exit status {processes[rank].exitcode}") from None
            if failure:
                raise AssertionError(f"a rank failed:\n{failure}")
    return [values[end] for end in ends]


def _run(
    script: str, words: Sequence[str], environment: dict[str, str], log: str, first_do: Callable[[], None] | None
) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(environment)
    sys.argv = [script, *words]
    sys.path.insert(0, os.path.dirname(script))
    if first_do:
        first_do()
    runpy.run_path(script, run_name="__main__")


def _end(processes: Sequence[BaseProcess], at_once: bool = False) -> None:
    """Return when all have ended: as torchrun, the first that fails takes the others with it."""
    deadline = time.monotonic() + (5 if at_once else TIMEOUT_S)
    asked = False
    while alive := [process for process in processes if process.is_alive()]:
        if time.monotonic() > deadline:
            for process in alive:
                process.kill()
        elif not asked and any(process.exitcode for process in processes):
            asked, deadline = True, min(deadline, time.monotonic() + 5)
            for process in alive:
                with suppress(ProcessLookupError):
                    os.kill(process.pid or 0, signal.SIGTERM)
        wait([process.sentinel for process in alive], timeout=0.1)
