# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Slurm's own commands, called on a node of the cluster, and what the modules ask by them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import slurm
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.local_job import CANCELLED, read_log

STATE_FILE = "slurm.json"
"""In the run folder on the cluster: ``{"jobs": [{"name", "file", "step", "id"}]}``, as they were submitted last."""

SETTLING_S = 60.0
"""How long the accounting may lag behind the controller before the controller's own record must do."""

_RETURNS = frozenset({"NODE_FAIL", "PREEMPTED"})
_RETURNING_S = 15.0
"""A job that lost its nodes stands in such a state for some moments before Slurm queues it again."""

_TIMEOUT_S = 120.0


class Slurm:
    """Slurm's commands, found on the PATH or under a prefix."""

    def __init__(self, prefix: str = "") -> None:
        """:param prefix: folder that holds bin, such as /opt/slurm; empty takes the PATH."""
        # times without a zone are UTC's then, numbers and words not a language's
        self.environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
        self.environment.pop("SLURM_TIME_FORMAT", None)
        if prefix:
            self.environment["PATH"] = f"{prefix}/bin:{os.environ.get('PATH', '')}"

    def ask(self, *words: str, cwd: str | None = None) -> str:
        """What a command prints; a TrainingError with its last complaint where it fails."""
        status, printed, complaint = self.run(*words, cwd=cwd)
        if status:
            raise _failed(words[0], status, complaint)
        return printed

    def run(self, *words: str, cwd: str | None = None) -> tuple[int, str, str]:
        """Exit status, output and complaints of a command."""
        try:
            ran = subprocess.run(
                words, cwd=cwd, env=self.environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except FileNotFoundError:
            raise TrainingError(f"{words[0]} is not on the PATH", "adt_slurm_prefix of the inventory's head") from None
        except subprocess.TimeoutExpired:
            raise TrainingError(f"{words[0]} gave no answer within {_TIMEOUT_S:.0f} s", "scontrol ping") from None
        return ran.returncode, ran.stdout, ran.stderr

    def cancel(self, job_id: int, *options: str) -> None:
        """scancel a job; one that has ended meanwhile is left alone."""
        status, _, complaint = self.run("scancel", *options, str(job_id))
        if status and "Invalid job id" not in complaint:
            raise _failed("scancel", status, complaint)

    def controller_job(self, job_id: int) -> slurm.SlurmJob | None:
        """What the controller says of a job; None for one that it has forgotten."""
        words = ("scontrol", "--oneliner", "show", "job", str(job_id))
        status, printed, complaint = self.run(*words)
        if status:
            if "Invalid job id" in complaint:
                return None
            raise _failed("scontrol", status, complaint)
        return next((job for job in slurm.parse_jobs(printed) if job.id == job_id), None)

    def accounted_job(self, job_id: int) -> slurm.SlurmJob | None:
        """The last run of a job in the accounting; None where there is none or where it does not know the job."""
        columns = ",".join(slurm.COLUMNS)
        words = ("sacct", "--parsable2", "--noheader", "--allocations", f"--format={columns}", f"--jobs={job_id}")
        status, printed, _ = self.run(*words)
        if status:  # no accounting on this cluster, or its database is away: the controller's record must do
            return None
        return next((job for job in slurm.parse_accounting(printed) if job.id == job_id), None)


def _failed(command: str, status: int, complaint: str) -> TrainingError:
    """A command's last complaint, and what to do about it."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()] or [f"exit status {status}"]
    return TrainingError(f"{command}: {lines[-1].removeprefix(f'{command}: ')}", _fix(complaint))


def _fix(complaint: str) -> str:
    for sign, fix in _FIXES:
        if sign in complaint:
            return fix
    return "mend what it names and run again"


_FIXES = (
    ("nvalid partition", "-e launcher_params='partition=NAME'; sinfo lists them"),
    ("nvalid account", "-e launcher_params='account=NAME'; sacctmgr show associations lists them"),
    ("nvalid qos", "-e launcher_params='qos=NAME'; sacctmgr show qos lists them"),
    ("reservation", "-e launcher_params='reservation=NAME'; scontrol show reservation lists them"),
    ("eature specification", "-e launcher_params='constraint=FEATURE'; sinfo -o %f lists them"),
    ("time limit", "a shorter -e launcher_params='time=…', or another partition"),
    ("node configuration is not available", "fewer processes or nodes, or another partition; sinfo -o '%N %c %m %G'"),
    ("Unable to contact slurm controller", "start slurmctld, or try again when it is back"),
)


def is_over(slurm_commands: Slurm, job_id: int) -> bool:
    """The controller has forgotten the job, or says that it has ended and will not come back."""
    job = slurm_commands.controller_job(job_id)
    return job is None or (job.state in slurm.FINISHED and not _may_return(job))


def submitted(run_dir: str) -> list[dict[str, Any]]:
    """The jobs of a run folder, as they were submitted; none before that."""
    try:
        with open(os.path.join(run_dir, STATE_FILE), encoding="utf-8") as file:
            jobs: list[dict[str, Any]] = json.load(file)["jobs"]
            return jobs
    except FileNotFoundError:
        return []


def look(slurm_commands: Slurm, run_dir: str, offset: int) -> dict[str, Any]:
    """One look at the jobs of a run: ``job``, and ``text`` and ``offset`` of what the log has gained.

    ``job`` has state (absent, running, exited), note (one line for a person), jobs (id, name, state, reason, restarts,
    nodes), started and ended (seconds since 1970), and once exited: exit_status or None, problem, fix, cancelled.
    """
    # the state first: jobs that ended have written all that the log read afterwards shows
    records = [(about, _record(slurm_commands, about, run_dir)) for about in submitted(run_dir)]
    job = combine([{**about, **record} for about, record in records])
    job["cancelled"] = os.path.exists(os.path.join(run_dir, CANCELLED)) or job["cancelled"]
    text, reached = read_log(run_dir, offset)
    return {"job": job, "text": text, "offset": reached}


def _record(slurm_commands: Slurm, about: Mapping[str, Any], run_dir: str) -> dict[str, Any]:
    """What is known of one job, and ``over``: whether it has ended for good, by the accounting's word."""
    job_id = about["id"]
    controller = slurm_commands.controller_job(job_id)
    if controller is not None and controller.state not in slurm.FINISHED:
        return {**_shown(controller), "over": False}
    if controller is not None and _may_return(controller):
        return {**_shown(controller), "over": False}
    accounted = slurm_commands.accounted_job(job_id)
    # an earlier start may be all that the accounting has heard of yet
    is_stale = bool(accounted and controller and accounted.state in _RETURNS and controller.state != accounted.state)
    if accounted is not None and accounted.state in slurm.FINISHED and not is_stale:
        return {**_shown(accounted), "over": True, **_judged(accounted)}
    if controller is not None:
        if accounted is not None and _age_s(controller) < SETTLING_S:
            return {**_shown(controller), "over": False}
        return {**_shown(controller), "over": True, **_judged(controller)}
    return {"state": "UNKNOWN", "reason": None, "over": True, **_own_word(about, run_dir)}


def _may_return(job: slurm.SlurmJob) -> bool:
    """Slurm may be about to queue the job again."""
    return job.state in _RETURNS and _age_s(job) < _RETURNING_S


def _age_s(job: slurm.SlurmJob) -> float:
    """Seconds since a job ended; those since ever where Slurm does not tell."""
    return time.time() - job.ended if job.ended is not None else float("inf")


def _own_word(about: Mapping[str, Any], run_dir: str) -> dict[str, Any]:
    """Where Slurm has forgotten a job and keeps no accounting: what the job itself wrote last."""
    try:
        with open(os.path.join(run_dir, "attempts", f"{about['step']}.ended"), encoding="utf-8") as file:
            return {"exit_status": int(file.read()), "problem": None, "fix": None}
    except (FileNotFoundError, ValueError):
        problem = f"Slurm knows nothing of job {about['id']} any more, and the job left no word of its end"
        return {"exit_status": None, "problem": problem, "fix": "read log.txt; set up slurmdbd to keep accounts"}


def _shown(job: slurm.SlurmJob) -> dict[str, Any]:
    names = ("state", "reason", "restarts", "nodes", "started", "ended")
    return {name: getattr(job, name) for name in names}


def _judged(job: slurm.SlurmJob) -> dict[str, Any]:
    exit_status, problem, fix = slurm.verdict(job)
    return {"exit_status": exit_status, "problem": problem or None, "fix": fix or None}


def combine(jobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The jobs of a run as one: it runs until all have ended, and ends as the first that failed, else as the last."""
    if not jobs:
        return {"state": "absent", "note": "", "jobs": [], "cancelled": False}
    keys = ("id", "name", "state", "reason", "restarts", "nodes")
    started = [job["started"] for job in jobs if job.get("started")]
    whole: dict[str, Any] = {
        "state": "running",
        "jobs": [{key: job.get(key) for key in keys} for job in jobs],
        "started": min(started) if started else None,
        "cancelled": False,
    }
    open_jobs = [job for job in jobs if not job["over"]]
    failed = next((job for job in jobs if job["over"] and job["exit_status"] != 0), None)
    if open_jobs and failed is None:
        return {**whole, "note": _note(open_jobs[0])}
    if open_jobs:  # those behind a job that failed: Slurm takes them away
        return {**whole, "note": _note(failed or open_jobs[0])}
    decisive = failed or jobs[-1]
    return {
        **whole,
        "state": "exited",
        "note": _note(decisive),
        "exit_status": decisive["exit_status"],
        "problem": decisive["problem"],
        "fix": decisive["fix"],
        "ended": max((job["ended"] for job in jobs if job.get("ended")), default=None),
        "cancelled": decisive["state"] == "CANCELLED",
    }


def _note(job: Mapping[str, Any]) -> str:
    told = f"job {job['id']} {job['state']}"
    if job.get("reason") and job["state"] == "PENDING":
        told += f" ({job['reason']})"
    if job.get("nodes") and job["state"] == "RUNNING":
        told += f" on {job['nodes']}"
    if job.get("restarts"):
        told += f", restart {job['restarts']}"
    return told
