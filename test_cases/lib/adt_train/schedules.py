"""Learning rates."""

from __future__ import annotations

import math


def warmup_cosine(step: int, steps: int, peak: float, warmup_steps: int, final: float) -> float:
    """The rate of ``step``: linear warm-up, then a half cosine down to ``final``, as a part of the peak."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))
