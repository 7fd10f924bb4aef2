"""Run a job script in a session of its own, note how it ends, and stop it when its owner goes away.

usage: python3 supervise.py RUN_DIR OWNER_PID ENVIRONMENT_NAMES

Writes RUN_DIR/job.json (pid, state, exit_status, started, ended; seconds since 1970) and RUN_DIR/log.txt.
OWNER_PID 0 means detached: nobody's end stops the job. ENVIRONMENT_NAMES are the variables that the job inherits,
comma-separated; a name that ends in * stands for all that begin so.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time

POLL_S = 0.2
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def inherited(names: "list[str]") -> "dict[str, str]":
    """The caller's variables that the job may see."""
    begins = tuple(name[:-1] for name in names if name.endswith("*"))
    return {name: value for name, value in os.environ.items() if name in names or (begins and name.startswith(begins))}


def note(run_dir: str, **state: object) -> None:
    """Replace job.json in one move: a reader never sees half of it."""
    path = os.path.join(run_dir, "job.json")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.replace(path + ".new", path)


def is_running(pid: int) -> bool:
    """The owner still runs; a process of another user counts as running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def adopt_orphans() -> None:
    """Become the parent of processes whose own parent dies: a launcher that is killed leaves its ranks behind."""
    with contextlib.suppress(AttributeError, OSError):  # Linux only
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_orphans() -> None:
    """End every process that the job left, and those that they leave."""
    while children():
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        os.waitpid(-1, 0)


def children() -> "list[int]":
    """This process's children."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def main(run_dir: str, owner: int, names: "list[str]") -> int:
    """Run RUN_DIR/job.sh to its end; returns its exit status."""
    started = time.time()
    adopt_orphans()
    with open(os.path.join(run_dir, "log.txt"), "ab") as log:
        job = subprocess.Popen(
            ["bash", os.path.join(run_dir, "job.sh")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=inherited(names),
            start_new_session=True,
        )
    state = {"pid": job.pid, "supervisor": os.getpid(), "started": started}
    note(run_dir, state="running", **state)
    while job.poll() is None:
        if owner and not is_running(owner):
            owner = 0
            os.killpg(job.pid, signal.SIGTERM)
        time.sleep(POLL_S)
    kill_orphans()
    status = job.returncode if job.returncode >= 0 else 128 - job.returncode
    note(run_dir, state="exited", exit_status=status, ended=time.time(), **state)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")))
