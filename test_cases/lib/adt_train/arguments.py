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
    """``settings`` with the values of the command line over its defaults.

    Each field is int, float, str, bool (written true or false) or a Literal of texts.
    """
    types = typing.get_type_hints(settings)
    values: dict[str, Any] = {}
    for word in sys.argv[1:] if words is None else words:
        name, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not equals:
            raise UserError(f"{word!r} is not of the form --name=value", "write --name=value")
        if name not in types:
            nearest = difflib.get_close_matches(name, types, n=1)
            raise UserError(f"there is no setting {name!r}", f"known: {', '.join(nearest or types)}")
        values[name] = _read(name, text, types[name])
    missing = [
        field.name
        for field in dataclasses.fields(settings)  # type: ignore[arg-type]
        if field.name not in values and field.default is dataclasses.MISSING
    ]
    if missing:
        raise UserError(f"--{missing[0]} is not given", f"--{missing[0]}=VALUE")
    return settings(**values)


def _read(name: str, text: str, kind: Any) -> Any:
    choices = typing.get_args(kind) or (tuple(_BOOLEANS) if kind is bool else ())
    if choices and text not in choices:
        raise UserError(f"{name}={text!r} is not known", f"one of {', '.join(choices)}")
    if choices:
        return _BOOLEANS[text] if kind is bool else text
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"{name}={text!r} is not of type {kind.__name__}", f"give {name} another value") from None
