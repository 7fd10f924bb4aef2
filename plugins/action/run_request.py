# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action run_request; its documentation is in plugins/modules/run_request.py."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

from ansible.utils.vars import load_extra_vars
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, runs
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.request import read_request


class ActionModule(controller.OneLineAction):
    """Read the public variables of run_test_case."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``request``, complete."""
        request = read_request(args, [str(name) for name in load_extra_vars(self._loader)])
        base = controller.standing_in()
        request["runs_dir"] = os.path.join(base, os.path.expanduser(request["runs_dir"]))
        if request["render_to"]:
            request["render_to"] = os.path.join(base, os.path.expanduser(request["render_to"]))
        if request["launcher"] is None:
            request["launcher"] = "local"
            head = "the inventory has a Slurm head" if task_vars.get("groups", {}).get("head") else None
            if head or shutil.which("sbatch"):
                why = head or "sbatch is on the PATH"
                raise TrainingError(
                    f"{why}, and there is no launcher for Slurm yet", "-e launcher=local trains on this very machine"
                )
        request["base"] = base
        request["controller_pid"] = os.getppid()
        request["run_id"] = request["run_id"] or runs.new_run_id()
        request["command"] = _this_command()
        if request["act"] in ("attach", "cancel"):
            request["run_dir"] = runs.find_run(request["runs_dir"], request[request["act"]])
            request["launcher"] = controller.read_yaml(os.path.join(request["run_dir"], "plan.yml"))["launcher"]
        else:
            # refused here, before anything is asked of a node
            controller.load_case(request["case"], base)
            controller.load_launcher(request["launcher"])
        return {"changed": False, "request": request}


def _this_command() -> str:
    """How to call ansible-playbook again: by its name where the PATH leads to the one that runs."""
    own = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    return "ansible-playbook" if shutil.which("ansible-playbook") == own or not os.path.exists(own) else own
