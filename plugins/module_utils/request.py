# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The public variables of run_test_case: their form, their defaults and what contradicts what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import (
    TrainingError,
    did_you_mean,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.test_case import DEFAULT_PRESET
from ansible_collections.awsome.distributed_training.plugins.module_utils.values import convert

PUBLIC: dict[str, dict[str, Any]] = {
    "case": {"type": "str", "default": None, "help": "name of a test case, or the path of a folder that holds one"},
    "preset": {"type": "str", "default": DEFAULT_PRESET, "help": "a preset of the case"},
    "launcher": {"type": "str", "default": None, "help": "slurm, local, kubernetes"},
    "nodes": {"type": "int", "default": 1, "help": "number of nodes"},
    "params": {"type": "str", "default": None, "help": "parameters of the case: 'name=value name=value'"},
    "launcher_params": {"type": "str", "default": None, "help": "parameters of the launcher, in the form of params"},
    "run_id": {"type": "str", "default": None, "help": "an earlier run, to go on with it"},
    "runs_dir": {"type": "path", "default": "runs", "help": "where run folders are made"},
    "attach": {"type": "str", "default": None, "help": "follow a run by its id"},
    "cancel": {"type": "str", "default": None, "help": "stop a run by its id"},
    "detach": {"type": "bool", "default": False, "help": "start the run and leave it"},
    "render_to": {"type": "path", "default": None, "help": "write the job to a folder and stop"},
    "image": {"type": "str", "default": None, "help": "container image"},
}
"""The public variables of playbook run_test_case. ``adt_…`` and ``ansible_…`` are let through beside them."""

RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")

_EXCLUSIVE = ("attach", "cancel", "render_to", "detach")


def read_request(given: Mapping[str, Any], extra_names: list[str]) -> dict[str, Any]:
    """The request with types and defaults, and ``act``: run, render, attach or cancel.

    :param given: the public variables that are set.
    :param extra_names: names of all variables of the command line; an unknown one is a slip, and refused.
    """
    for name in extra_names:
        if name not in PUBLIC and not name.startswith(("adt_", "ansible_")):
            raise TrainingError(f"variable {name!r} is not known", did_you_mean(name, PUBLIC))
    request: dict[str, Any] = {}
    for name, about in PUBLIC.items():
        value = given.get(name)
        if value is None or value == "":
            request[name] = about["default"]
        elif name in ("params", "launcher_params"):
            request[name] = value
        else:
            request[name] = convert(name, about, value, "-e")
    chosen = [name for name in _EXCLUSIVE if request[name]]
    if len(chosen) > 1:
        raise TrainingError(f"{' and '.join(chosen)} exclude each other", f"leave out {chosen[-1]}")
    for name in ("run_id", "attach", "cancel"):
        if request[name] and not RUN_ID.fullmatch(request[name]):
            raise TrainingError(
                f"{name}={request[name]!r} is not a run id", "the name of a run's folder, 20261123T200000Z-1a2b"
            )
    request["act"] = next(
        (name for name in ("attach", "cancel") if request[name]), "render" if request["render_to"] else "run"
    )
    return request
