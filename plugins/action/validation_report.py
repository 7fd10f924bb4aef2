# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action validation_report; its documentation is in plugins/modules/validation_report.py."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.utils.display import Display
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, runs, validation
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


class ActionModule(controller.OneLineAction):
    """Gather what the nodes said, write it, show it, and fail where a check failed."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``verdict``, ``counts`` and the folder."""
        found: dict[str, list[dict[str, str]]] = {}
        for node in args["nodes"]:
            found[node] = _results(node, task_vars["hostvars"].get(node, {}).get(args["registered"]))
        results = validation.judged(found)
        ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        document = validation.document(results, args["tags"], ended)
        folder = os.path.join(os.path.abspath(args["folder"]), runs.new_run_id())
        os.makedirs(folder, exist_ok=True)
        texts = {
            "validation.json": json.dumps(document, indent=1) + "\n",
            "junit.xml": validation.junit(results),
            "table.txt": validation.table(results) + "\n",
        }
        for name, text in texts.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        display = Display()
        display.display(texts["table.txt"])
        counts = document["counts"]
        told = ", ".join(f"{counts[name]} {name}" for name in counts)
        display.display(f"{len(results)} nodes: {told}; verdict: {document['verdict']}\nreport: {folder}")
        if document["verdict"] != validation.PASS:
            raise TrainingError(f"validation: failed checks: {counts['fail']}", f"read {folder}/table.txt")
        return {"changed": True, "verdict": document["verdict"], "counts": counts, "folder": folder}


def _results(node: str, registered: Any) -> list[dict[str, str]]:
    """What a node's task gave, or one failure that says why it gave nothing."""
    given = controller.plain(registered) if registered else {}
    if "results" in given:
        return [{**one, "node": node} for one in given["results"]]
    reason = str(given.get("msg", "")).removeprefix("Task failed: ").strip() or "no reason is told"
    return [validation.not_checked(node, f"unreachable: {reason.splitlines()[0]}", "see that Ansible reaches it")]
