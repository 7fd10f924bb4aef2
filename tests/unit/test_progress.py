# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What a user sees while a job runs: a line for each metric, and the table of verdicts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.progress import (
    progress_line,
    seconds_left,
    verdict_table,
)

STEP = {
    "kind": "step",
    "step": 50,
    "steps": 200,
    "loss": 2.34567,
    "step_time_s": 0.5,
    "tokens_per_s": 4096.4,
    "mfu": 0.4123,
}


def test_a_step_tells_loss_throughput_mfu_and_the_time_left() -> None:
    assert progress_line(STEP) == "step 50/200  loss 2.346  4,096 tokens/s  MFU 41.2%  1:15 left"


def test_a_step_without_peak_or_total_leaves_dashes_and_no_time() -> None:
    line = progress_line({**STEP, "steps": None, "mfu": None})
    assert line == "step 50  loss 2.346  4,096 tokens/s  MFU -"


@pytest.mark.parametrize(
    ("metric", "line"),
    [
        ({"kind": "eval", "step": 200, "loss": 1.8}, "held-out loss 1.800 at step 200"),
        ({"kind": "checkpoint", "step": 100, "seconds": 2.04}, "checkpoint at step 100 in 2.0 s"),
        ({"kind": "event", "name": "resumed", "message": "from step 100"}, "resumed: from step 100"),
        ({"kind": "event", "name": "environment", "torch": "2.13.0"}, None),
    ],
)
def test_every_kind_of_metric_has_its_line(metric: dict[str, Any], line: str | None) -> None:
    assert progress_line(metric) == line


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0:00 left"), (59.6, "1:00 left"), (3661, "1:01:01 left")])
def test_the_time_left_is_shown_as_a_clock(seconds: float, shown: str) -> None:
    line = progress_line({**STEP, "step": 199, "step_time_s": seconds})
    assert line is not None
    assert line.endswith(shown)


def test_a_step_beyond_the_last_leaves_no_time() -> None:
    assert seconds_left({**STEP, "step": 201}) == 0


@pytest.mark.parametrize("pace", [None, 0, "fast", float("inf"), float("nan")])
def test_no_time_is_told_without_a_pace(pace: Any) -> None:
    assert seconds_left({**STEP, "step_time_s": pace}) is None


def test_the_verdicts_stand_in_one_aligned_table() -> None:
    checks: list[dict[str, Any]] = [
        {"id": "exit_status", "verdict": "pass", "value": 0, "unit": "", "limit": 0, "reason": "the job ended well"},
        {
            "id": "held_out_loss",
            "verdict": "fail",
            "value": 2.34567,
            "unit": "nats",
            "limit": 2.0,
            "reason": "too high",
        },
        {"id": "throughput", "verdict": "skip", "value": None, "unit": "x", "limit": None, "reason": "no baseline"},
    ]
    assert verdict_table(checks) == [
        "check          verdict  value       limit  reason",
        "exit_status    PASS     0           0      the job ended well",
        "held_out_loss  FAIL     2.346 nats  2      too high",
        "throughput     SKIP     -           -      no baseline",
    ]
