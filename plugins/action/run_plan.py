# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action run_plan; its documentation is in plugins/modules/run_plan.py."""

from __future__ import annotations

import os
from typing import Any

import yaml
from ansible.utils.display import Display
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller, runs
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.plan import make_plan
from ansible_collections.awsome.distributed_training.plugins.module_utils.values import split_assignments


class ActionModule(controller.OneLineAction):
    """Case, preset, launcher and nodes: the plan of a run."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``plan`` and ``folders``: those of the run, its data, the case, the library and the cache."""
        request = args["request"]
        case = controller.load_case(request["case"], request["base"])
        launcher = controller.load_launcher(request["launcher"])
        types = controller.read_catalogue("instance_types")
        if request["act"] == "run" and not launcher["submits"] and not self._task.check_mode:
            raise TrainingError(f"launcher={launcher['name']} cannot submit yet, only render", "-e render_to=FOLDER")
        if "image" in launcher["needs"] and not request["image"]:
            raise TrainingError(f"launcher={launcher['name']} needs an image", "-e image=REGISTRY/NAME@sha256:DIGEST")
        node = dict(args.get("node") or {"accelerator": "cpu", "accelerators": 0, "cpus": None, "instance_type": None})
        node = catalogue.described_node(types, node, _instance_type(request["launcher_params"]))
        plan = make_plan(case, request, launcher, node, controller.revision(case["path"]))
        option = "render_to" if request["render_to"] else "runs_dir"
        runs.refuse_unwritable(request[option], option)
        run_dir = request["render_to"] or os.path.join(request["runs_dir"], case["name"], plan["run_id"])
        _refuse_another_plan(run_dir, plan)
        if self._task.check_mode:
            Display().display(yaml.safe_dump(plan, sort_keys=False, width=120))
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        folders = {
            "run": run_dir,
            "data": os.path.join(run_dir if request["render_to"] else os.path.dirname(run_dir), "data"),
            "case": case["path"],
            "library": os.path.join(controller.ROOT, "test_cases", "lib"),
            "cache": os.path.join(cache, "awsome-distributed-training"),
        }
        return {"changed": False, "plan": plan, "folders": folders}


def _instance_type(launcher_params: Any) -> str | None:
    return split_assignments(launcher_params, "launcher_params").get("instance_type") or None


def _refuse_another_plan(run_dir: str, plan: dict[str, Any]) -> None:
    places = (os.path.join(run_dir, "plan.yml"), os.path.join(run_dir, "plan", "plan.yml"))
    path = next((place for place in places if os.path.exists(place)), None)
    if path is None:
        return
    differing = runs.differing(controller.read_yaml(path), plan)
    if differing:
        raise TrainingError(
            f"run {plan['run_id']} has another plan: {', '.join(differing)} differ",
            "repeat the first call's variables, or leave out run_id for a new run",
        )
