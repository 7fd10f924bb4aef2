# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The catalogues that the solver answers from, read from data/. Controller only."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, folders
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_answers import Catalogues


def read_catalogues(stack_overrides: Any = None) -> Catalogues:
    """All three, each held to its schema; the stack with the user's overrides."""
    return Catalogues(
        stack=controller.read_stack(stack_overrides),
        constraints=controller.read_catalogue("constraints"),
        types=controller.read_catalogue("instance_types"),
    )


def kept_catalogues(stack_overrides: Any, folder: str) -> Catalogues:
    """The same, read and held to their schemas once for all tasks of a run.

    :param folder: of this run alone, and removed with it.
    """
    asked = hashlib.sha256(json.dumps(stack_overrides or None, sort_keys=True).encode()).hexdigest()
    path = os.path.join(folder, f"adt-catalogues-{asked}.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            return Catalogues(**json.load(file))
    found = read_catalogues(stack_overrides)
    kept = {"stack": found.stack, "constraints": found.constraints, "types": found.types}
    folders.replace_file(path, json.dumps(kept), 0o600)
    return found
