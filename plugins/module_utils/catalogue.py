# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Questions to the catalogues of data/. Pure: each function takes the document that it asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import (
    TrainingError,
    did_you_mean,
)

Document = Mapping[str, Any]


def component(document: Document, name: str, stack: str | None = None) -> dict[str, Any]:
    """A component of data/stack.yml in the version that a stack (None: the default one) takes."""
    entry = dict(_entry(document["components"], name, "component"))
    chosen = stack or document["default"]
    version = _entry(_entry(document["stacks"], chosen, "stack"), name, f"component of stack {chosen}")
    about = _entry(entry.pop("versions"), version, f"version of {name}")
    return {"name": name, "version": version, **entry, **about}


def instance_type(types: Document, name: str) -> dict[str, Any]:
    """An EC2 type of data/instance_types.yml, with all that is known of its accelerator."""
    entry = _entry(types["instance_types"], name, "instance type")
    accelerator = entry["accelerator"]
    return {**entry, "accelerator": {**types["accelerators"][accelerator["model"]], **accelerator}}


def accelerator_of(types: Document, device_name: str | None) -> dict[str, Any] | None:
    """The accelerator that a device calls itself by, such as NVIDIA H200; None for one that is not in the catalogue."""
    for model, about in types["accelerators"].items():
        if device_name in about["device_names"]:
            return {"model": model, **about}
    return None


def described_node(types: Document, node: Mapping[str, Any], named_type: str | None) -> dict[str, Any]:
    """What is known of a node: the EC2 type that the user named, or what the node tells of itself.

    Adds peak_tflops, the dense bf16 peak of one accelerator in TFLOP/s, or None.
    """
    if named_type:
        entry = instance_type(types, named_type)
        about = entry["accelerator"]
        return {
            "accelerator": about["kind"],
            "accelerators": about["count"],
            "accelerator_model": about["model"],
            "cpus": entry["vcpus"],
            "instance_type": named_type,
            "peak_tflops": about["peak_tflops"].get("bf16"),
            "memory_gib": entry["memory_gib"],
            "efa": entry["network"]["efa"],
        }
    known = accelerator_of(types, node.get("accelerator_model"))
    return {**node, "peak_tflops": known["peak_tflops"].get("bf16") if known else None}


def _entry(entries: Mapping[str, Any], name: str, kind: str) -> Any:
    if name not in entries:
        raise TrainingError(f"{kind} {name!r} is not in the catalogue", did_you_mean(name, entries))
    return entries[name]
