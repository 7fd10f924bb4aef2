# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What a person sees while a run goes on: one line per metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.adt_metrics import is_finite


def progress_line(metric: Mapping[str, Any]) -> str | None:
    """A metric as a line; None for those that only machines read."""
    kind = metric["kind"]
    if kind == "step":
        total = metric.get("steps")
        parts = [
            f"step {metric.get('step')}{f'/{total}' if total else ''}",
            f"loss {_number(metric.get('loss'), '.3f')}",
            f"{_number(metric.get('tokens_per_s'), ',.0f')} tokens/s",
            f"MFU {_number(metric.get('mfu'), '.1%')}",
        ]
        left = seconds_left(metric)
        if left is not None:
            parts.append(f"{_clock(left)} left")
        return "  ".join(parts)
    if kind == "eval":
        return f"held-out loss {_number(metric.get('loss'), '.3f')} at step {metric.get('step')}"
    if kind == "checkpoint":
        return f"checkpoint at step {metric.get('step')} in {_number(metric.get('seconds'), '.1f')} s"
    message = metric.get("message")
    return f"{metric.get('name')}: {message}" if message else None


def seconds_left(metric: Mapping[str, Any]) -> float | None:
    """Seconds to the last step at this step's pace; None where total or pace is unknown."""
    total, step, pace = metric.get("steps"), metric.get("step"), metric.get("step_time_s")
    if not total or step is None or not pace or not is_finite(pace):
        return None
    return float(max(0, total - step) * pace)


def verdict_table(checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """The checks as lines of one table."""
    rows = [("check", "verdict", "value", "limit", "reason")]
    for check in checks:
        unit = f" {check['unit']}" if check.get("unit") else ""
        value = "-" if check["value"] is None else f"{_plain(check['value'])}{unit}"
        rows.append((check["id"], check["verdict"].upper(), value, _plain(check["limit"]), check["reason"]))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]).rstrip() for row in rows]


def _number(value: Any, form: str) -> str:
    return format(value, form) if isinstance(value, (int, float)) else "-"


def _plain(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
