# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action run_folder; its documentation is in plugins/modules/run_folder.py."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, runs


class ActionModule(controller.OneLineAction):
    """Make the folder of a run."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``path``."""
        there = os.path.isdir(os.path.join(args["runs_dir"], args["case"], args["run_id"]))
        return {"changed": not there, "path": runs.make_run_dir(args["runs_dir"], args["case"], args["run_id"])}
