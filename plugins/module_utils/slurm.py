# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What Slurm's commands print, as values: text of every version, and JSON where a version has it. Pure.

The commands, run with ``ENVIRONMENT``::

    scontrol --oneliner show job ID     parse_jobs           scontrol show job ID --json     parse_jobs_json
    scontrol --oneliner show node       parse_nodes          scontrol show node --json       parse_nodes_json
    scontrol --oneliner show partition  parse_partitions     scontrol show partition --json  parse_partitions_json
    sacct --parsable2 --noheader --allocations --format=COLUMNS --jobs=ID                    parse_accounting
    sacct --allocations --jobs=ID --json                                                     parse_accounting_json

Held to what Slurm 22.05.8, 24.11.5 and 26.05.5 printed: tests/recorded/slurm. 22.05 has no ``scontrol --json``; its
``squeue --json`` and ``sinfo --json`` say the same of jobs and nodes.

A line or an entry that does not tell all that a value needs is refused as a whole: ValueError with its beginning. So is
a line that was cut, unless in the free text at its end, or in the partition, the last of COLUMNS. Keys that are not
known are passed over.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

ENVIRONMENT = {"TZ": "UTC0", "SLURM_TIME_FORMAT": "standard"}
"""For every command: Slurm prints times in the caller's zone and form, and does not say which."""

COLUMNS = ("JobIDRaw", "State", "ExitCode", "Reason", "NodeList", "Submit", "Start", "End", "Partition")
"""The fields to ask sacct for. None is free text, which could hold the separator."""

FINISHED = frozenset(
    (
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    )
)
"""States after which this start of a job does nothing more. Slurm may start a NODE_FAIL or PREEMPTED job again:
then the controller has it PENDING under the same id, soon also the accounting.
"""


@dataclass(frozen=True)
class SlurmJob:
    """A job, or one of its starts. Times are seconds since 1970, UTC."""

    id: int
    state: str
    """As Slurm names it, without flags and without who did it: PENDING, RUNNING, COMPLETING, CANCELLED …"""
    exit_code: int | None
    """None until it has ended."""
    exit_signal: int | None
    """The signal that ended it."""
    reason: str | None
    """Why it waits, or why it ended so, in one word."""
    restarts: int | None
    """Starts after the first; None where the source does not tell."""
    nodes: str | None
    """Slurm's list, such as c[1-2]; None before it has any."""
    submitted: int | None
    started: int | None
    ended: int | None
    partition: str
    name: str | None
    """None where the source does not tell."""


@dataclass(frozen=True)
class SlurmNode:
    """A node as the controller sees it."""

    name: str
    cpus: int
    memory_mib: int
    gpus: int
    gpu_model: str | None
    """Type of the first GPUs in Gres: h100 in gpu:h100:8."""
    features: list[str]
    partitions: list[str]
    state: str
    """Without flags: IDLE, MIXED, ALLOCATED, DOWN, UNKNOWN …"""
    flags: list[str]
    """DRAIN, NOT_RESPONDING …, in the order of the alphabet."""
    reason: str | None
    """Why an administrator or Slurm took it out."""


@dataclass(frozen=True)
class SlurmPartition:
    """A partition."""

    name: str
    default: bool | None
    """None where the source does not tell: JSON of 24.11."""
    nodes: int
    max_time_s: int | None
    """None is no limit."""
    state: str
    """UP, DOWN, DRAIN or INACTIVE."""


def parse_jobs(text: str) -> list[SlurmJob]:
    """Jobs of ``scontrol --oneliner show job``."""
    return _each(_records(text, _JOB_BEGINS), "a job of scontrol", _job_of_record)


def parse_nodes(text: str) -> list[SlurmNode]:
    """Nodes of ``scontrol --oneliner show node``."""
    return _each(_records(text, _NODE_BEGINS), "a node of scontrol", _node_of_record)


def parse_partitions(text: str) -> list[SlurmPartition]:
    """Partitions of ``scontrol --oneliner show partition``."""
    return _each(_records(text, _PARTITION_BEGINS), "a partition of scontrol", _partition_of_record)


def parse_accounting(text: str) -> list[SlurmJob]:
    """Jobs of ``sacct --parsable2 --noheader --allocations --format=COLUMNS``; with --duplicates each start is one."""
    return _each(filter(str.strip, text.splitlines()), "a job of sacct", _job_of_row)


def parse_jobs_json(text: str) -> list[SlurmJob]:
    """Jobs of ``scontrol show job --json``, or of ``squeue --json``."""
    return _each_entry(text, "jobs", _job_of_entry)


def parse_nodes_json(text: str) -> list[SlurmNode]:
    """Nodes of ``scontrol show node --json``, or of 22.05's ``sinfo --json``."""
    return _each_entry(text, "nodes", _node_of_entry)


def parse_partitions_json(text: str) -> list[SlurmPartition]:
    """Partitions of ``scontrol show partition --json``."""
    return _each_entry(text, "partitions", _partition_of_entry)


def parse_accounting_json(text: str) -> list[SlurmJob]:
    """Jobs of ``sacct --allocations --json``; the starts of a job in their order.

    22.05 gives every start even without --duplicates, and calls every exit status 0: it is None here where the job
    did not end well. Its text has it right.
    """
    jobs = _each_entry(text, "jobs", _accounted_job_of_entry)
    return sorted(jobs, key=lambda job: (job.id, job.submitted or 0))


def verdict(job: SlurmJob) -> tuple[int | None, str, str]:
    """(exit status of the job's script, what happened, what to do about it) of a job as the accounting tells it.

    The status is None where no status of the script counts: Slurm ended the job, or it has not ended.
    """
    name = f"job {job.id}"
    if job.state == "COMPLETED":
        return 0, "", ""
    if job.state == "FAILED" and job.exit_signal == _NOT_STARTED:
        return None, f"{name} could not be started by Slurm on {job.nodes}", _CAN_WRITE
    if job.state == "FAILED" and job.exit_signal:
        fix = f"{_READ_LOG}; where it says nothing, memory ran out" if job.exit_signal == 9 else _READ_LOG
        return 128 + job.exit_signal, f"{name} was ended by signal {job.exit_signal}", fix
    if job.state == "FAILED" and job.exit_code:
        return job.exit_code, f"{name} ended with exit status {job.exit_code}", _READ_LOG
    if job.state in _ENDS:
        what, fix = _ENDS[job.state]
        on = f" (nodes {job.nodes})" if job.nodes and job.state in _OF_NODES else ""
        return None, f"{name} {what}{on}", fix
    return None, f"{name} has not ended: it is {job.state}", "attach to it until it ends"


_NOT_STARTED = 53
"""The signal that Slurm states for a job whose output file cannot be written (recorded: not-started)."""
_CAN_WRITE = "see that the run folder is on a file system which that node shares, and that you may write there"
_READ_LOG = "read the end of log.txt"
_AGAIN = "run it again with the same run_id: it goes on from its last checkpoint"
_OF_NODES = ("NODE_FAIL", "BOOT_FAIL")
_ENDS = {
    "FAILED": ("failed, with a status that Slurm does not tell", _READ_LOG),
    "CANCELLED": ("was cancelled", _AGAIN),
    "TIMEOUT": ("reached its time limit", f"-e launcher_params='time=…' with a longer one; {_AGAIN}"),
    "OUT_OF_MEMORY": (
        "took more memory than it had been given",
        "ask for more memory, or lower what a step holds, such as the rows of a batch",
    ),
    "NODE_FAIL": ("lost a node", f"{_AGAIN}; if it happens again, leave the node out: -e launcher_params='exclude=…'"),
    "BOOT_FAIL": ("had a node that did not boot", "ask the cluster's administrator about the node, and run it again"),
    "PREEMPTED": ("was ended in favour of a job that comes first", _AGAIN),
    "DEADLINE": ("could not end before its deadline", "submit it with a later deadline, or without one"),
    "REVOKED": ("was started by another cluster of the federation", "look at the job there"),
}
"""What Slurm did to a job, and what to do about it (job state codes of sacct(1))."""

_T = TypeVar("_T")
_SHOWN = 60
"""Characters of a refused line that the error repeats."""


_JOB_BEGINS = re.compile(r"JobId=\d+ (?:(?:Array|Het)Job\w+=\S* |ArrayTask\w+=\S* )*JobName=")
_NODE_BEGINS = re.compile(r"NodeName=\S+ (?:Arch|CoresPerSocket)=")
_PARTITION_BEGINS = re.compile(r"PartitionName=\S+ AllowGroups=")


def _records(text: str, begins: re.Pattern[str]) -> list[str]:
    """Each ``--oneliner`` and what follows it: a comment or a submitted line that has line feeds is printed with them.

    What comes before the first is a record too, for its reader to refuse.
    """
    records: list[str] = []
    for line in text.split("\n"):
        if begins.match(line) or not records:
            records.append(line)
        else:
            records[-1] += f"\n{line}"
    return [record for record in records if not _NOTHING.fullmatch(record.strip())]


_NOTHING = re.compile(r"(No (jobs|nodes|partitions) in the system)?")


def _each(records: Iterable[str], what: str, read: Callable[[str], _T]) -> list[_T]:
    values = []
    for record in records:
        try:
            values.append(read(record))
        except (LookupError, ValueError) as error:
            raise ValueError(f"not {what}: {record[:_SHOWN]!r} ({error})") from error
    return values


def _each_entry(text: str, key: str, read: Callable[[Any], _T]) -> list[_T]:
    try:
        entries = json.loads(text)[key]
        if not isinstance(entries, list):
            raise TypeError("not a list")
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"no JSON of Slurm with {key}: {text[:_SHOWN]!r} ({error})") from error
    values = []
    for entry in entries:
        try:
            values.append(read(entry))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"not one of Slurm's {key}: {json.dumps(entry)[:_SHOWN]!r} ({error})") from error
    return values


_KEY = re.compile(r"(?:^|\s)([A-Z][\w:/]*)=")
# a name is free text; what stands between it and the state is not
_JOB = re.compile(
    r"JobId=(\d+) (?:\w+=\S* )*?JobName=(.*?) (UserId=\S+ GroupId=\S+ MCS_label=\S+ Priority=.*)", re.DOTALL
)


def _fields(record: str) -> dict[str, str]:
    """Key and value of each ``Key=value``. The first counts: free text, which may look like one, comes last."""
    keys = list(_KEY.finditer(record))
    ends = [key.start() for key in keys[1:]] + [len(record)]
    fields: dict[str, str] = {}
    for key, end in zip(keys, ends):
        fields.setdefault(key[1], record[key.end() : end].strip())
    return fields


def _job_of_record(record: str) -> SlurmJob:
    found = _JOB.fullmatch(record.strip())
    if not found:
        raise ValueError("no JobId, JobName, UserId")
    fields = _fields(found[3])
    fields["NumNodes"]  # stands after all that is read here: the line is whole up to there
    code, signal = _exit(fields["ExitCode"])
    return _controlled_job(
        id=int(found[1]),
        name=found[2],
        state=_word(fields["JobState"]),
        code=code,
        signal=signal,
        reason=_told(fields["Reason"]),
        restarts=int(fields["Restarts"]),
        nodes=_told(fields["NodeList"]),
        submitted=_moment(fields["SubmitTime"]),
        started=_moment(fields["StartTime"]),
        ended=_moment(fields["EndTime"]),
        partition=fields["Partition"],
    )


def _job_of_entry(entry: Mapping[str, Any]) -> SlurmJob:
    code, signal = _exit_of_entry(entry["exit_code"])
    # what the text has as Reason: the description, where there is one, in one word
    reason = re.sub(r"\s", "_", entry["state_description"] or entry["state_reason"])
    return _controlled_job(
        id=_whole(entry["job_id"]),
        name=entry["name"],
        state=_shown_state(entry["job_state"]),
        code=code,
        signal=signal,
        reason=_told(reason),
        restarts=_whole(entry["restart_cnt"]),
        nodes=_told(entry["nodes"]),
        submitted=_instant(entry["submit_time"]),
        started=_instant(entry["start_time"]),
        ended=_instant(entry["end_time"]),
        partition=entry["partition"],
    )


def _controlled_job(
    state: str, code: int, signal: int, started: int | None, ended: int | None, **told: Any
) -> SlurmJob:
    """A job as the controller has it: it also fills in the times at which it plans to start and end a job."""
    over = state in FINISHED
    return SlurmJob(
        state=state,
        exit_code=code if over else None,
        exit_signal=signal or None if over else None,
        started=None if state in _WAITING else started,
        ended=ended if over else None,
        **told,
    )


def _job_of_row(line: str) -> SlurmJob:
    values = line.split("|")
    if len(values) != len(COLUMNS):
        raise ValueError(f"{len(values)} fields, not {len(COLUMNS)}")
    row = dict(zip(COLUMNS, values))
    ended = _moment(row["End"])
    code, signal = _exit(row["ExitCode"])
    return SlurmJob(
        id=int(row["JobIDRaw"]),
        state=_word(row["State"].split(" ")[0]),
        exit_code=code if ended else None,
        exit_signal=signal or None if ended else None,
        reason=_told(row["Reason"]),
        restarts=None,
        nodes=_told(row["NodeList"]),
        submitted=_moment(row["Submit"]),
        started=_moment(row["Start"]),
        ended=ended,
        partition=row["Partition"],
        name=None,
    )


def _accounted_job_of_entry(entry: Mapping[str, Any]) -> SlurmJob:
    times, state = entry["time"], _shown_state(entry["state"]["current"])
    ended = _instant(times["end"])
    code, signal = _exit_of_entry(entry["exit_code"])
    known = ended and (state == "COMPLETED" or signal or isinstance(entry["exit_code"]["return_code"], dict))
    restarts = entry.get("restart_cnt")
    return SlurmJob(
        id=_whole(entry["job_id"]),
        state=state,
        exit_code=code if known else None,
        exit_signal=signal or None if ended else None,
        reason=_told(entry["state"]["reason"]),
        restarts=None if restarts is None else _whole(restarts),
        nodes=_told(entry["nodes"] or ""),
        submitted=_instant(times["submission"]),
        started=_instant(times["start"]),
        ended=ended,
        partition=entry["partition"],
        name=entry["name"],
    )


_REASON = re.compile(r" Reason=(.*?)(?: \[[^\s@]+@[^\s@]+\]|$)", re.DOTALL)
"""Free text, with who gave it and when."""


def _node_of_record(record: str) -> SlurmNode:
    fields = _fields(record.strip())
    fields["BootTime"]  # stands after all that is read here but the reason, which only some have
    base, *flags = fields["State"].split("+")
    reason = _REASON.search(record.rstrip())
    return _node(
        name=fields["NodeName"],
        cpus=int(fields["CPUTot"]),
        memory_mib=int(fields["RealMemory"]),
        gres=fields["Gres"],
        features=_listed(fields["AvailableFeatures"]),
        partitions=_listed(fields.get("Partitions", "")),
        state=_word(base.rstrip("*")),
        flags=[*flags, *(["NOT_RESPONDING"] if base.endswith("*") else [])],
        reason=_told(reason[1]) if reason else None,
    )


def _node_of_entry(entry: Mapping[str, Any]) -> SlurmNode:
    state, flags = entry["state"], entry.get("state_flags", [])
    if not isinstance(state, str):
        state, *flags = state
    features = entry["features"]
    return _node(
        name=entry["name"],
        cpus=_whole(entry["cpus"]),
        memory_mib=_whole(entry["real_memory"]),
        gres=entry["gres"],
        features=_listed(features) if isinstance(features, str) else list(features),
        partitions=list(entry["partitions"]),
        state=_word(state.upper()),
        flags=list(flags),
        reason=_told(entry["reason"]),
    )


def _node(gres: str, flags: Iterable[str], **told: Any) -> SlurmNode:
    count, model = _gpus(gres)
    return SlurmNode(gpus=count, gpu_model=model, flags=sorted(flags), **told)


def _gpus(gres: str) -> tuple[int, str | None]:
    """Count and first type of the GPUs in Gres, such as ``gpu:h100:8(S:0-1),nic:2``."""
    count, model = 0, None
    for words in re.findall(r"(?:^|,)gpu((?::[^:,(]+)*)(?=[,(]|$)", gres):
        parts = words.split(":")[1:]
        count += int(parts.pop()) if parts and parts[-1].isdigit() else 1
        model = model or (parts[0] if parts else None)
    return count, model


def _partition_of_record(record: str) -> SlurmPartition:
    fields = _fields(record.strip())
    fields["JobDefaults"]  # stands after all that is read here
    return SlurmPartition(
        name=fields["PartitionName"],
        default=fields["Default"] == "YES",
        nodes=int(fields["TotalNodes"]),
        max_time_s=_seconds(fields["MaxTime"]),
        state=_word(fields["State"]),
    )


def _partition_of_entry(entry: Mapping[str, Any]) -> SlurmPartition:
    limit = _number(entry["maximums"]["time"])
    return SlurmPartition(
        name=entry["name"],
        default="DEFAULT" in entry["flags"] if "flags" in entry else None,
        nodes=_whole(entry["nodes"]["total"]),
        max_time_s=None if limit is None else limit * 60,
        state=_shown_state(entry["partition"]["state"]),
    )


_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")
_SHOWN_FLAGS = (
    "COMPLETING",
    "STAGE_OUT",
    "CONFIGURING",
    "RESIZING",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "SPECIAL_EXIT",
    "STOPPED",
    "REVOKED",
    "RESV_DEL_HOLD",
    "SIGNALING",
)
"""What text shows instead of the state: the first that applies (job_state_string in Slurm's slurm_protocol_defs.c)."""


def _shown_state(state: Any) -> str:
    """One word for a state that JSON has as a word (22.05), or as a list of the state and its flags."""
    states = [state] if isinstance(state, str) else list(state)
    return _word(next((flag for flag in _SHOWN_FLAGS if flag in states), states[0]))


def _word(state: str) -> str:
    if not re.fullmatch(r"[A-Z_]+", state):
        raise ValueError(f"{state!r} is no state")
    return state


def _told(value: str) -> str | None:
    """None for what Slurm writes where there is nothing."""
    return None if value in ("", "(null)", "None", "None assigned", "N/A") else value


def _listed(value: str) -> list[str]:
    return value.split(",") if _told(value) else []


def _exit(value: str) -> tuple[int, int]:
    """Exit code and signal of ``3:0``."""
    code, signal = value.split(":")
    return int(code), int(signal)


def _exit_of_entry(value: Any) -> tuple[int, int]:
    """Exit code and signal: a wait status in what 22.05's controller tells, keys in all else."""
    if isinstance(value, int):
        return (0, value & 0x7F) if value & 0x7F else (value >> 8, 0)
    signal = value.get("signal") or {}
    return _number(value["return_code"]) or 0, _number(signal.get("id", signal.get("signal_id"))) or 0


def _moment(value: str) -> int | None:
    """Seconds since 1970 of a time in UTC."""
    if value in ("Unknown", "None", "N/A"):
        return None
    return calendar.timegm(time.strptime(value, "%Y-%m-%dT%H:%M:%S"))


def _seconds(limit: str) -> int | None:
    """Seconds of a time limit such as 1-02:00:00 or 30:00; None where there is no limit."""
    if limit in ("UNLIMITED", "NONE"):
        return None
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if not found:
        raise ValueError(f"{limit!r} is no time limit")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _instant(value: Any) -> int | None:
    """Seconds since 1970; 0 and the two largest words of 32 bits, which Slurm calls infinite and no value, are none."""
    number = _number(value)
    return number if number and number < 0xFFFFFFFE else None


def _number(value: Any) -> int | None:
    """A number, which newer versions write with whether it is set, and whether it is infinite."""
    if isinstance(value, dict):
        return _whole(value["number"]) if value["set"] else None
    return None if value is None else _whole(value)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no number")
    return value
