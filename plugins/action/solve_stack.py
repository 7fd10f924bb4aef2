# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action solve_stack; its documentation is in plugins/modules/solve_stack.py."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_answers import (
    answer,
    read_request,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_catalogues import (
    read_catalogues,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


class ActionModule(controller.OneLineAction):
    """Judge what playbook solve is asked for, show the answer, and fail where it is refused."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``accepted``, ``lines`` and what they were made from."""
        request = read_request(args, [str(name) for name in load_extra_vars(self._loader)])
        answered = answer(request, read_catalogues(request["stack_overrides"]))
        display = Display()
        for line in answered.lines:
            display.display(line)
        if not answered.accepted:
            raise TrainingError(*answered.refusal)
        return {"changed": False, "accepted": True, "lines": answered.lines, **answered.values}
