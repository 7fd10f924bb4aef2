# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Typed values of parameters: what case.yml and data/launchers/*.yml declare, and what a user writes."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import (
    TrainingError,
    did_you_mean,
)

Parameters = Mapping[str, Mapping[str, Any]]


def split_assignments(written: Any, option: str) -> dict[str, Any]:
    """Read ``lr=1e-4 steps=50`` (or a mapping) into a dict of name to text or value.

    :param option: the public variable that holds it, for the message.
    """
    if written is None or written == "":
        return {}
    if isinstance(written, Mapping):
        return dict(written)
    try:
        words = shlex.split(str(written))
    except ValueError as error:
        raise TrainingError(f"{option}={written!r}: {error}", f"-e \"{option}='name=value name=value'\"") from error
    values: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise TrainingError(f"{option}: {word!r} is not name=value", f"-e \"{option}='name=value name=value'\"")
        values[name] = value
    return values


def convert(name: str, declared: Mapping[str, Any], value: Any, option: str) -> Any:
    """One value in the declared type (int, float, str, bool, path), within its choices and bounds."""
    kind = declared["type"]
    refused = TrainingError(
        f"{option}: {name}={value!r} is not {_ARTICLE[kind]}", f"give {name} {_EXAMPLE[kind]} ({declared['help']})"
    )
    converted = _convert(kind, value)
    if converted is None:
        raise refused
    choices = declared.get("choices")
    if choices and converted not in choices:
        raise TrainingError(
            f"{option}: {name}={value!r} is not one of its choices",
            did_you_mean(str(value), (str(choice) for choice in choices)),
        )
    for bound, beyond, word in (("minimum", -1, "under"), ("maximum", 1, "over")):
        limit = declared.get(bound)
        if limit is not None and (converted - limit) * beyond > 0:
            raise TrainingError(f"{option}: {name}={value} is {word} its {bound} {limit}", f"{name}={limit}")
    return converted


def resolve(declared: Parameters, given: Mapping[str, Any], option: str) -> dict[str, Any]:
    """Every declared parameter with its value: what was given, converted, else the default."""
    for name in given:
        if name not in declared:
            raise TrainingError(f"{option}: there is no parameter {name!r}", did_you_mean(name, declared))
    return {
        name: convert(name, about, given[name], option) if name in given else about["default"]
        for name, about in declared.items()
    }


def as_text(value: Any) -> str:
    """A parameter's value as one word of a command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


_ARTICLE = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "path": "a path",
}
_EXAMPLE = {
    "int": "like 4",
    "float": "like 3e-4",
    "str": "like name",
    "bool": "true or false",
    "path": "like /fsx/data",
}
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _convert(kind: str, value: Any) -> Any:
    """The value in its type; None where it is not of that type."""
    if kind == "bool":
        return value if isinstance(value, bool) else _BOOLEANS.get(str(value).strip().lower())
    if isinstance(value, (bool, list, dict)) or value is None:
        return None
    if kind in ("str", "path"):
        return str(value)
    if kind == "int":
        try:
            return int(str(value))  # a float would round a large one
        except ValueError:
            pass
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    if kind == "float":
        return number
    # steps=1e3 is a whole number, steps=1.5 is not
    return int(number) if number == int(number) else None
