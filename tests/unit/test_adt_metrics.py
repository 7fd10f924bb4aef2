# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics cut from a log, and what they add up to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.adt_metrics import (
    first_error,
    is_finite,
    parse_metrics,
    summarize,
)


def step(number: int, **more: Any) -> dict[str, Any]:
    return {"kind": "step", "attempt": 1, "step": number, "steps": 20, "loss": 5.0, "step_time_s": 0.5, **more}


@pytest.mark.parametrize("before", ["", "[rank0]: ", "0: ", "2026-11-23T20:00:00Z stdout F ", "\x1b[32m"])
def test_a_metric_is_found_behind_whatever_a_launcher_put_before_it(before: str) -> None:
    assert parse_metrics([f'{before}ADT_METRIC {{"kind": "step", "step": 1}}']) == [{"kind": "step", "step": 1}]


@pytest.mark.parametrize(
    "line",
    [
        "step 1: loss 2",
        'ADT_METRIC {"kind": "step", "st',
        "ADT_METRIC",
        "ADT_METRIC [1]",
        'ADT_METRIC {"kind": "other"}',
        'ADT_METRIC {"loss": 1}',
        'ADT_METRIC {"kind": "step", "step": "one"}',
        'ADT_METRIC {"kind": "step", "step": 1, "attempt": null}',
        'ADT_METRIC {"kind": "step", "step": 1, "steps": [3]}',
        "ADT_METRIC " + "[" * 200_000,
    ],
)
def test_what_is_no_metric_is_passed_over(line: str) -> None:
    assert parse_metrics([line, 'ADT_METRIC {"kind": "event"}']) == [{"kind": "event"}]


def test_a_summary_tells_first_last_and_held_out_loss() -> None:
    metrics = [step(0, loss=5.5), step(10, loss=3.0), {"kind": "eval", "step": 20, "loss": 1.9}, step(19, loss=2.0)]
    summary = summarize(metrics)
    assert (summary["first_loss"], summary["last_loss"], summary["eval_loss"]) == (5.5, 2.0, 1.9)
    assert (summary["last_step"], summary["total_steps"]) == (20, 20)


@pytest.mark.parametrize(
    ("attempts", "repeated"),
    [
        ([range(10)], 0),
        ([range(5), range(5, 10)], 0),
        ([range(8), range(5, 10)], 3),
        ([range(4), range(4), range(9)], 4),
    ],
)
def test_steps_that_a_later_attempt_did_again_are_counted_once(attempts: list[range], repeated: int) -> None:
    told = [
        {"kind": "step", "attempt": number, "step": step, "loss": 1.0}
        for number, steps in enumerate(attempts, 1)
        for step in steps
    ]
    assert summarize(told)["steps_repeated"] == repeated


def test_a_summary_of_nothing_tells_nothing() -> None:
    assert set(summarize([]).values()) == {None}


def test_a_step_that_a_later_attempt_repeated_counts_once() -> None:
    metrics = [step(0, loss=5.0), step(10, loss=4.0), step(0, loss=5.1, attempt=2), step(5, loss=4.5, attempt=2)]
    summary = summarize(metrics)
    assert (summary["first_loss"], summary["last_loss"]) == (5.1, 4.0)


def test_throughput_is_a_median_that_leaves_out_the_first_tenth() -> None:
    slow = [step(n, tokens_per_s=1.0, mfu=0.01) for n in range(2)]
    steady = [step(n, tokens_per_s=100.0 + n, mfu=0.4) for n in range(2, 20)]
    summary = summarize([*slow, *steady])
    assert (summary["tokens_per_s"], summary["mfu"]) == (110.5, 0.4)


def test_a_throughput_that_is_no_number_is_left_out() -> None:
    metrics = [step(n, tokens_per_s=value) for n, value in enumerate([100, "nan", float("nan"), None, 300])]
    assert summarize(metrics)["tokens_per_s"] == 200


def test_the_elapsed_time_is_the_longest_that_a_step_tells() -> None:
    assert summarize([step(0, elapsed_s=3.0), step(1, elapsed_s="late"), step(2, elapsed_s=9.0)])["elapsed_s"] == 9.0


def test_a_summary_bears_every_line_that_was_read() -> None:
    lines = [
        f"ADT_METRIC {json.dumps({'kind': 'step', key: value})}"
        for key in step(0)
        for value in [None, "x", [1], {"a": 1}]
    ]
    assert summarize(parse_metrics(lines))["last_loss"] is None


def test_the_first_error_of_the_last_attempt_is_the_one_that_ended_the_run() -> None:
    told = [(1, "old"), (2, "new"), (2, "the connection was closed")]
    metrics = [{"kind": "event", "name": "error", "attempt": number, "message": text} for number, text in told]
    found = first_error(metrics)
    assert found is not None
    assert found["message"] == "new"


def test_an_error_of_an_earlier_attempt_did_not_end_the_run() -> None:
    error = {"kind": "event", "name": "error", "attempt": 1, "message": "old"}
    assert first_error([error, {**step(0), "attempt": 2}]) is None


def test_a_run_without_an_error_has_none() -> None:
    assert first_error([step(0)]) is None


@pytest.mark.parametrize(("value", "finite"), [(1, True), (0.5, True), (True, False), ("1", False), (None, False)])
def test_only_numbers_are_finite(value: Any, finite: bool) -> None:
    assert is_finite(value) is finite


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_are_not_finite(value: float) -> None:
    assert not is_finite(value)
