"""Settings of a training script: a dataclass read from ``--name=value`` words."""

from __future__ import annotations

import dataclasses
import difflib
import sys
import typing
from typing import Any, TypeVar

from adt_train.errors import UserError

Settings = TypeVar("Settings")
_BOOLEANS = {"true": True, "false": False}


def parse_arguments(settings: type[Settings], words: list[str] | None = None) -> Settings:
    """``settings`` with the values of the command line over its defaults; each field is int, float, str or bool."""
    types = typing.get_type_hints(settings)
    values: dict[str, Any] = {}
    for word in sys.argv[1:] if words is None else words:
        name, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not equals:
            raise UserError(f"{word!r} is not of the form --name=value", "write --name=value")
        if name not in types:
            nearest = difflib.get_close_matches(name, types, n=1)
            raise UserError(f"there is no setting {name!r}", f"known: {', '.join(nearest or types)}")
        try:
            values[name] = _BOOLEANS[text] if types[name] is bool else types[name](text)
        except (ValueError, KeyError):
            raise UserError(f"{name}={text!r} is not of type {types[name].__name__}", f"give {name} another value") from None
    missing = [f.name for f in dataclasses.fields(settings) if f.name not in values and f.default is dataclasses.MISSING]  # type: ignore[arg-type]
    if missing:
        raise UserError(f"--{missing[0]} is not given", f"--{missing[0]}=VALUE")
    return settings(**values)
