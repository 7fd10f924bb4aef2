"""Metric lines: the only way by which training tells what it does. Definitions: docs/metrics.md."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from adt_train.environment import Environment


def print_metric(metric: dict[str, Any]) -> None:
    """One line on standard output, at once. NaN and infinity become text, so that each line stays valid JSON."""
    told = {key: _told(value) for key, value in metric.items()}
    # in one write: other ranks share the log, and unbuffered Python would write the end of the line by itself
    print(f"ADT_METRIC {json.dumps(told, allow_nan=False)}\n", end="", flush=True)


class MetricWriter:
    """Prints the run's metric lines; only rank 0 prints."""

    def __init__(
        self,
        environment: Environment,
        rank: int,
        accelerators: int,
        tokens_per_step: int,
        flops_per_token: float,
        total_steps: int,
    ) -> None:
        """
        :param tokens_per_step: tokens of one optimizer step, over all ranks.
        :param flops_per_token: floating-point operations of forward and backward for one token.
        """
        self.environment = environment
        self.prints = rank == 0
        self.accelerators = accelerators
        self.tokens_per_step = tokens_per_step
        self.flops_per_token = flops_per_token
        self.total_steps = total_steps
        self.started = time.monotonic()

    def step(self, step: int, loss: float, step_time_s: float, memory_gib: float, **extra: Any) -> None:
        """The loss of the batch of ``step`` before its update, and the mean seconds of a step since the last line."""
        tokens_per_s = self.tokens_per_step / step_time_s
        tflops = tokens_per_s * self.flops_per_token / self.accelerators / 1e12
        peak = self.environment.peak_tflops
        self._print(
            "step",
            step=step,
            steps=self.total_steps,
            loss=loss,
            step_time_s=step_time_s,
            tokens_per_s=tokens_per_s,
            tokens_per_s_per_accelerator=tokens_per_s / self.accelerators,
            tflops_per_accelerator=tflops,
            mfu=tflops / peak if peak else None,
            memory_gib=memory_gib,
            **extra,
        )

    def eval(self, step: int, loss: float) -> None:
        """The loss on held-out data after ``step`` updates."""
        self._print("eval", step=step, loss=loss)

    def checkpoint(self, step: int, path: str, seconds: float, size: int, blocked_s: float) -> None:
        """A complete checkpoint: seconds from the call to complete, bytes, and seconds that training stood still."""
        self._print("checkpoint", step=step, path=path, seconds=seconds, bytes=size, blocked_s=blocked_s)

    def event(self, name: str, message: str = "", **extra: Any) -> None:
        """Something that happened once."""
        self._print("event", name=name, message=message, **extra)

    def _print(self, kind: str, **values: Any) -> None:
        if self.prints:
            elapsed = time.monotonic() - self.started
            print_metric({"kind": kind, "attempt": self.environment.attempt, "elapsed_s": elapsed, **values})


def _told(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else str(value)
