# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Action collect_run; its documentation is in plugins/modules/collect_run.py."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.utils.display import Display
from ansible_collections.awsome.distributed_training.plugins.module_utils import (
    adt_metrics,
    controller,
    folders,
    run_checks,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.local_job import was_cancelled
from ansible_collections.awsome.distributed_training.plugins.module_utils.progress import verdict_table
from ansible_collections.awsome.distributed_training.plugins.module_utils.report import render_report

_LOG_TAIL_LINES = 200


class ActionModule(controller.OneLineAction):
    """Cut the metrics from the log, judge the run, write its result and its report."""

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Returns ``result``; fails with one line where the run did not pass."""
        run_dir, job = args["run_dir"], args["job"]
        plan = controller.read_yaml(os.path.join(run_dir, "plan.yml"))
        log = _read(os.path.join(run_dir, "log.txt")).splitlines()
        metrics = adt_metrics.parse_metrics(log)
        summary = adt_metrics.summarize(metrics)
        baselines = controller.read_catalogue("baselines")["baselines"]
        checks = run_checks.judge_run(plan, metrics, summary, job, baselines)
        environment = json.loads(_read(os.path.join(run_dir, "environment.json")) or "{}")
        result = {
            "schema": 1,
            "run_id": plan["run_id"],
            "case": plan["case"]["name"],
            "preset": plan["preset"],
            "launcher": plan["launcher"],
            "state": run_checks.run_state(job, job.get("cancelled", was_cancelled(run_dir))),
            "attempts": max([1, *(m.get("attempt", 1) for m in metrics)]),
            "nodes": plan["nodes"],
            "world_size": plan["world_size"],
            "instance_type": plan["instance_type"],
            "started": _utc(job.get("started")),
            "ended": _utc(job.get("ended")),
            "revision": plan["revision"],
            "stack": {**environment, **_printed_environment(metrics)},
            "metrics": {
                "last_loss": summary["last_loss"],
                "eval_loss": summary["eval_loss"],
                "tokens_per_s": summary["tokens_per_s"],
                "mfu": summary["mfu"],
                "steps_repeated": summary["steps_repeated"],
            },
            "checks": checks,
            "transport": None,
            "verdict": run_checks.verdict(checks),
        }
        folders.replace_file(os.path.join(run_dir, "metrics.jsonl"), "".join(json.dumps(m) + "\n" for m in metrics))
        folders.replace_file(os.path.join(run_dir, "result.json"), json.dumps(result, indent=2) + "\n")
        tail = "\n".join(line for line in log if adt_metrics.MARK not in line)
        tail = "\n".join(tail.splitlines()[-_LOG_TAIL_LINES:])
        report = os.path.join(run_dir, "report.html")
        folders.replace_file(report, render_report(result, plan, metrics, checks, result["stack"], tail))
        display = Display()
        for line in ["", *verdict_table(checks), "", f"verdict: {result['verdict']}", f"report: {report}"]:
            display.display(line)
        if result["verdict"] == "fail" and args.get("must_pass", True):
            raise TrainingError(*_failure(plan, result, adt_metrics.first_error(metrics), report))
        return {"changed": True, "result": result, "report": report}


def _failure(
    plan: dict[str, Any], result: dict[str, Any], error: dict[str, Any] | None, report: str
) -> tuple[str, str]:
    """Why a run did not pass, and the fix: training's own words where it gave any."""
    name, read = result["case"], f"read {report}"
    if result["state"] == "cancelled":
        return f"{name} was cancelled", f"-e run_id={result['run_id']} goes on from its newest checkpoint"
    if result["state"] == "preempted":
        return f"{name} saved and stopped on request", f"-e run_id={result['run_id']} goes on from there"
    if error:
        return f"{name}: {error.get('message')}", str(error.get("fix") or read)
    check = next((c for c in result["checks"] if c["verdict"] == "fail"), None)
    if check is None:
        return f"{name}: every check was skipped, so nothing is proved", "give the case a check"
    value = f" {check['value']} {check['unit']}".rstrip() if check["value"] is not None else ""
    return f"{name}: check {check['id']}{value}: {check['reason']}", str(check["fix"] or read)


def _printed_environment(metrics: list[dict[str, Any]]) -> dict[str, Any]:
    events = [m for m in metrics if m["kind"] == "event" and m.get("name") == "environment"]
    event = events[-1] if events else {}
    return {
        key: value for key, value in event.items() if key not in ("kind", "name", "attempt", "message", "elapsed_s")
    }


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _utc(seconds: float | None) -> str | None:
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
