# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The catalogues that the solver answers from, read from data/. Controller only."""

from __future__ import annotations

from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_answers import Catalogues


def read_catalogues(stack_overrides: Any = None) -> Catalogues:
    """All three, each held to its schema; the stack with the user's overrides."""
    return Catalogues(
        stack=controller.read_stack(stack_overrides),
        constraints=controller.read_catalogue("constraints"),
        types=controller.read_catalogue("instance_types"),
    )
