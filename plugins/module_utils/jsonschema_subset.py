# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The part of JSON Schema that our schemas use, with messages that tell the fix.

At run time only ansible-core is installed, and package jsonschema does not come with it. A test holds the two to the
same verdicts. A keyword that is not implemented is an error, so that no schema seems to check what it does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import did_you_mean


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a document."""

    where: str
    path: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        key = f": key {self.path}" if self.path else ""
        return f"{self.where}{key}: {self.message}{f'; fix: {self.fix}' if self.fix else ''}"


_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
}
_NOTES = {"$schema", "$id", "$defs", "title", "description", "default", "examples"}


def validate(document: Any, schema: dict[str, Any], where: str) -> list[Problem]:
    """Every problem of a document, the nearest to its top first.

    :param where: the document's name in messages, such as its path.
    :raises ValueError: the schema uses a keyword that is not implemented.
    """
    return list(_Validator(schema, where).check(document, schema, ""))


class _Validator:
    def __init__(self, root: dict[str, Any], where: str) -> None:
        self.root = root
        self.where = where

    def check(self, value: Any, schema: Any, path: str) -> Iterator[Problem]:
        if schema is True:
            return
        if schema is False:
            yield self.problem(path, f"{_shown(value)} is not allowed", "remove it")
            return
        for keyword, rule in schema.items():
            if keyword in _NOTES:
                continue
            handler: Callable[..., Iterator[Problem]] | None = getattr(self, f"_{keyword.lstrip('$').lower()}", None)
            if handler is None:
                raise ValueError(f"JSON Schema keyword {keyword!r} is not implemented")
            yield from handler(value, rule, schema, path)

    def problem(self, path: str, message: str, fix: str = "") -> Problem:
        return Problem(self.where, path, message, fix)

    def is_valid(self, value: Any, schema: Any) -> bool:
        return next(self.check(value, schema, ""), None) is None

    def _ref(self, value: Any, rule: str, schema: Any, path: str) -> Iterator[Problem]:
        target: Any = self.root
        for part in rule.lstrip("#/").split("/"):
            target = target[part]
        yield from self.check(value, target, path)

    def _type(self, value: Any, rule: Any, schema: Any, path: str) -> Iterator[Problem]:
        names = rule if isinstance(rule, list) else [rule]
        if not any(_is(value, name) for name in names):
            yield self.problem(path, f"{_shown(value)} is not of type {' or '.join(names)}", f"write {_a(names[0])}")

    def _const(self, value: Any, rule: Any, schema: Any, path: str) -> Iterator[Problem]:
        if not _equal(value, rule):
            yield self.problem(path, f"{_shown(value)} is not {_shown(rule)}", f"write {rule}")

    def _enum(self, value: Any, rule: list[Any], schema: Any, path: str) -> Iterator[Problem]:
        if not any(_equal(value, item) for item in rule):
            names = [str(item) for item in rule]
            yield self.problem(path, f"{_shown(value)} is not one of its choices", did_you_mean(str(value), names))

    def _required(self, value: Any, rule: list[str], schema: Any, path: str) -> Iterator[Problem]:
        if isinstance(value, dict):
            for name in rule:
                if name not in value:
                    yield self.problem(_join(path, name), "it is missing", f"add {name}")

    def _properties(self, value: Any, rule: dict[str, Any], schema: Any, path: str) -> Iterator[Problem]:
        if isinstance(value, dict):
            for name, inner in rule.items():
                if name in value:
                    yield from self.check(value[name], inner, _join(path, name))

    def _patternproperties(self, value: Any, rule: dict[str, Any], schema: Any, path: str) -> Iterator[Problem]:
        if isinstance(value, dict):
            for name in value:
                for pattern, inner in rule.items():
                    if re.search(pattern, str(name)):
                        yield from self.check(value[name], inner, _join(path, name))

    def _additionalproperties(self, value: Any, rule: Any, schema: Any, path: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            return
        known = schema.get("properties", {})
        patterns = schema.get("patternProperties", {})
        for name in value:
            if name in known or any(re.search(pattern, str(name)) for pattern in patterns):
                continue
            if rule is False:
                fix = did_you_mean(str(name), known) if known else f"a name must match {' or '.join(patterns)}"
                yield self.problem(_join(path, name), "no such key", fix)
            else:
                yield from self.check(value[name], rule, _join(path, name))

    def _items(self, value: Any, rule: Any, schema: Any, path: str) -> Iterator[Problem]:
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.check(item, rule, f"{path}[{index}]")

    def _minitems(self, value: Any, rule: int, schema: Any, path: str) -> Iterator[Problem]:
        if isinstance(value, list) and len(value) < rule:
            yield self.problem(path, f"it has {len(value)} entries, fewer than {rule}", f"list at least {rule}")

    def _uniqueitems(self, value: Any, rule: bool, schema: Any, path: str) -> Iterator[Problem]:
        if rule and isinstance(value, list):
            for index, item in enumerate(value):
                if any(_equal(item, before) for before in value[:index]):
                    yield self.problem(path, f"{_shown(item)} stands twice", "remove one")
                    return

    def _minproperties(self, value: Any, rule: int, schema: Any, path: str) -> Iterator[Problem]:
        if isinstance(value, dict) and len(value) < rule:
            yield self.problem(path, f"it has {len(value)} keys, fewer than {rule}", f"give at least {rule}")

    def _pattern(self, value: Any, rule: str, schema: Any, path: str) -> Iterator[Problem]:
        if isinstance(value, str) and not re.search(rule, value):
            yield self.problem(path, f"{_shown(value)} does not match {rule}", "write it in that form")

    def _minimum(self, value: Any, rule: float, schema: Any, path: str) -> Iterator[Problem]:
        if _is(value, "number") and value < rule:
            yield self.problem(path, f"{value} is under {rule}", f"write {rule} or more")

    def _maximum(self, value: Any, rule: float, schema: Any, path: str) -> Iterator[Problem]:
        if _is(value, "number") and value > rule:
            yield self.problem(path, f"{value} is over {rule}", f"write {rule} or less")

    def _anyof(self, value: Any, rule: list[Any], schema: Any, path: str) -> Iterator[Problem]:
        if not any(self.is_valid(value, inner) for inner in rule):
            yield self.problem(path, self._none_fits(value, rule), "write it in one of its forms")

    def _oneof(self, value: Any, rule: list[Any], schema: Any, path: str) -> Iterator[Problem]:
        fitting = sum(self.is_valid(value, inner) for inner in rule)
        if not fitting:
            yield self.problem(path, self._none_fits(value, rule), "write it in one of its forms")
        elif fitting > 1:
            yield self.problem(path, f"{_shown(value)} fits {fitting} forms at once", "keep the keys of one form")

    def _allof(self, value: Any, rule: list[Any], schema: Any, path: str) -> Iterator[Problem]:
        for inner in rule:
            yield from self.check(value, inner, path)

    def _dependentrequired(self, value: Any, rule: dict[str, list[str]], schema: Any, path: str) -> Iterator[Problem]:
        if isinstance(value, dict):
            for name, needed in rule.items():
                for other in needed:
                    if name in value and other not in value:
                        yield self.problem(_join(path, other), f"{name} needs it", f"add {other}")

    def _none_fits(self, value: Any, forms: list[Any]) -> str:
        """The complaint of the form that comes nearest."""
        complaints = [list(self.check(value, form, "")) for form in forms]
        nearest = min(complaints, key=len)[0]
        return f"{nearest.path + ': ' if nearest.path else ''}{nearest.message}"


def _is(value: Any, name: str) -> bool:
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool) or isinstance(value, float) and value.is_integer()
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, _TYPES[name])


def _equal(one: Any, other: Any) -> bool:
    """JSON's equality: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"
