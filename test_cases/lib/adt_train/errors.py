"""Errors that a user can mend, told in one line, and the way a training script ends."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from adt_train.metrics import print_metric

EXIT_USER_ERROR = 2


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
        print_metric(
            {
                "kind": "event",
                "attempt": int(os.environ.get("ADT_ATTEMPT") or 1),
                "name": "error",
                "message": " ".join(error.message.split()),
                "fix": " ".join(error.fix.split()),
            }
        )
        status = EXIT_USER_ERROR
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
