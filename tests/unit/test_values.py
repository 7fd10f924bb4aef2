# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters as users write them: types, bounds, choices, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import values
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

DECLARED: dict[str, dict[str, Any]] = {
    "steps": {"type": "int", "default": 10, "minimum": 1, "maximum": 100, "help": "Steps."},
    "lr": {"type": "float", "default": 0.1, "help": "Rate."},
    "model": {"type": "str", "default": "tiny", "choices": ["tiny", "large"], "help": "Shape."},
    "compile": {"type": "bool", "default": False, "help": "Compile."},
    "data": {"type": "path", "default": "", "help": "Data."},
    "seed": {"type": "int", "default": 1, "help": "Seed."},
}


def value(name: str, written: Any) -> Any:
    return values.resolve(DECLARED, {name: written}, "params")[name]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (None, {}),
        ("", {}),
        ("lr=1e-4 steps=50", {"lr": "1e-4", "steps": "50"}),
        ("data='/fsx/my data' model=", {"data": "/fsx/my data", "model": ""}),
        ("data=a=b", {"data": "a=b"}),
        ({"lr": 0.5}, {"lr": 0.5}),
    ],
)
def test_assignments_are_read_as_text_or_mapping(written: Any, read: dict[str, Any]) -> None:
    assert values.split_assignments(written, "params") == read


@pytest.mark.parametrize(
    ("written", "problem"),
    [("lr", "'lr' is not name=value"), ("=5", "'=5' is not name=value"), ("a='b", "No closing quotation")],
)
def test_what_is_no_assignment_is_refused_with_the_form(written: str, problem: str) -> None:
    with pytest.raises(TrainingError, match=r"^params.*; fix: -e \"params='name=value name=value'\"$") as refused:
        values.split_assignments(written, "params")
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("name", "written", "read"),
    [
        ("steps", "50", 50),
        ("steps", 50, 50),
        ("steps", "1e2", 100),
        ("steps", 7.0, 7),
        ("lr", "3e-4", 0.0003),
        ("lr", 2, 2.0),
        ("model", "large", "large"),
        ("compile", "Yes", True),
        ("compile", "off", False),
        ("compile", 1, True),
        ("compile", True, True),
        ("data", "/fsx/data", "/fsx/data"),
    ],
)
def test_a_value_gets_its_declared_type(name: str, written: Any, read: Any) -> None:
    assert value(name, written) == read
    assert type(value(name, written)) is type(read)


def test_a_large_whole_number_keeps_every_digit() -> None:
    assert value("seed", "9007199254740993") == 9007199254740993


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("steps", "1.5"),
        ("steps", "many"),
        ("steps", True),
        ("steps", [1]),
        ("steps", None),
        ("lr", "nan"),
        ("lr", "inf"),
        ("lr", "1e999"),
        ("lr", ""),
        ("compile", "perhaps"),
        ("compile", 2),
        ("model", {"a": 1}),
        ("data", None),
    ],
)
def test_a_value_of_another_type_is_refused_with_value_and_help(name: str, written: Any) -> None:
    with pytest.raises(TrainingError) as refused:
        value(name, written)
    assert f"params: {name}={written!r} is not " in refused.value.problem
    assert DECLARED[name]["help"] in refused.value.fix


@pytest.mark.parametrize(
    ("written", "problem", "fix"),
    [
        ("0", "params: steps=0 is under its minimum 1", "steps=1"),
        ("101", "params: steps=101 is over its maximum 100", "steps=100"),
    ],
)
def test_a_value_beyond_a_bound_is_refused_with_the_bound(written: str, problem: str, fix: str) -> None:
    with pytest.raises(TrainingError) as refused:
        value("steps", written)
    assert (refused.value.problem, refused.value.fix) == (problem, fix)


@pytest.mark.parametrize("written", ["1", "100"])
def test_a_bound_itself_is_allowed(written: str) -> None:
    assert value("steps", written) == int(written)


def test_a_value_outside_the_choices_is_refused_with_the_nearest() -> None:
    with pytest.raises(TrainingError, match="'larg' is not one of its choices; fix: did you mean large"):
        value("model", "larg")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(TrainingError, match="there is no parameter 'step'; fix: did you mean steps"):
        values.resolve(DECLARED, {"step": 1}, "params")


def test_what_is_not_given_takes_its_default() -> None:
    assert values.resolve(DECLARED, {"steps": 5}, "params") == {
        "steps": 5,
        "lr": 0.1,
        "model": "tiny",
        "compile": False,
        "data": "",
        "seed": 1,
    }


@pytest.mark.parametrize(
    ("given", "text"), [(True, "true"), (False, "false"), (0.0001, "0.0001"), (1e-7, "1e-07"), (3, "3"), ("a b", "a b")]
)
def test_a_value_becomes_one_word_of_a_command_line(given: Any, text: str) -> None:
    assert values.as_text(given) == text
