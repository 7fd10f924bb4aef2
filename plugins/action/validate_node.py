# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action validate_node; its documentation is in plugins/modules/validate_node.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller, validation

MODULE = "awsome.distributed_training.validate_node"


class ActionModule(controller.OneLineAction):
    """Hand the catalogues to the module of the same name, for a node has none."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns what the module returns."""
        types = controller.read_catalogue("instance_types")
        given = {
            "types": {name: catalogue.instance_type(types, name) for name in types["instance_types"]},
            "xids": controller.read_catalogue("xids")["xids"],
            **args,
        }
        found: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=given, task_vars=task_vars)
        if not found.get("failed"):
            return found
        # a play whose hosts have all failed ends, and nothing would judge them
        told = [str(found.get(name, "")).strip().splitlines() for name in ("msg", "module_stderr", "module_stdout")]
        reason, _, fix = " | ".join([lines[-1] for lines in told if lines]).partition("; fix: ")
        node = task_vars["inventory_hostname"]
        return {"results": [validation.not_checked(node, reason, fix or "run the play with -vvv on it")]}
