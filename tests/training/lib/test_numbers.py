"""Learning rates and operations, as their formulas say."""

from __future__ import annotations

import pytest

from adt_train.flops import flops_per_token
from adt_train.schedules import warmup_cosine


def rate(step: int, warmup_steps: int = 10) -> float:
    return warmup_cosine(step, steps=110, peak=2.0, warmup_steps=warmup_steps, final=0.1)


def test_the_rate_rises_evenly_to_its_peak() -> None:
    assert [rate(step) for step in (0, 1, 4, 9, 10)] == pytest.approx([0.2, 0.4, 1.0, 2.0, 2.0])


def test_the_rate_falls_as_half_a_cosine_to_its_final_part() -> None:
    # a quarter and half of the way: 0.2 + 1.8 · (1 + cos φ) / 2
    assert [rate(step) for step in (35, 60, 110)] == pytest.approx([0.2 + 0.9 * (1 + 2**-0.5), 1.1, 0.2])


def test_after_its_peak_the_rate_never_rises() -> None:
    rates = [rate(step) for step in range(10, 110)]
    assert rates == sorted(rates, reverse=True)
    assert max(rates) == 2.0


def test_without_warm_up_the_first_rate_is_the_peak() -> None:
    assert rate(0, warmup_steps=0) == 2.0


def test_a_run_that_is_all_warm_up_has_rates() -> None:
    assert warmup_cosine(9, steps=10, peak=1.0, warmup_steps=10, final=0.1) == 1.0


def test_operations_are_those_of_weights_and_of_attention() -> None:
    # 6 · 100 + 12 · 2 layers · 8 · 16 tokens
    assert flops_per_token(weights=100, layers=2, attention_width=8, sequence_length=16) == 600 + 3072
