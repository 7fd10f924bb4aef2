# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What case.yml says: presets over defaults, parameters over presets, and the words of each step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import (
    TrainingError,
    did_you_mean,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.values import (
    as_text,
    resolve,
    split_assignments,
)

Case = Mapping[str, Any]

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_NODE_VARIABLE = re.compile(r"\$\{?(\w+)\}?")

NODE_VARIABLES = frozenset(
    [
        "ADT_RUN_DIR",
        "ADT_CHECKPOINT_DIR",
        "ADT_DATA_DIR",
        "ADT_NODES",
        "ADT_NODE_RANK",
        "ADT_PROCS_PER_NODE",
        "ADT_HEAD_ADDR",
        "ADT_HEAD_PORT",
        "ADT_ATTEMPT",
        "ADT_GROUP",
        "ADT_ACCELERATOR",
        "ADT_PEAK_TFLOPS",
    ]
)
"""What only the node knows: every launcher exports these, and a step's words may name them."""

PROCESS_VARIABLES = frozenset(["ADT_RANK", "ADT_LOCAL_RANK", "ADT_WORLD_SIZE"])
"""What only a process of per_rank or mpirun knows: the node, which fills in a step's words, does not."""


DEFAULT_PRESET = "tiny"
"""What runs where no preset is named; a case without presets has this one, which sets nothing."""


def inconsistencies(case: Case) -> list[str]:
    """What a schema cannot say of case.yml: each entry is one line, with its fix."""
    problems: list[str] = []
    parameters, presets = case.get("parameters", {}), case.get("presets", {})
    for name, about in parameters.items():
        try:
            resolve(parameters, {name: about["default"]}, f"parameters.{name}.default")
        except TrainingError as error:
            problems.append(str(error))
    for name, preset in presets.items():
        like = preset.get("like")
        if like is not None and like not in presets:
            problems.append(f"presets.{name}.like: there is no preset {like!r}; fix: {did_you_mean(like, presets)}")
            continue
        try:
            resolve(parameters, preset_values(case, name), f"presets.{name}.set")
        except TrainingError as error:
            problems.append(str(error))
    for step in case["steps"]:
        where = f"steps.{step['name']}"
        if step.get("when", "always") != "always" and not step.get("makes"):
            problems.append(f"{where}: when={step['when']} needs makes; fix: list the paths that the step makes")
        commands = [step["run"], step.get("resume", []), *(group["run"] for group in step.get("groups", []))]
        for word in [*(word for words in commands for word in words), *step.get("makes", [])]:
            for placeholder in _PLACEHOLDER.findall(word):
                if placeholder == "params":
                    if word != "{params}":
                        problems.append(f"{where}: {word!r} holds {{params}}; fix: make it a word of its own")
                elif placeholder not in parameters:
                    fix = did_you_mean(placeholder, [*parameters, "params"])
                    problems.append(f"{where}: {word!r} names no parameter; fix: {fix}")
            for variable in _NODE_VARIABLE.findall(word):
                if variable in PROCESS_VARIABLES:
                    problems.append(f"{where}: ${variable} differs by process; fix: read it from the environment")
                elif variable not in NODE_VARIABLES:
                    problems.append(f"{where}: ${variable} is not known; fix: {did_you_mean(variable, NODE_VARIABLES)}")
    names = [step["name"] for step in case["steps"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"steps: the name {name!r} stands twice; fix: rename one")
    for check in case.get("checks", []):
        for preset in check.get("presets", []):
            if preset not in presets:
                problems.append(
                    f"checks.{check['id']}: there is no preset {preset!r}; fix: {did_you_mean(preset, presets)}"
                )
        needed = ("expect", "within") if check["id"] == "first_loss" else ("limit",)
        problems.extend(
            f"checks.{check['id']}: {key} is missing; fix: add {key}: <number>" for key in needed if key not in check
        )
    return problems


def preset_values(case: Case, preset: str) -> dict[str, Any]:
    """The parameters that a preset sets, those of the presets that it starts from first."""
    presets = case.get("presets") or {DEFAULT_PRESET: {}}
    chain: list[str] = []
    name: str | None = preset
    while name is not None:
        if name not in presets:
            raise TrainingError(f"preset={name}: case {case['name']} has no such preset", did_you_mean(name, presets))
        if name in chain:
            raise TrainingError(
                f"preset {preset}: `like` goes round in a circle ({' -> '.join([*chain, name])})",
                "let one of them stand alone",
            )
        chain.append(name)
        name = presets[name].get("like")
    values: dict[str, Any] = {}
    for name in reversed(chain):
        values.update(presets[name].get("set") or {})
    return values


def parameters(case: Case, preset: str, written: Any) -> tuple[dict[str, Any], list[str]]:
    """Every parameter's value, and the names of those that the user set otherwise than the preset does.

    :param written: public variable ``params``, as text or mapping.
    """
    declared = case.get("parameters", {})
    base = resolve(declared, preset_values(case, preset), f"preset {preset}")
    given = resolve(declared, {**base, **split_assignments(written, "params")}, "params")
    return given, sorted(name for name in given if given[name] != base[name])


def command(words: list[str], values: Mapping[str, Any]) -> list[str]:
    """A step's words with ``{params}`` and ``{name}`` filled in; $ADT_… stays for the node."""
    filled: list[str] = []
    for word in words:
        if word == "{params}":
            filled.extend(f"--{name}={as_text(value)}" for name, value in values.items())
        else:
            filled.append(_PLACEHOLDER.sub(lambda match: as_text(values[match.group(1)]), word))
    return filled
