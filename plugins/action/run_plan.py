# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action run_plan; its documentation is in plugins/modules/run_plan.py."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import yaml
from ansible.utils.display import Display
from ansible_collections.awsome.distributed_training.plugins.module_utils import (
    catalogue,
    controller,
    runs,
    slurm_batch,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.plan import make_plan
from ansible_collections.awsome.distributed_training.plugins.module_utils.values import resolve, split_assignments


class ActionModule(controller.OneLineAction):
    """Case, preset, launcher and nodes: the plan of a run."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``plan``, ``folders`` (of run, data, case, library, cache) and, for Slurm, its ``jobs``."""
        request = args["request"]
        case = controller.load_case(request["case"], request["base"])
        launcher = controller.load_launcher(request["launcher"])
        types = controller.read_catalogue("instance_types")
        if request["act"] == "run" and not launcher["submits"] and not self._task.check_mode:
            raise TrainingError(f"launcher={launcher['name']} cannot submit yet, only render", "-e render_to=FOLDER")
        if "image" in launcher["needs"] and not request["image"]:
            raise TrainingError(f"launcher={launcher['name']} needs an image", "-e image=REGISTRY/NAME@sha256:DIGEST")
        host = _of_the_head(task_vars, request["head"]) if launcher["name"] == "slurm" else {}
        given = _given(request["launcher_params"], host)
        node = dict(args.get("node") or _UNKNOWN_NODE)
        if launcher["name"] == "slurm":
            node = _slurm_node(launcher, given, args.get("cluster"), request["nodes"], types)
            given.setdefault("instance_type", node["instance_type"] or "")
        node = {**catalogue.described_node(types, node, given.get("instance_type")), "gres": node.get("gres")}
        cluster = None
        if launcher["name"] == "slurm":  # of a cluster that is not ours the inventory says nothing
            names = {"name": "adt_cluster_name", "kind": "adt_cluster_kind"}
            cluster = {key: host.get(variable) for key, variable in names.items()}
            cluster["prefix"] = host.get("adt_slurm_prefix", "")
        planned = {**request, "launcher_params": given}
        plan = make_plan(case, planned, launcher, node, controller.revision(case["path"]), cluster)
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
        answer = {"changed": False, "plan": plan, "folders": folders}
        if launcher["name"] == "slurm":
            folders["cluster"] = _cluster_folders(request, plan, host, args.get("cluster"))
            answer.update(_for_slurm(plan, folders))
        return answer


def _for_slurm(plan: Mapping[str, Any], folders: Mapping[str, Any]) -> dict[str, Any]:
    """jobs, scripts (to be rendered), files (for the cluster, by the names that they get there), submissions, and
    given_secrets: names of those that the caller has.
    """
    jobs = slurm_batch.batch_jobs(plan)
    scripts = slurm_batch.scripts(jobs)
    files = {name: os.path.join(folders["run"], name) for name in ("plan.yml", *(item["dest"] for item in scripts))}
    return {
        "jobs": jobs,
        "scripts": scripts,
        "files": {"case": folders["case"], "lib": folders["library"], **files},
        "submissions": slurm_batch.submissions(jobs),
        "given_secrets": [name for name in plan["secrets"] if name in os.environ],
    }


_UNKNOWN_NODE = {"accelerator": "cpu", "accelerators": 0, "cpus": None, "instance_type": None}

_OF_THE_HOST = {"partition": "adt_partition", "instance_type": "adt_instance_type", "shared_dir": "adt_shared_dir"}
"""launcher_params that the inventory may give, each as a variable of the cluster's head."""


def _of_the_head(task_vars: dict[str, Any], head: str) -> dict[str, Any]:
    """What the inventory says of the cluster: the variables adt_… of its head."""
    host = task_vars.get("hostvars", {}).get(head, {})
    return {name: controller.plain(host[name]) for name in host if name.startswith("adt_")}


def _given(launcher_params: Any, host: Mapping[str, Any]) -> dict[str, Any]:
    """The user's launcher_params, over what the inventory says of the cluster."""
    of_host = {name: host[variable] for name, variable in _OF_THE_HOST.items() if host.get(variable)}
    return {**of_host, **split_assignments(launcher_params, "launcher_params")}


def _slurm_node(
    launcher: Mapping[str, Any], given: Mapping[str, Any], cluster: Mapping[str, Any] | None, nodes: int, types: Any
) -> dict[str, Any]:
    """What a node of the wanted partition offers; where no cluster was asked, nodes whose accelerators Slurm knows."""
    options = resolve(launcher["parameters"], given, "launcher_params of slurm")
    slurm_batch.refuse_wrong_options(options)
    if cluster is None:
        return {**_UNKNOWN_NODE, "gres": True}
    return slurm_batch.offered_node(
        cluster, options["partition"], options["constraint"], nodes, types["instance_types"]
    )


def _cluster_folders(
    request: Mapping[str, Any], plan: Mapping[str, Any], host: Mapping[str, Any], cluster: Mapping[str, Any] | None
) -> dict[str, str]:
    """Where run, data and environments lie for the cluster: under the shared folder, or where the user's runs are."""
    shared = plan["launcher_params"]["shared_dir"]
    if shared:
        root = os.path.join(shared, f"adt-{cluster['user']}" if cluster else "adt")
        runs_dir = os.path.join(root, "runs")
    elif request["head"] != "localhost" and request["act"] == "run":
        raise TrainingError(
            f"head {request['head']} has no adt_shared_dir", "-e launcher_params='shared_dir=FOLDER of all nodes'"
        )
    else:
        root = runs_dir = request["runs_dir"]
    return {
        "run": os.path.join(runs_dir, plan["case"]["name"], plan["run_id"]),
        "data": os.path.join(runs_dir, plan["case"]["name"], "data"),
        "cache": host.get("adt_cache_dir") or os.path.join(root, "cache"),
    }


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
