# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action follow_job; its documentation is in plugins/modules/follow_job.py."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.utils.display import Display
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, local_job
from ansible_collections.awsome.distributed_training.plugins.module_utils.following import (
    Follower,
    LogCopy,
    NoAnswerError,
)

_HERE = {"awsome.distributed_training.local_job_info": local_job.look}
"""Looks that need no module where the job runs on this very machine: they cost the job none of its processor time."""

_LOOK_S = 180
"""Longest that one look may take: a network that swallows packets keeps ssh waiting for ever."""


class ActionModule(controller.OneLineAction):
    """Look at a job until it ends, and show how far it is."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``job``, ended."""
        display = Display()
        for line in args.get("say", []):
            display.display(line)

        def look(offset: int) -> dict[str, Any]:
            return self._look(args["look"], {**args["look_args"], "offset": offset}, task_vars)

        follower = Follower(look, display.display, time.monotonic, time.sleep)
        # numbers are texts before ansible-core 2.19
        job = follower.follow(int(args.get("offset", 0)), float(args["interval_s"]), self._copy(args))
        return {"changed": False, "job": controller.plain(job)}

    def _copy(self, args: dict[str, Any]) -> LogCopy | None:
        """Where the log's lines go; nowhere where the job writes that very file."""
        log = args.get("log")
        if not log:
            return None
        original = os.path.join(args["look_args"]["run_dir"], "log.txt")
        if self._connection.transport == "local" and os.path.realpath(log) == os.path.realpath(original):
            return None
        return LogCopy(log)

    def _look(self, name: str, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if name in _HERE and self._connection.transport == "local":
            return _HERE[name](**args)
        try:
            with _at_most(_LOOK_S):
                looked: dict[str, Any] = self._execute_module(module_name=name, module_args=args, task_vars=task_vars)
        except (AnsibleConnectionFailure, TimeoutError) as error:
            if hasattr(self._connection, "reset"):
                self._connection.reset()
            raise NoAnswerError(" ".join(str(error).split())) from error
        if looked.get("failed") or looked.get("unreachable"):
            raise NoAnswerError(" ".join(str(looked.get("msg")).split()))
        return looked


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Raises TimeoutError in the block after that time."""

    def ring(number: int, frame: object) -> None:
        raise TimeoutError(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
