"""Start one process per rank of this node: ``python -m adt_train.per_rank COMMAND …``.

Each process gets ADT_RANK, ADT_LOCAL_RANK and ADT_WORLD_SIZE. The first one that fails ends the others, which would
wait for it for ever; a stop request is handed on and waited for, as long as saving takes. The exit status is that of
the first failure, else that of a process that saved.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from adt_train.signals import EXIT_SAVED

GRACE_S = 30.0
"""Seconds between SIGTERM and SIGKILL for processes whose neighbour failed."""


def main(command: list[str]) -> int:
    """Run ``command`` once per rank of this node; returns the exit status."""
    processes = int(os.environ["ADT_PROCS_PER_NODE"])
    first = int(os.environ["ADT_NODE_RANK"]) * processes
    world = int(os.environ["ADT_NODES"]) * processes
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda number, frame: asked.append(number))
    ranks = [
        subprocess.Popen(
            command,
            env={
                **os.environ,
                "ADT_RANK": str(first + local),
                "ADT_LOCAL_RANK": str(local),
                "ADT_WORLD_SIZE": str(world),
            },
            start_new_session=True,
        )
        for local in range(processes)
    ]
    status, deadline = 0, None
    while any(rank.poll() is None for rank in ranks):
        failed = next((rank for rank in ranks if rank.poll() not in (None, 0, EXIT_SAVED)), None)
        if failed is not None and deadline is None:
            status = failed.returncode
            deadline = time.monotonic() + GRACE_S
            asked.append(signal.SIGTERM)
        if deadline is not None and time.monotonic() > deadline:
            asked.append(signal.SIGKILL)
        while asked:
            handed_on = asked.pop(0)
            for rank in ranks:
                rank.send_signal(handed_on)  # nothing to one that has ended
        time.sleep(0.05)
    status = status or next((rank.returncode for rank in ranks if rank.returncode), 0)
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
