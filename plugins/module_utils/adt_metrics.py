# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Metric lines (``ADT_METRIC {json}``) cut from a log, and what they add up to. Definitions: docs/metrics.md."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from typing import Any

MARK = "ADT_METRIC "
KINDS = ("step", "eval", "checkpoint", "event")

Metric = dict[str, Any]


def parse_metrics(lines: Iterable[str]) -> list[Metric]:
    """The metric lines of a log, whatever a launcher put before the mark; lines cut short are passed over."""
    metrics: list[Metric] = []
    for line in lines:
        _, mark, text = line.partition(MARK)
        if not mark:
            continue
        try:
            metric = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(metric, dict) and metric.get("kind") in KINDS and _counts(metric):
            metrics.append(metric)
    return metrics


def _counts(metric: Metric) -> bool:
    """What orders metrics is a whole number where it is there: another program may print the mark too."""
    return all(type(metric.get(key, 0)) is int for key in ("attempt", "step", "steps"))


def summarize(metrics: list[Metric]) -> dict[str, Any]:
    """What the lines of a run add up to; None for what no line tells.

    ``first_loss`` is that of step 0, ``began_at`` the step at which a run went on from a checkpoint that it brought.
    ``steps_repeated`` counts printed steps that a later attempt did again.
    Throughput and MFU are medians over the steps after the first tenth, which holds compilation and cold caches.
    """
    steps = _last_attempt_wins([m for m in metrics if m["kind"] == "step"])
    evals = [m for m in metrics if m["kind"] == "eval"]
    began = next((m for m in metrics if m["kind"] == "step" or m.get("name") == "resumed"), {})
    vocabularies = [m["vocabulary"] for m in metrics if isinstance(m.get("vocabulary"), int) and m["vocabulary"] > 0]
    # a step's number counts the updates before it, an evaluation's those that are done
    reached = [m["step"] + (m["kind"] == "step") for m in metrics if m["kind"] in ("step", "eval") and "step" in m]
    steady = [m for m in steps if m.get("step_time_s")]
    steady = steady[len(steady) // 10 :]
    return {
        "began_at": began.get("step"),
        "vocabulary": vocabularies[-1] if vocabularies else None,
        "first_loss": steps[0].get("loss") if steps and steps[0]["step"] == 0 else None,
        "last_loss": steps[-1].get("loss") if steps else None,
        "eval_loss": evals[-1].get("loss") if evals else None,
        "last_step": max(reached) if reached else None,
        "steps_repeated": _repeated([m for m in metrics if m["kind"] == "step"]),
        "total_steps": next((m["steps"] for m in reversed(steps) if m.get("steps")), None),
        "tokens_per_s": _median(steady, "tokens_per_s"),
        "tokens_per_s_per_accelerator": _median(steady, "tokens_per_s_per_accelerator"),
        "mfu": _median(steady, "mfu"),
        "elapsed_s": max((m["elapsed_s"] for m in steps if is_finite(m.get("elapsed_s"))), default=None),
    }


def first_error(metrics: list[Metric]) -> Metric | None:
    """What training first said was wrong in its last attempt: what other ranks say later follows from it."""
    last = max((m["attempt"] for m in metrics if "attempt" in m), default=None)
    told = [m for m in metrics if m["kind"] == "event" and m.get("name") == "error" and m.get("attempt") == last]
    return told[0] if told else None


def is_finite(value: Any) -> bool:
    """A number that is neither NaN nor infinite."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _last_attempt_wins(steps: list[Metric]) -> list[Metric]:
    """Steps in order; a step that a later attempt repeated stands once, as repeated."""
    by_step = {m["step"]: m for m in steps if "step" in m}
    return [by_step[step] for step in sorted(by_step)]


def _repeated(steps: list[Metric]) -> int | None:
    """Steps that a later attempt did again: what losing nodes, ranks and turns has cost. None without a step."""
    if not steps:
        return None
    first: dict[int, int] = {}
    for m in steps:
        if "step" in m:
            first.setdefault(m["step"], m.get("attempt", 1))
    return len({m["step"] for m in steps if "step" in m and m.get("attempt", 1) > first[m["step"]]})


def _median(steps: list[Metric], key: str) -> float | None:
    values = [m[key] for m in steps if is_finite(m.get(key))]
    return statistics.median(values) if values else None
