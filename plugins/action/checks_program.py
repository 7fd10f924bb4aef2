# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action checks_program; its documentation is in plugins/modules/checks_program.py."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import (
    catalogue,
    checks_program,
    controller,
    folders,
)


class ActionModule(controller.OneLineAction):
    """Make the program here, where the catalogues are; it lies in the cache by its version."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``path`` and ``version``."""
        types = controller.read_catalogue("instance_types")
        data: dict[str, Any] = {
            "types": {name: catalogue.instance_type(types, name) for name in types["instance_types"]},
            "xids": controller.read_catalogue("xids")["xids"],
        }
        of_collection = controller.read_yaml(os.path.join(controller.ROOT, "galaxy.yml"))["version"]
        data["version"] = checks_program.version(controller.ROOT, data, of_collection)
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        path = os.path.join(cache, "awsome-distributed-training", "checks", data["version"], "adt-checks")
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            folders.replace_file(path, checks_program.program(controller.ROOT, data), 0o755)
        return {"changed": False, "path": path, "version": data["version"]}
