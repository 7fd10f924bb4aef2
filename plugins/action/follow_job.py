# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action follow_job; its documentation is in plugins/modules/follow_job.py."""

from __future__ import annotations

import time
from typing import Any

from ansible.utils.display import Display
from ansible_collections.awsome.distributed_training.plugins.module_utils import (
    adt_metrics,
    controller,
    local_job,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.progress import progress_line

_HERE = {"awsome.distributed_training.local_job_info": local_job.look}
"""Looks that need no module where the job runs on this very machine: they cost the job none of its processor time."""


class ActionModule(controller.OneLineAction):
    """Look at a job until it ends, and show how far it is."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``job``, ended."""
        display, offset = Display(), int(args.get("offset", 0))  # a text before ansible-core 2.19
        for line in args.get("say", []):
            display.display(line)
        while True:
            look = self._look(args["look"], {**args["look_args"], "offset": offset}, task_vars)
            if look.get("failed"):
                raise TrainingError(f"the job could not be looked at: {look.get('msg')}", "attach to it again")
            for metric in adt_metrics.parse_metrics(look["text"].splitlines()):
                line = progress_line(metric)
                if line:
                    display.display(line)
            advanced, offset = look["offset"] > offset, look["offset"]
            # a job that ended may have left more log than one look returns
            if look["job"]["state"] != "running" and not advanced:
                return {"changed": False, "job": controller.plain(look["job"])}
            if look["job"]["state"] == "running":
                time.sleep(args["interval_s"])

    def _look(self, name: str, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if name in _HERE and self._connection.transport == "local":
            return _HERE[name](**args)
        looked: dict[str, Any] = self._execute_module(module_name=name, module_args=args, task_vars=task_vars)
        return looked
