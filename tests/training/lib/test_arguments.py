"""Settings of a training script, as its command line gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from adt_train import UserError, parse_arguments


@dataclass
class Settings:
    name: str
    steps: int = 10
    rate: float = 0.1
    fast: bool = False
    kind: Literal["full", "hybrid"] = "full"


def read(*words: str) -> Settings:
    return parse_arguments(Settings, ["--name=x", *words])


def test_each_value_has_the_type_of_its_field() -> None:
    settings = read("--steps=3", "--rate=1e-4", "--fast=true", "--kind=hybrid")
    assert settings == Settings("x", 3, 1e-4, True, "hybrid")
    assert [type(value) for value in vars(settings).values()] == [str, int, float, bool, str]


def test_what_is_not_given_keeps_its_default() -> None:
    assert read() == Settings("x", 10, 0.1, False, "full")


def test_a_value_may_hold_an_equals_sign_or_nothing() -> None:
    assert parse_arguments(Settings, ["--name=a=b"]).name == "a=b"
    assert parse_arguments(Settings, ["--name="]).name == ""


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--stebs=3", "there is no setting 'stebs'; fix: known: steps"),
        ("--zzzz=3", "there is no setting 'zzzz'; fix: known: name, steps, rate, fast, kind"),
        ("--steps=1.5", "steps='1.5' is not of type int; fix: give steps another value"),
        ("--rate=much", "rate='much' is not of type float; fix: give rate another value"),
        ("--fast=yes", "fast='yes' is not known; fix: one of true, false"),
        ("--kind=half", "kind='half' is not known; fix: one of full, hybrid"),
        ("--steps", "'--steps' is not of the form --name=value; fix: write --name=value"),
        ("steps=3", "'steps=3' is not of the form --name=value; fix: write --name=value"),
    ],
)
def test_a_wrong_word_is_refused(word: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        read(word)
    assert str(refused.value) == message


def test_a_missing_value_is_named() -> None:
    with pytest.raises(UserError, match="--name is not given; fix: --name=VALUE"):
        parse_arguments(Settings, ["--steps=3"])
