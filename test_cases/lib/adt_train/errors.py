"""Errors that a user can mend, told in one line, and the way a training script ends."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

from adt_train.metrics import print_metric

EXIT_USER_ERROR = 2
_LAST_WORDS_S = 5.0  # longer than torchrun takes to notice that a process failed


class UserError(Exception):
    """What is wrong with what the user gave, and its fix; one line each."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(f"{message}; fix: {fix}")
        self.message = message
        self.fix = fix


def run_main(main: Callable[[], int]) -> NoReturn:
    """Run ``main`` and leave the process with the exit status that it returns.

    The process is left by ``os._exit``: with FSDP2 over gloo, threads that outlive Python's own end abort about every
    second run with "terminate called without an active exception" after all its work is done.
    """
    try:
        status = main()
    except UserError as error:
        _tell(" ".join(error.message.split()), " ".join(error.fix.split()))
        status = EXIT_USER_ERROR
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _tell(message: str, fix: str) -> None:
    """Rank 0 prints the event. Another rank waits: where all failed alike, its launcher ends it before it speaks."""
    rank = int(os.environ.get("RANK") or os.environ.get("ADT_RANK") or 0)
    if rank:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        time.sleep(_LAST_WORDS_S)
        message = f"rank {rank}: {message}"
    attempt = int(os.environ.get("ADT_ATTEMPT") or 1)
    print_metric({"kind": "event", "attempt": attempt, "name": "error", "message": message, "fix": fix})
