# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The checks of a training run: pure functions of plan, summary and end of the job."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.adt_metrics import Metric, is_finite

SAVED = 75
"""Exit status of a job that saved on request and can be run again."""

LN_VOCABULARY = "ln_vocabulary"
"""What a case writes for the first loss to expect: the natural logarithm of the vocabulary that its training prints."""

Check = dict[str, Any]


def judge_run(
    plan: Mapping[str, Any],
    metrics: list[Metric],
    summary: Mapping[str, Any],
    job: Mapping[str, Any],
    baselines: Iterable[Mapping[str, Any]],
) -> list[Check]:
    """Every check of a run, the case's own after those that all runs share.

    :param job: its exit_status (None while it runs, and where its engine ended it) and, of an engine that ended it,
        problem and fix.
    """
    checks = [
        _exit_status(job),
        _last_step(summary),
        _finite_loss(metrics),
        *(_case_check(check, plan, summary) for check in plan["checks"]),
        _throughput(plan, summary, baselines),
    ]
    return checks


def verdict(checks: Iterable[Check]) -> str:
    """pass when one check passed and none failed; a run whose checks were all skipped proves nothing."""
    verdicts = {check["verdict"] for check in checks}
    return "pass" if "pass" in verdicts and "fail" not in verdicts else "fail"


def run_state(job: Mapping[str, Any], cancelled: bool) -> str:
    """completed, failed, cancelled, preempted or running."""
    exit_status = job.get("exit_status")
    if exit_status is None and not job.get("problem"):
        return "running"
    if cancelled:
        return "cancelled"
    if exit_status is None:
        return "failed"
    return {0: "completed", SAVED: "preempted"}.get(exit_status, "failed")


def make_check(
    check_id: str, value: Any, limit: Any, passed: bool | None, reason: str, unit: str = "", fix: str = ""
) -> Check:
    """One result; ``passed`` None is a skip."""
    return {
        "id": check_id,
        "node": None,
        "value": value if not isinstance(value, float) or math.isfinite(value) else str(value),
        "unit": unit,
        "limit": limit,
        "verdict": "skip" if passed is None else "pass" if passed else "fail",
        "reason": reason,
        "fix": "" if passed else fix,
    }


def _exit_status(job: Mapping[str, Any]) -> Check:
    status = job.get("exit_status")
    if job.get("problem"):
        return make_check("exit_status", status, 0, False, job["problem"], fix=job.get("fix") or "read log.txt")
    reasons = {0: "the job ended well", SAVED: "the job saved and stopped on request", None: "the job has not ended"}
    fixes = {SAVED: "run it again with the same run_id", None: "attach to it until it ends"}
    reason = reasons.get(status, "the job failed")
    return make_check("exit_status", status, 0, status == 0, reason, fix=fixes.get(status, "read the end of log.txt"))


def _last_step(summary: Mapping[str, Any]) -> Check:
    total, last = summary["total_steps"], summary["last_step"]
    if total is None:
        return make_check("last_step", last, None, None, "the case prints no number of steps")
    reason = "every step was done" if last >= total else f"training ended before step {total}"
    return make_check("last_step", last, total, last >= total, reason, "steps", "read the end of log.txt")


def _finite_loss(metrics: list[Metric]) -> Check:
    losses = [m for m in metrics if m["kind"] in ("step", "eval") and "loss" in m]
    if not losses:
        return make_check(
            "finite_loss",
            None,
            None,
            False,
            "no loss was printed",
            "nats/token",
            "print metrics through adt_train.MetricWriter, and read the end of log.txt",
        )
    bad = next((m for m in losses if not is_finite(m["loss"])), None)
    if bad:
        return make_check(
            "finite_loss",
            bad["loss"],
            None,
            False,
            f"the loss of step {bad.get('step')} is not a number",
            "nats/token",
            "lower the learning rate, or check the data",
        )
    return make_check(
        "finite_loss", losses[-1]["loss"], None, True, f"all {len(losses)} losses are numbers", "nats/token"
    )


_SOURCE = {"first_loss": "first_loss", "last_loss": "last_loss", "held_out_loss": "eval_loss"}


def _case_check(check: Mapping[str, Any], plan: Mapping[str, Any], summary: Mapping[str, Any]) -> Check:
    check_id, unit, fix = check["id"], check.get("unit", ""), check.get("fix", "")
    value, presets = summary[_SOURCE[check_id]], check.get("presets")
    if presets and plan["preset"] not in presets:
        return make_check(check_id, value, None, None, f"no limit for preset {plan['preset']}", unit)
    if check_id == "first_loss":
        return _first_loss(check, value, summary)
    limit = check["limit"]
    if plan["changed_parameters"]:
        changed = ", ".join(plan["changed_parameters"])
        return make_check(check_id, value, limit, None, f"the limit holds for the preset's own {changed}", unit)
    if not is_finite(value):
        return make_check(check_id, value, limit, False, "no such loss was printed", unit, fix)
    passed = value < limit
    return make_check(check_id, value, limit, passed, f"{'' if passed else 'not '}below the limit", unit, fix)


def _first_loss(check: Mapping[str, Any], value: Any, summary: Mapping[str, Any]) -> Check:
    """An untrained model guesses evenly: its loss is the logarithm of the number of tokens that it knows."""
    check_id, unit, fix = check["id"], check.get("unit", ""), check.get("fix", "")
    expected, words = check["expect"], str(check["expect"])
    if expected == LN_VOCABULARY:
        known = summary["vocabulary"]
        if known is None:
            told = "the case prints no vocabulary"
            return make_check(check_id, value, None, False, told, unit, "print vocabulary in the event environment")
        expected = math.log(known)
        words = f"ln {known} = {expected:.3f}"
    limit = f"{words} ± {check['within']}"
    if summary["began_at"]:
        reason = f"the run went on from a checkpoint of step {summary['began_at']}"
        return make_check(check_id, value, limit, None, reason, unit)
    if not is_finite(value):
        return make_check(check_id, value, limit, False, "no such loss was printed", unit, fix)
    passed = abs(value - expected) <= check["within"]
    reason = "an untrained model's loss" if passed else "not an untrained model's loss: are the weights initialised?"
    return make_check(check_id, value, limit, passed, reason, unit, fix)


def _throughput(plan: Mapping[str, Any], summary: Mapping[str, Any], baselines: Iterable[Mapping[str, Any]]) -> Check:
    value, unit = summary["tokens_per_s_per_accelerator"], "tokens/s per accelerator"
    where = plan.get("instance_type") or plan.get("accelerator_model") or plan["accelerator"]
    baseline = next(
        (
            b
            for b in baselines
            if b["case"] == plan["case"]["name"] and b["preset"] == plan["preset"] and b["on"] == where
        ),
        None,
    )
    if baseline is None:
        return make_check("throughput", value, None, None, f"no baseline for {where}", unit)
    if plan["changed_parameters"]:
        changed = ", ".join(plan["changed_parameters"])
        return make_check("throughput", value, None, None, f"the baseline holds for the preset's own {changed}", unit)
    floor = round(baseline["value"] * (1 - baseline["tolerance"]), 1)
    passed = is_finite(value) and value >= floor
    reason = f"baseline {baseline['value']} of {baseline['date']}"
    return make_check(
        "throughput", value, floor, passed, reason, unit, "compare driver, clocks and fabric with the baseline's run"
    )
