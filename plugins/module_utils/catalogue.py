# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Questions to the catalogues of data/. Pure: each function takes the document that it asks."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import (
    TrainingError,
    did_you_mean,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.jsonschema_subset import validate

Document = Mapping[str, Any]

SYSTEMS = ("amazon2023", "debian12", "debian13", "ubuntu2204", "ubuntu2404")
ARCHITECTURES = ("aarch64", "x86_64")


def component(document: Document, name: str, stack: str | None = None, os: str | None = None) -> dict[str, Any]:
    """A component of data/stack.yml in the version that a stack (None: the default one) takes.

    :param os: needed where the stack's version differs by OS.
    :returns: name, version, summary, licence and what the version's entry holds; for what comes inside another
        component ``bundled_in`` {name, version} and that one's fact_source instead.
    :raises TrainingError: one that the stack does not have, or not on this OS.
    """
    entry = dict(_entry(document["components"], name, "component"))
    taken = stack or document["default"]
    about_stack = _entry(document["stacks"], taken, "stack")
    value = about_stack["components"].get(name)
    if os is None and isinstance(value, Mapping):
        raise TrainingError(f"component {name} of stack {taken} differs by OS", f"name one of {', '.join(value)}")
    held = _held(document, taken, os)
    without = left_out(document, taken, os) if os else {}
    reason = without.get(name) or without.get(held.get(name, ("", None))[1] or "")
    if reason:
        raise TrainingError(f"stack {taken} has no {name} on {os}: {reason}", "leave it out, or take another OS")
    if name not in held:
        raise TrainingError(
            f"component of stack {taken} {name!r} is not in the catalogue{f' for {os}' if os else ''}",
            did_you_mean(name, held),
        )
    version, holder = held[name]
    versions = entry.pop("versions")
    if holder:
        inside = {"name": holder, "version": held[holder][0]}
        source = document["components"][holder]["versions"][inside["version"]]["fact_source"]
        return {"name": name, "version": version, **entry, "bundled_in": inside, "fact_source": source}
    return {"name": name, "version": version, **entry, **_entry(versions, version, f"version of {name}")}


def chosen(document: Document, stack: str | None, os: str, arch: str) -> dict[str, str]:
    """Component and version of all that a stack (None: the default one) has on an OS and architecture.

    What comes inside of a component (its bundles) is there with it, unless the stack says a version of its own.
    """
    taken = stack or document["default"]
    without = left_out(document, taken, os, arch)
    return {
        name: version
        for name, (version, holder) in sorted(_held(document, taken, os).items())
        if name not in without and holder not in without
    }


def left_out(document: Document, stack: str | None, os: str, arch: str | None = None) -> dict[str, str]:
    """Component and reason of what a stack does not have on an OS, and on an architecture where it is named."""
    entry = _entry(document["stacks"], stack or document["default"], "stack")
    _entry(dict.fromkeys(SYSTEMS), os, "OS")
    if arch is not None:
        _entry(dict.fromkeys(ARCHITECTURES), arch, "architecture")
    return {
        name: reasons[os] if os in reasons else reasons[arch]
        for name, reasons in sorted(entry.get("left_out", {}).items())
        if os in reasons or arch in reasons
    }


def versions(document: Document, name: str) -> list[str]:
    """Every version of a component that the catalogue knows: those with an entry, then those inside of others."""
    own = list(_entry(document["components"], name, "component")["versions"])
    inside = [
        about["bundles"][name]
        for holder in document["components"].values()
        for about in holder["versions"].values()
        if name in about.get("bundles", {})
    ]
    return list(dict.fromkeys(own + inside))


def on_platform(entry: Mapping[str, Any], os: str, arch: str) -> dict[str, Any]:
    """What ``component`` returned, less the sources that are not for an OS and architecture."""
    kept = dict(entry)
    for kind in ("files", "repositories", "system", "images"):
        if kind in entry:
            kept[kind] = [s for s in entry[kind] if os in s.get("os", [os]) and arch in s.get("arch", [arch])]
            if not kept[kind]:
                del kept[kind]
    return kept


def overridden(document: Document, overrides: Any, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """data/stack.yml with ``stack_overrides`` merged in, and a note of it: ``overridden: true``.

    Maps are merged; null removes a key; everything else replaces what was there (RFC 7386, JSON Merge Patch).

    :param schema: schemas/stack.schema.json, which the result is held to. Its addresses may then also lead to this
        machine: http://127.0.0.1 and file://.
    :raises TrainingError: overrides that are no map, or that make something that the schema refuses.
    """
    if not isinstance(overrides, Mapping):
        raise TrainingError(
            f"stack_overrides is {overrides!r}, not a map", "write it in the form of data/stack.yml, any part of it"
        )
    result: dict[str, Any] = {**_merged(document, overrides), "overridden": True}
    problems = validate(result, overriding(schema), "stack_overrides") if schema else []
    if problems:
        raise TrainingError(str(problems[0]))
    return result


def overriding(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a document that overrides took part in: ``$defs.overriding_address`` in place of ``address``."""
    definitions = {**schema["$defs"], "address": schema["$defs"]["overriding_address"]}
    return {**schema, "$defs": definitions}


def instance_type(types: Document, name: str) -> dict[str, Any]:
    """An EC2 type of data/instance_types.yml, with all that is known of its accelerator."""
    entry = _entry(types["instance_types"], name, "instance type")
    accelerator = entry["accelerator"]
    return {**entry, "accelerator": {**types["accelerators"][accelerator["model"]], **accelerator}}


def network_cards(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every network card of an EC2 type's entry, one by one: index, gbps, interface, and spare where it is one."""
    cards = []
    for card in entry["network"]["cards"]:
        first, _, last = str(card["index"]).partition("-")
        cards += [{**card, "index": index} for index in range(int(first), int(last or first) + 1)]
    return cards


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


def _held(document: Document, stack: str, os: str | None) -> dict[str, tuple[str, str | None]]:
    """Component: its version on an OS (None: where it is the same on all), and which component it comes inside of."""
    held: dict[str, tuple[str, str | None]] = {}
    for name, value in _entry(document["stacks"], stack, "stack")["components"].items():
        version = value.get(os) if isinstance(value, Mapping) else value
        if version is not None:
            held[name] = (version, None)
    for holder, (version, _) in sorted(held.items()):
        about = document["components"].get(holder, {"versions": {}})["versions"].get(version, {})
        for name, inner in about.get("bundles", {}).items():
            held.setdefault(name, (inner, holder))
    return held


def _merged(base: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(copy.deepcopy(base)) if isinstance(base, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result
