# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What a node is held to, kept on the node: what each role's verification last passed with. Pure.

A role knows it while it runs; at boot, in a prolog and in playbook validate there is no role. What changes with the
machine that an image boots on (kernel, EC2 type) is never taken from the record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import Expected
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

PATH = "/var/lib/awsome-distributed-training/checks.json"
"""Where a node keeps it."""

OF_THE_MACHINE = ("kernel", "instance", "instance_type")
"""Keys of Expected that are read anew wherever a record is used."""

_FIX = "move the file away; the roles' verifications write a new one"


def read(text: str, path: str) -> dict[str, Expected]:
    """Group of checks, and what the node is held to by it; empty from an empty text."""
    if not text:
        return {}
    try:
        document = json.loads(text)
    except ValueError as error:
        raise TrainingError(f"{path} is no JSON: {error}", _FIX) from None
    groups = document.get("groups") if isinstance(document, dict) and document.get("schema") == 1 else None
    if not isinstance(groups, dict) or not all(isinstance(one, dict) for one in groups.values()):
        raise TrainingError(f"{path} is no record of schema 1", _FIX)
    return dict(groups)


def merged(groups: Mapping[str, Expected], names: Iterable[str], expected: Expected) -> dict[str, Expected]:
    """The record with what some groups were held to now."""
    kept = {key: value for key, value in expected.items() if key not in OF_THE_MACHINE}
    return {**groups, **{name: kept for name in names}}


def written(groups: Mapping[str, Expected]) -> str:
    """The text of the file."""
    return json.dumps({"schema": 1, "groups": groups}, indent=1, sort_keys=True) + "\n"


def machine(
    system: str,
    arch: str,
    kernel: str,
    instance_type: str | None,
    types: Mapping[str, Any],
    xids: Mapping[str, Any],
    python: str | None = None,
) -> dict[str, Any]:
    """What is known of a machine without any record, in the form of checks.Expected.

    :param instance_type: None outside EC2.
    :param types: name of an EC2 type: its entry, with that of its accelerator (catalogue.instance_type).
    :param xids: the entries of data/xids.yml.
    :param python: the interpreter of an environment with PyTorch that is to be checked too.
    """
    found: dict[str, Any] = {"system": system, "arch": arch, "kernel": kernel, "xids": xids}
    if instance_type:
        found["instance_type"] = instance_type
    if instance_type and instance_type in types:
        found["instance"] = types[instance_type]
    if python:
        found["pytorch_env"] = {"python": python}
    return found


def held_to(group: str, groups: Mapping[str, Expected], here: Expected) -> dict[str, Any]:
    """What a machine is held to by a group of checks."""
    return {**groups.get(group, {}), **here}


OF_ACCELERATORS = {"cuda": ("gpu", "nvlink"), "neuron": ("neuron",)}
"""Kind of accelerator, and the groups of checks that any node with it is held to, whoever prepared it."""


def groups_here(groups: Mapping[str, Expected], here: Expected, known: Iterable[str]) -> list[str]:
    """The groups that a machine is held to: those on its record and of its accelerators, and PyTorch where it is named.

    :param known: the groups of the registry; a record may be of a newer one.
    """
    accelerator = here.get("instance", {}).get("accelerator", {}).get("kind")
    wanted = {*groups, *OF_ACCELERATORS.get(accelerator, ()), *({"pytorch_env"} & set(here))}
    return [name for name in known if name in wanted]
