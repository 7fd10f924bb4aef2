# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Our JSON Schema gives the verdicts of package jsonschema, and says what is wrong in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.jsonschema_subset import validate
from jsonschema import Draft202012Validator

ROOT = Path(controller.ROOT)
SCHEMAS = sorted(path.name.removesuffix(".schema.json") for path in (ROOT / "schemas").iterdir())
DOCUMENTS = [
    *((path.stem, path) for path in (ROOT / "data").glob("*.yml")),
    *(("launcher", path) for path in (ROOT / "data/launchers").glob("*.yml")),
    *(("evidence", path) for path in (ROOT / "evidence").glob("*.json")),
    *((name, ROOT / f"tests/unit/{name}_example.json") for name in ("manifest", "validation")),
    *(("case", path) for path in (ROOT / "test_cases").glob("*/*/case.yml")),
    *(("molecule_scenario", path) for path in (ROOT / "molecule").glob("*/scenario.yml")),
]
FORMS = {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 5}]}
SHAPES: list[tuple[dict[str, Any], list[Any]]] = [
    ({"type": "object"}, [{}, {"a": 1}, [], "a", 1, None, True]),
    ({"type": "array"}, [[], [1], {}, "a"]),
    ({"type": "string"}, ["", "a", 1, None]),
    ({"type": "boolean"}, [True, False, 0, 1, "true"]),
    ({"type": "null"}, [None, False, 0, ""]),
    ({"type": "integer"}, [1, 1.0, 1.5, True, "1", 10**30, float("inf")]),
    ({"type": "number"}, [1, 1.5, True, "1", None]),
    ({"type": ["integer", "string"]}, [1, "a", 1.5, None, True]),
    ({"const": 1}, [1, 1.0, True, "1"]),
    ({"const": [1, {"a": 0}]}, [[1, {"a": 0}], [True, {"a": 0}], [1, {"a": False}], [1]]),
    ({"enum": ["a", 1, None]}, ["a", 1, 1.0, None, True, "b", 0]),
    ({"enum": [[1], {"a": True}]}, [[1], [True], {"a": True}, {"a": 1}, {"a": True, "b": 1}]),
    ({"required": ["a", "b"]}, [{"a": 1, "b": 2}, {"a": 1}, {}, []]),
    ({"properties": {"a": {"type": "string"}}}, [{"a": "x"}, {"a": 1}, {"b": 1}, {}, []]),
    ({"properties": {"a": False}}, [{"a": 1}, {}]),
    (
        {"patternProperties": {"^x": {"type": "string"}, "y$": {"type": "string"}}},
        [{"x": "a"}, {"xy": 1}, {"y": 1}, {"a": 1}],
    ),
    ({"additionalProperties": False}, [{}, {"a": 1}, []]),
    ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}, {"b": 1}]),
    ({"patternProperties": {"^x": {}}, "additionalProperties": False}, [{"x1": 1}, {"ax": 1}]),
    ({"properties": {"a": {}}, "additionalProperties": {"type": "integer"}}, [{"a": "x"}, {"b": 1}, {"b": "x"}]),
    ({"additionalProperties": True}, [{"a": 1}]),
    ({"items": {"type": "integer"}}, [[], [1, 2], [1, "a"], {}, "ab"]),
    ({"items": False}, [[], [1]]),
    ({"minItems": 2}, [[], [1], [1, 2], {}, "a"]),
    ({"uniqueItems": True}, [[], [1, 2], [1, 1.0], [1, True], [[1], [True]], [{"a": 1}, {"a": 1}], [[1], [1]], "aa"]),
    ({"uniqueItems": False}, [[1, 1]]),
    ({"minProperties": 1}, [{}, {"a": 1}, []]),
    ({"pattern": "^a+$"}, ["a", "aa", "b", "", "ba", 1]),
    ({"pattern": "b"}, ["abc", "ac"]),
    ({"minimum": 2}, [1, 2, 2.5, True, "1"]),
    ({"maximum": 2}, [1, 2, 2.5, True, "3"]),
    ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, ["a", 5, 4]),
    (FORMS, [1, 5, 5.5, 4.5, "a"]),
    ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, [0, 2, 4]),
    ({"dependentRequired": {"a": ["b"], "c": []}}, [{"a": 1}, {"a": 1, "b": 1}, {"b": 1}, {"c": 1}, {}, []]),
    ({"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}}, [[1], ["a"]]),
    (
        {"$ref": "#/$defs/tree", "$defs": {"tree": {"items": {"$ref": "#/$defs/tree"}, "type": "array"}}},
        [[[], [[]]], [[1]]],
    ),
    ({"title": "x", "description": "y", "default": 1, "examples": [], "$id": "z"}, [1, None]),
]


def both(document: Any, schema: dict[str, Any]) -> tuple[bool, bool]:
    return not validate(document, schema, "it"), Draft202012Validator(schema).is_valid(document)


@pytest.mark.parametrize(
    ("schema", "document"), [(schema, document) for schema, documents in SHAPES for document in documents]
)
def test_every_keyword_gives_the_verdict_of_the_package(schema: dict[str, Any], document: Any) -> None:
    ours, theirs = both(document, schema)
    assert ours == theirs


def test_each_keyword_is_shown_a_valid_and_an_invalid_document() -> None:
    notes = {"title", "additionalProperties", "uniqueItems"}  # those with a rule that allows everything
    for schema, documents in SHAPES:
        verdicts = {both(document, schema)[1] for document in documents}
        assert verdicts == {True, False} or next(iter(schema)) in notes, schema


@pytest.mark.parametrize("name", SCHEMAS)
def test_our_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(controller.schema(name))


@pytest.mark.parametrize(("name", "path"), DOCUMENTS, ids=lambda value: Path(value).stem)
def test_what_we_ship_is_valid_to_both(name: str, path: Path) -> None:
    assert both(controller.read_yaml(str(path)), controller.schema(name)) == (True, True)


def spoiled(value: Any) -> list[Any]:
    """The document with one place changed, for each place: a key renamed or removed, a value of another type."""
    made: list[Any] = [None, "spoiled", -1, []]
    if isinstance(value, dict):
        for key, inner in value.items():
            rest = {name: other for name, other in value.items() if name != key}
            made += [rest, {**rest, f"{key}~": inner}, *({**value, key: changed} for changed in spoiled(inner))]
    if isinstance(value, list) and value:
        made += [value * 2, *([changed, *value[1:]] for changed in spoiled(value[0]))]
    return made


def excerpt(value: Any, words: set[str], shown: set[str]) -> Any:
    """A document with few items in its lists and maps of entries: those that show a key of the schema first."""
    if not isinstance(value, (dict, list)):
        return value
    entries = isinstance(value, list) or not words & set(value)
    kept: dict[Any, Any] = {}
    for key, inner in enumerate(value) if isinstance(value, list) else value.items():
        new = words & keys(inner) - shown
        if not entries or new or not kept:
            kept[key] = excerpt(inner, words, shown)
            shown |= new
    return list(kept.values()) if isinstance(value, list) else kept


def keys(value: Any) -> set[str]:
    """Every key of a document."""
    if isinstance(value, list):
        return {key for inner in value for key in keys(inner)}
    return set(value).union(*map(keys, value.values())) if isinstance(value, dict) else set()


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_spoiled_document_gets_the_verdict_of_the_package(name: str) -> None:
    path = next(path for schema, path in sorted(DOCUMENTS) if schema == name)
    schema, document = controller.schema(name), controller.read_yaml(str(path))
    documents = spoiled(excerpt(document, keys(schema), set()))
    documents = documents[:: len(documents) // 400 + 1]
    package = Draft202012Validator(schema)
    theirs = [package.is_valid(one) for one in documents]
    differing = [one for one, valid in zip(documents, theirs) if (not validate(one, schema, "it")) != valid]
    assert [json.dumps(one)[:300] for one in differing] == []
    assert theirs.count(False) > 10


@pytest.mark.parametrize("keyword", ["not", "if", "maxItems", "format", "prefixItems", "exclusiveMinimum", "misspelt"])
def test_a_keyword_that_is_not_implemented_is_an_error(keyword: str) -> None:
    with pytest.raises(ValueError, match=f"keyword '{keyword}' is not implemented"):
        validate(1, {keyword: {}}, "it")


@pytest.mark.parametrize(
    ("schema", "document", "line"),
    [
        ({"type": "integer"}, "a", "it: 'a' is not of type integer; fix: write an integer"),
        ({"const": 1}, 2, "it: 2 is not 1; fix: write 1"),
        (
            {"properties": {"a": {"items": {"enum": ["cuda", "cpu"]}}}},
            {"a": ["cpu", "cudo"]},
            "it: key a[1]: 'cudo' is not one of its choices; fix: did you mean cuda? Known: cpu, cuda",
        ),
        ({"required": ["a"]}, {}, "it: key a: it is missing; fix: add a"),
        (
            {"properties": {"steps": {}}, "additionalProperties": False},
            {"step": 1},
            "it: key step: no such key; fix: did you mean steps? Known: steps",
        ),
        (
            {"patternProperties": {"^[a-z]+$": {}}, "additionalProperties": False},
            {"A": 1},
            "it: key A: no such key; fix: a name must match ^[a-z]+$",
        ),
        ({"minItems": 1}, [], "it: it has 0 entries, fewer than 1; fix: list at least 1"),
        ({"minProperties": 1}, {}, "it: it has 0 keys, fewer than 1; fix: give at least 1"),
        ({"uniqueItems": True}, ["a", "a"], "it: 'a' stands twice; fix: remove one"),
        ({"pattern": "^a$"}, "b", "it: 'b' does not match ^a$; fix: write it in that form"),
        ({"minimum": 1}, 0, "it: 0 is under 1; fix: write 1 or more"),
        ({"maximum": 1}, 2, "it: 2 is over 1; fix: write 1 or less"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "it: key b: a needs it; fix: add b"),
        (FORMS, 5, "it: 5 fits 2 forms at once; fix: keep the keys of one form"),
        (
            {"anyOf": [{"required": ["url"]}, {"required": ["a", "b"]}]},
            {},
            "it: url: it is missing; fix: write it in one of its forms",
        ),
        ({"properties": {"a": False}}, {"a": 1}, "it: key a: 1 is not allowed; fix: remove it"),
    ],
)
def test_a_problem_is_one_line_with_file_key_value_and_fix(schema: dict[str, Any], document: Any, line: str) -> None:
    assert [str(problem) for problem in validate(document, schema, "it")] == [line]


def test_a_long_value_is_cut_in_a_message() -> None:
    [problem] = validate("x" * 500, {"type": "integer"}, "it")
    assert len(str(problem)) < 120
