# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The verdict of a run: what passes, what fails, and what proves nothing."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.adt_metrics import summarize
from ansible_collections.awsome.distributed_training.plugins.module_utils.run_checks import (
    judge_run,
    run_state,
    verdict,
)

FIRST = {"id": "first_loss", "presets": ["tiny"], "expect": 5.5, "within": 0.2, "unit": "nats", "fix": "look"}
HELD_OUT = {"id": "held_out_loss", "limit": 2.0, "unit": "nats", "fix": "look again"}
BASELINE = {"case": "fsdp", "preset": "tiny", "on": "p5.48xlarge", "metric": "tokens_per_s_per_accelerator",
            "value": 1000.0, "tolerance": 0.1, "date": "2026-11-23", "fact_source": "evidence/x.json"}  # fmt: skip


def plan(**more: Any) -> dict[str, Any]:
    return {"case": {"name": "fsdp"}, "preset": "tiny", "checks": [], "changed_parameters": [],
            "instance_type": "p5.48xlarge", "accelerator_model": "H100", "accelerator": "cuda", **more}  # fmt: skip


def metrics(first: Any = 5.5, last: Any = 1.9, held_out: Any = 1.95, steps: int = 10, rate: float = 950.0) -> list[Any]:
    losses = [first, *[3.0] * (steps - 2), last]
    told: list[Any] = [
        {"kind": "step", "attempt": 1, "step": number, "steps": 10, "loss": loss, "step_time_s": 1.0,
         "tokens_per_s_per_accelerator": rate}
        for number, loss in enumerate(losses)
    ]  # fmt: skip
    return [*told, {"kind": "eval", "attempt": 1, "step": steps, "loss": held_out}]


def judge(
    check_id: str, told: list[Any] | None = None, status: int | None = 0, baselines: Any = (), **more: Any
) -> Any:
    told = metrics() if told is None else told
    checks = judge_run(plan(**more), told, summarize(told), {"exit_status": status}, baselines)
    return next(check for check in checks if check["id"] == check_id)


def test_a_check_tells_everything_that_a_reader_asks() -> None:
    assert judge("held_out_loss", metrics(held_out=2.5), checks=[HELD_OUT]) == {
        "id": "held_out_loss",
        "node": None,
        "value": 2.5,
        "unit": "nats",
        "limit": 2.0,
        "verdict": "fail",
        "reason": "not below the limit",
        "fix": "look again",
    }


@pytest.mark.parametrize(
    ("status", "passed", "reason"),
    [
        (0, "pass", "the job ended well"),
        (1, "fail", "the job failed"),
        (75, "fail", "the job saved and stopped on request"),
        (None, "fail", "the job has not ended"),
    ],
)
def test_the_exit_status_is_judged(status: int | None, passed: str, reason: str) -> None:
    check = judge("exit_status", status=status)
    assert (check["verdict"], check["reason"]) == (passed, reason)
    assert bool(check["fix"]) == (passed == "fail")


def test_a_run_that_ended_before_its_last_step_fails() -> None:
    check = judge("last_step", metrics(steps=6))
    assert (check["verdict"], check["value"], check["limit"]) == ("fail", 6, 10)


def test_a_run_that_reached_its_last_step_passes() -> None:
    assert judge("last_step")["verdict"] == "pass"


def test_a_case_that_prints_no_number_of_steps_is_not_judged_by_it() -> None:
    assert judge("last_step", [{"kind": "step", "step": 3, "loss": 1.0}])["verdict"] == "skip"


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), "NaN", None])
def test_a_loss_that_is_no_number_fails(loss: Any) -> None:
    check = judge("finite_loss", metrics(last=loss))
    assert (check["verdict"], check["reason"]) == ("fail", "the loss of step 9 is not a number")


def test_a_value_that_json_does_not_know_is_told_as_text() -> None:
    assert judge("finite_loss", metrics(last=float("nan")))["value"] == "nan"


def test_a_run_without_any_loss_fails() -> None:
    assert judge("finite_loss", [])["verdict"] == "fail"


@pytest.mark.parametrize(
    ("loss", "passed"), [(5.31, "pass"), (5.69, "pass"), (5.29, "fail"), (5.75, "fail"), (None, "fail")]
)
def test_the_first_loss_is_that_of_an_untrained_model(loss: Any, passed: str) -> None:
    assert judge("first_loss", metrics(first=loss), checks=[FIRST])["verdict"] == passed


@pytest.mark.parametrize(("loss", "passed"), [(1.99, "pass"), (2.0, "fail"), (float("nan"), "fail"), ("low", "fail")])
def test_the_held_out_loss_is_below_its_limit(loss: Any, passed: str) -> None:
    assert judge("held_out_loss", metrics(held_out=loss), checks=[HELD_OUT])["verdict"] == passed


def test_the_last_loss_has_a_limit_of_its_own() -> None:
    check = judge("last_loss", metrics(last=1.9), checks=[{"id": "last_loss", "limit": 1.0}])
    assert (check["value"], check["verdict"]) == (1.9, "fail")


def test_a_limit_of_another_preset_is_skipped() -> None:
    check = judge("first_loss", checks=[FIRST], preset="llama")
    assert (check["verdict"], check["reason"]) == ("skip", "no limit for preset llama")


def test_a_limit_is_skipped_where_the_user_changed_the_preset() -> None:
    check = judge("held_out_loss", metrics(held_out=9.0), checks=[HELD_OUT], changed_parameters=["steps"])
    assert (check["verdict"], check["reason"]) == ("skip", "the limit holds for the preset's own steps")


def test_the_first_loss_is_judged_whatever_the_user_changed() -> None:
    assert judge("first_loss", metrics(first=9.0), checks=[FIRST], changed_parameters=["lr"])["verdict"] == "fail"


ENVIRONMENT = {"kind": "event", "name": "environment", "attempt": 1, "vocabulary": 128256}


@pytest.mark.parametrize(("loss", "passed"), [(11.887, "pass"), (5.5, "fail")])
def test_an_untrained_model_guesses_evenly_among_the_tokens_that_it_knows(loss: float, passed: str) -> None:
    check = judge("first_loss", [ENVIRONMENT, *metrics(first=loss)], checks=[FIRST | {"expect": "ln_vocabulary"}])
    assert (check["verdict"], check["limit"]) == (passed, "ln 128256 = 11.762 ± 0.2")


def test_a_first_loss_cannot_be_judged_by_a_vocabulary_that_was_never_printed() -> None:
    check = judge("first_loss", checks=[FIRST | {"expect": "ln_vocabulary"}])
    assert (check["verdict"], check["reason"]) == ("fail", "the case prints no vocabulary")


def test_a_run_that_goes_on_from_a_checkpoint_has_no_first_loss() -> None:
    resumed = {"kind": "event", "name": "resumed", "attempt": 1, "step": 100}
    check = judge("first_loss", [resumed, *metrics()[3:]], checks=[FIRST])
    assert (check["verdict"], check["reason"]) == ("skip", "the run went on from a checkpoint of step 100")


@pytest.mark.parametrize(
    ("rate", "passed"), [(950.0, "pass"), (900.0, "pass"), (899.0, "fail"), (float("nan"), "fail")]
)
def test_throughput_is_held_to_its_baseline(rate: float, passed: str) -> None:
    check = judge("throughput", metrics(rate=rate), baselines=[BASELINE])
    assert (check["limit"], check["verdict"]) == (900.0, passed)


@pytest.mark.parametrize("other", [{"on": "p5en.48xlarge"}, {"case": "ddp"}, {"preset": "llama"}])
def test_a_baseline_of_something_else_is_not_taken(other: dict[str, str]) -> None:
    check = judge("throughput", baselines=[{**BASELINE, **other}])
    assert (check["verdict"], check["reason"], check["value"]) == ("skip", "no baseline for p5.48xlarge", 950.0)


@pytest.mark.parametrize(
    ("known", "where"),
    [
        ({"instance_type": None}, "H100"),
        ({"instance_type": None, "accelerator_model": None, "accelerator": "cpu"}, "cpu"),
    ],
)
def test_a_machine_outside_ec2_goes_by_its_accelerator(known: dict[str, Any], where: str) -> None:
    assert judge("throughput", baselines=[{**BASELINE, "on": where}], **known)["verdict"] == "pass"


def test_a_baseline_is_skipped_where_the_user_changed_the_preset() -> None:
    assert judge("throughput", baselines=[BASELINE], changed_parameters=["steps"])["verdict"] == "skip"


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (["pass", "skip"], "pass"),
        (["pass", "fail"], "fail"),
        (["skip", "fail"], "fail"),
        (["skip", "skip"], "fail"),
        ([], "fail"),
    ],
)
def test_a_run_passes_when_something_was_proved_and_nothing_failed(verdicts: list[str], whole: str) -> None:
    assert verdict({"verdict": one} for one in verdicts) == whole


@pytest.mark.parametrize(
    ("status", "cancelled", "state"),
    [
        (0, False, "completed"),
        (1, False, "failed"),
        (75, False, "preempted"),
        (137, False, "failed"),
        (None, False, "running"),
        (None, True, "running"),
        (75, True, "cancelled"),
    ],
)
def test_the_state_of_a_run_follows_from_its_end(status: int | None, cancelled: bool, state: str) -> None:
    assert run_state({"exit_status": status}, cancelled) == state


OUT_OF_MEMORY = {"exit_status": None, "problem": "Slurm ended it: out of memory", "fix": "fewer rows a step"}


def test_a_job_that_its_engine_ended_failed_for_that_reason() -> None:
    (check, *_) = judge_run(plan(), metrics(), summarize(metrics()), OUT_OF_MEMORY, [])
    assert (check["id"], check["verdict"], check["value"]) == ("exit_status", "fail", None)
    assert (check["reason"], check["fix"]) == (OUT_OF_MEMORY["problem"], OUT_OF_MEMORY["fix"])
    assert run_state(OUT_OF_MEMORY, False) == "failed"
    assert run_state(OUT_OF_MEMORY, True) == "cancelled"
