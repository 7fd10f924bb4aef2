# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What case.yml means: presets over defaults, parameters over presets, words of steps, and what contradicts itself."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import test_case as contract
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

CASE: dict[str, Any] = {
    "name": "mine",
    "parameters": {
        "steps": {"type": "int", "default": 10, "minimum": 1, "help": "Steps."},
        "lr": {"type": "float", "default": 0.1, "help": "Rate."},
    },
    "presets": {
        "tiny": {"help": "Small."},
        "long": {"help": "Longer.", "like": "tiny", "set": {"steps": 100}},
        "longest": {"help": "Longest.", "like": "long", "set": {"steps": 1000, "lr": 0.2}},
    },
    "steps": [{"name": "train", "start": "torchrun", "run": ["train.py", "{params}"]}],
}


def case(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(CASE), **changes}


def one_step(**changes: Any) -> dict[str, Any]:
    return case(steps=[{**CASE["steps"][0], **changes}])


def test_a_preset_lays_its_values_over_those_of_the_preset_it_is_like() -> None:
    assert contract.preset_values(CASE, "longest") == {"steps": 1000, "lr": 0.2}
    assert contract.preset_values(CASE, "long") == {"steps": 100}
    assert contract.preset_values(CASE, "tiny") == {}


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(TrainingError, match=r"^preset=tinny: case mine has no such preset; fix: did you mean tiny\?"):
        contract.preset_values(CASE, "tinny")


def test_presets_that_are_like_each_other_are_refused() -> None:
    presets = {"a": {"help": "", "like": "b"}, "b": {"help": "", "like": "a"}}
    with pytest.raises(TrainingError, match=r"circle \(a -> b -> a\)"):
        contract.preset_values(case(presets=presets), "a")


def test_what_the_user_writes_wins_over_the_preset_and_the_default() -> None:
    values, changed = contract.parameters(CASE, "long", "lr=0.5")
    assert (values, changed) == ({"steps": 100, "lr": 0.5}, ["lr"])


def test_what_a_preset_sets_is_no_change_of_it() -> None:
    assert contract.parameters(CASE, "longest", {"steps": "1000"})[1] == []


def test_params_becomes_every_parameter_as_a_word() -> None:
    words = contract.command(["train.py", "{params}"], {"lr": 1e-4, "fast": True, "data": "/a b"})
    assert words == ["train.py", "--lr=0.0001", "--fast=true", "--data=/a b"]


def test_a_name_in_braces_becomes_its_value() -> None:
    assert contract.command(["--out=$ADT_RUN_DIR/{name}-{n}"], {"name": "x", "n": 2}) == ["--out=$ADT_RUN_DIR/x-2"]


def test_braces_in_a_value_are_left_alone() -> None:
    assert contract.command(["{name}"], {"name": "{n}", "n": 2}) == ["{n}"]


def test_a_consistent_case_has_no_problem() -> None:
    assert contract.inconsistencies(CASE) == []


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (
            case(parameters={"n": {"type": "int", "default": "x", "help": "N."}}, presets={}, steps=[]),
            "parameters.n.default: n='x' is not a whole number; fix: give n like 4 (N.)",
        ),
        (
            case(parameters={"n": {"type": "int", "default": 0, "minimum": 1, "help": "N."}}, presets={}, steps=[]),
            "parameters.n.default: n=0 is under its minimum 1; fix: n=1",
        ),
        (
            case(presets={"tiny": {"help": "", "set": {"step": 1}}}),
            "presets.tiny.set: there is no parameter 'step'; fix: did you mean steps? Known: lr, steps",
        ),
        (
            case(presets={"tiny": {"help": "", "set": {"steps": "many"}}}),
            "presets.tiny.set: steps='many' is not a whole number; fix: give steps like 4 (Steps.)",
        ),
        (
            case(presets={"tiny": {"help": "", "like": "smal"}, "small": {"help": ""}}),
            "presets.tiny.like: there is no preset 'smal'; fix: did you mean small? Known: small, tiny",
        ),
        (one_step(when="absent"), "steps.train: when=absent needs makes; fix: list the paths that the step makes"),
        (
            one_step(run=["{step}"]),
            "steps.train: '{step}' names no parameter; fix: did you mean steps? Known: lr, params, steps",
        ),
        (
            one_step(resume=["{step}"]),
            "steps.train: '{step}' names no parameter; fix: did you mean steps? Known: lr, params, steps",
        ),
        (
            one_step(run=["--all={params}"]),
            "steps.train: '--all={params}' holds {params}; fix: make it a word of its own",
        ),
        (
            one_step(run=["--rank=$ADT_RANK"]),
            "steps.train: $ADT_RANK differs by process; fix: read it from the environment",
        ),
        (
            case(checks=[{"id": "first_loss", "expect": 5.5}]),
            "checks.first_loss: within is missing; fix: add within: <number>",
        ),
        (case(checks=[{"id": "last_loss"}]), "checks.last_loss: limit is missing; fix: add limit: <number>"),
        (
            case(checks=[{"id": "last_loss", "limit": 1, "presets": ["tinny"]}]),
            "checks.last_loss: there is no preset 'tinny'; fix: did you mean tiny? Known: long, longest, tiny",
        ),
        (case(steps=CASE["steps"] * 2), "steps: the name 'train' stands twice; fix: rename one"),
    ],
)
def test_a_contradiction_is_one_line_with_its_place_and_fix(broken: dict[str, Any], problem: str) -> None:
    assert contract.inconsistencies(broken) == [problem]


@pytest.mark.parametrize("word", ["$HOME/x", "${HOME}/x", "$ADT_RUN_DIRx", "$1"])
@pytest.mark.parametrize("key", ["run", "resume", "makes"])
def test_a_variable_that_no_launcher_exports_is_refused(key: str, word: str) -> None:
    problems = contract.inconsistencies(one_step(**{key: [word]}))
    assert len(problems) == 1
    assert "is not known; fix: " in problems[0]


def test_the_words_of_a_group_are_checked_too() -> None:
    groups = [{"name": name, "nodes": 1, "run": ["{nothing}"]} for name in ("trainer", "generator")]
    assert len(contract.inconsistencies(one_step(groups=groups))) == 2
