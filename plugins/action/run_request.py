# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action run_request; its documentation is in plugins/modules/run_request.py."""

from __future__ import annotations

import os
import shlex
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
        heads = task_vars.get("groups", {}).get("head", [])
        sbatch = shutil.which("sbatch")
        if request["launcher"] is None:
            request["launcher"] = "slurm" if heads or sbatch else "local"
        request["head"] = str(heads[0]) if heads else "localhost"
        request["has_slurm"] = bool(heads or sbatch)
        request["base"] = base
        request["controller_pid"] = os.getppid()
        request["run_id"] = request["run_id"] or runs.new_run_id()
        request["command"] = _this_command(task_vars.get("ansible_inventory_sources") or [])
        if request["act"] in ("attach", "cancel"):
            request["run_dir"] = runs.find_run(request["runs_dir"], request[request["act"]])
            request["launcher"] = controller.read_yaml(os.path.join(request["run_dir"], "plan.yml"))["launcher"]
            if request["launcher"] == "slurm":
                request["cluster"] = controller.read_yaml(os.path.join(request["run_dir"], "cluster.json"))
        else:
            # refused here, before anything is asked of a node
            controller.load_case(request["case"], base)
            launcher = controller.load_launcher(request["launcher"])
            if "cluster" in launcher["needs"] and request["act"] == "run" and not request["has_slurm"]:
                raise TrainingError(
                    f"launcher={launcher['name']}: sbatch is not on the PATH, and the inventory has no group head",
                    "-i INVENTORY of the cluster, or -e render_to=FOLDER",
                )
        return {"changed": False, "request": request}


def _this_command(inventories: list[str]) -> str:
    """How to call ansible-playbook again, by its name where the PATH leads to it, with the same inventories."""
    own = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    name = "ansible-playbook" if shutil.which("ansible-playbook") == own or not os.path.exists(own) else own
    given = [path for path in inventories if path != "/etc/ansible/hosts"]
    return " ".join([name, *(f"-i {shlex.quote(str(path))}" for path in given)])
