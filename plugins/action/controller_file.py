# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action controller_file; its documentation is in plugins/modules/controller_file.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, folders


class ActionModule(controller.OneLineAction):
    """Write a file here: module copy is three calls of a second, where a run begins with five files."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``changed`` and ``dest``."""
        dest, content, mode = args["dest"], args["content"], int(args.get("mode", "0644"), 8)
        changed = not folders.holds(dest, content, mode)
        if changed and not self._task.check_mode:
            folders.replace_file(dest, content, mode)
        return {"changed": changed, "dest": dest}
