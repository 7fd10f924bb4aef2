# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What Slurm printed in three versions, read: tests/recorded/slurm, written by ``make record-slurm``."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, slurm
from ansible_collections.awsome.distributed_training.plugins.module_utils.slurm import SlurmJob, SlurmNode, verdict

RECORDED = Path(controller.ROOT) / "tests/recorded/slurm"
VERSIONS = ("22.05", "24.11", "26.05")
WITH_JSON = VERSIONS[1:]
"""Of scontrol; 22.05 has it in squeue and sinfo."""

every_version = pytest.mark.parametrize("version", VERSIONS)

ENDS = ("completed", "failed", "signalled", "not-started", "over-memory", "preempted", "node-fail", "timeout")
MOMENTS = {
    # state, exit code, signal, reason (… where versions differ), restarts, nodes
    "running": ("RUNNING", None, None, None, 0, "c[1-2]"),
    "pending-resources": ("PENDING", None, None, "Resources", 0, None),
    "pending-dependency": ("PENDING", None, None, "Dependency", 0, None),
    "pending-begin": ("PENDING", None, None, "BeginTime", 0, None),
    "pending-held": ("PENDING", None, None, "JobHeldUser", 0, None),
    "pending-unavailable": ("PENDING", None, None, "ReqNodeNotAvail,_UnavailableNodes:c5", 0, None),
    "pending-never": ("PENDING", None, None, "DependencyNeverSatisfied", 0, None),
    "pending-too-long": ("PENDING", None, None, ..., 0, None),
    "cancelled": ("CANCELLED", 0, 15, None, 0, "c[1-2]"),
    "cancelled-while-held": ("CANCELLED", 0, None, "JobHeldUser", 0, None),
    "cancelled-by-root": ("CANCELLED", 0, None, "BeginTime", 0, None),
    "completed": ("COMPLETED", 0, None, None, 0, "c1"),
    "failed": ("FAILED", 3, None, "NonZeroExitCode", 0, "c1"),
    "signalled": ("FAILED", 0, 9, ..., 0, "c1"),
    "not-started": ("FAILED", 0, 53, ..., 0, "c1"),
    "over-memory": ("FAILED", 0, 9, ..., 0, "c1"),
    "completing": ("COMPLETING", None, None, None, 0, "c1"),
    "requeued-by-user": ("PENDING", None, None, "BeginTime", 1, None),
    "preempted": ("PREEMPTED", 0, 15, None, 0, "c2"),
    "preempted-requeued": ("PENDING", None, None, ..., 1, None),
    "node-fail": ("NODE_FAIL", 0, ..., "NodeDown", 0, "c2"),
    "node-fail-requeued": ("PENDING", None, None, ..., 1, None),
    "timeout": ("TIMEOUT", 0, 15, "TimeLimit", 0, "c1"),
    "completed-after-requeue": ("COMPLETED", 0, None, None, 1, "c1"),
    "completed-after-preemption": ("COMPLETED", 0, None, None, 1, "c2"),
    "completed-after-node-fail": ("COMPLETED", 0, None, None, 1, "c2"),
}


def recorded(version: str, name: str) -> str:
    return (RECORDED / version / name).read_text()


def index(version: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(recorded(version, "recorded.json"))
    return told


def at(version: str, moment: str) -> SlurmJob:
    (job,) = slurm.parse_jobs(recorded(version, f"{moment}.job.txt"))
    return job


def in_order(jobs: list[SlurmJob]) -> list[SlurmJob]:
    return sorted(jobs, key=lambda job: (job.id, job.submitted or 0))


def what_both_tell(job: SlurmJob) -> SlurmJob:
    """sacct's text tells no name and no restarts."""
    return dataclasses.replace(job, name=None, restarts=None)


# -- what is recorded --------------------------------------------------------------------------------------------------


def test_three_versions_are_recorded() -> None:
    assert sorted(folder.name for folder in RECORDED.iterdir()) == list(VERSIONS)


@every_version
def test_a_recording_says_where_each_of_its_files_is_from(version: str) -> None:
    told = index(version)
    assert told["slurm"].startswith(f"{version}.")
    assert all(package.startswith(told["slurm"]) for package in told["packages"].values())
    assert told["environment"] == slurm.ENVIRONMENT
    files = {path.name for path in (RECORDED / version).iterdir()} - {"recorded.json"}
    assert files == set(told["outputs"])
    assert set(told["jobs"]) == set(MOMENTS)


@every_version
def test_every_version_knows_the_columns(version: str) -> None:
    outputs = index(version)["outputs"]
    for name in ("waiting.accounting.txt", "over.accounting.txt", "over.starts.txt"):
        assert f"--format={','.join(slurm.COLUMNS)} " in outputs[name]["command"]
        assert (outputs[name]["exit_status"], outputs[name]["stderr"]) == (0, "")


# -- jobs of the controller --------------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_job_is_read_at_every_moment_of_its_life(version: str, moment: str) -> None:
    job = at(version, moment)
    read = (job.state, job.exit_code, job.exit_signal, job.reason, job.restarts, job.nodes)
    expected = tuple(got if value is ... else value for value, got in zip(MOMENTS[moment], read))
    assert read == expected
    assert job.id == index(version)["jobs"][moment]
    assert job.partition == {"pending-unavailable": "big", "pending-too-long": "urgent"}.get(moment, "main")


@pytest.mark.parametrize("version", WITH_JSON)
@pytest.mark.parametrize("moment", MOMENTS)
def test_text_and_json_of_a_job_say_the_same(version: str, moment: str) -> None:
    assert slurm.parse_jobs_json(recorded(version, f"{moment}.job.json")) == [at(version, moment)]


@every_version
@pytest.mark.parametrize("moment", ["waiting", "node-lost", "over"])
def test_text_and_squeues_json_say_the_same_of_all_jobs(version: str, moment: str) -> None:
    jobs = slurm.parse_jobs(recorded(version, f"{moment}.jobs.txt"))
    assert len(jobs) >= 6
    assert in_order(slurm.parse_jobs_json(recorded(version, f"{moment}.jobs.json"))) == in_order(jobs)


@every_version
def test_a_time_that_slurm_only_plans_is_none(version: str) -> None:
    waiting, running, completing = (at(version, m) for m in ("pending-begin", "running", "completing"))
    assert (waiting.started, waiting.ended) == (None, None)
    assert running.submitted is not None
    assert running.started is not None
    assert running.ended is None
    assert completing.ended is None
    for moment in ENDS:
        job = at(version, moment)
        assert job.submitted is not None
        assert job.started is not None
        assert job.ended is not None
        assert job.submitted <= job.started <= job.ended


@every_version
def test_a_job_that_goes_on_has_no_exit_status(version: str) -> None:
    controlled = recorded(version, "running.job.txt").replace("ExitCode=0:0", "ExitCode=1:9")
    accounted = recorded(version, "waiting.accounting.txt").replace("|0:0|", "|1:9|")
    for job in (*slurm.parse_jobs(controlled), *slurm.parse_accounting(accounted)):
        assert (job.exit_code, job.exit_signal) == (None, None)


@every_version
def test_times_are_utc(version: str) -> None:
    text = recorded(version, "completed.job.txt")
    shown = re.sub(r"SubmitTime=\S+", "SubmitTime=1970-01-02T00:00:10", text)
    assert slurm.parse_jobs(shown)[0].submitted == 86410


@every_version
def test_free_text_of_a_job_is_not_taken_for_its_state(version: str) -> None:
    text = recorded(version, "running.job.txt")
    assert "JobName=fsdp step=1 JobState=COMPLETED UserId=" in text
    assert "Comment=one Restarts=7\nJobId=9 two" in text
    job = at(version, "running")
    assert (job.name, job.state, job.restarts) == ("fsdp step=1 JobState=COMPLETED", "RUNNING", 0)


@every_version
def test_a_job_of_an_array_is_read(version: str) -> None:
    text = recorded(version, "completed.job.txt").replace(" JobName=", " ArrayJobId=4 ArrayTaskId=1-3%2 JobName=")
    assert slurm.parse_jobs(text) == [at(version, "completed")]


@pytest.mark.parametrize("version", WITH_JSON)
@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["PENDING"], "PENDING"),
        (["COMPLETED", "COMPLETING"], "COMPLETING"),
        (["RUNNING", "CONFIGURING"], "CONFIGURING"),
        (["PENDING", "REQUEUED"], "REQUEUED"),
        (["RUNNING", "SIGNALING", "COMPLETING"], "COMPLETING"),
        (["RUNNING", "SOME_NEW_FLAG"], "RUNNING"),
    ],
)
def test_a_flag_in_json_is_shown_as_text_shows_it(version: str, states: list[str], state: str) -> None:
    told = json.loads(recorded(version, "running.job.json"))
    told["jobs"][0]["job_state"] = states
    assert slurm.parse_jobs_json(json.dumps(told))[0].state == state


# -- the accounting ----------------------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("moment", ENDS)
def test_the_accounting_agrees_with_the_controller_on_an_end(version: str, moment: str) -> None:
    job = at(version, moment)
    accounted = {job.id: job for job in slurm.parse_accounting(recorded(version, "over.accounting.txt"))}[job.id]
    assert (accounted.state, accounted.nodes, accounted.submitted) == (job.state, job.nodes, job.submitted)
    assert (accounted.started, accounted.ended) == (job.started, job.ended)
    if job.state == "FAILED":  # of a job that Slurm ended, only the controller tells the signal
        assert (accounted.exit_code, accounted.exit_signal) == (job.exit_code, job.exit_signal)


@every_version
@pytest.mark.parametrize("moment", ["cancelled", "cancelled-while-held", "cancelled-by-root"])
def test_the_accounting_names_who_cancelled_beside_the_state(version: str, moment: str) -> None:
    text, job = recorded(version, "over.accounting.txt"), at(version, moment)
    uid = 0 if moment == "cancelled-by-root" else 1000
    assert f"\n{job.id}|CANCELLED by {uid}|" in text
    accounted = {job.id: job for job in slurm.parse_accounting(text)}[job.id]
    assert accounted.state == "CANCELLED"
    assert (accounted.started is None) == (moment != "cancelled")


@every_version
@pytest.mark.parametrize("moment", ["waiting.accounting", "node-lost.accounting", "over.accounting", "over.starts"])
def test_text_and_json_of_the_accounting_say_the_same(version: str, moment: str) -> None:
    text = in_order(slurm.parse_accounting(recorded(version, f"{moment}.txt")))
    told = slurm.parse_accounting_json(recorded(version, f"{moment}.json"))
    assert told == in_order(told)
    if version == "22.05":
        # its JSON has every start, whether asked for or not, and no exit status of a job that did not end well
        last = {(job.id, job.submitted) for job in text}
        told = [job for job in told if (job.id, job.submitted) in last]
        text = [
            job if job.state == "COMPLETED" or job.exit_signal else dataclasses.replace(job, exit_code=None)
            for job in text
        ]
    assert [what_both_tell(job) for job in told] == text


@pytest.mark.parametrize("version", WITH_JSON)
def test_json_of_the_accounting_tells_names_and_restarts_too(version: str) -> None:
    jobs = {job.id: job for job in slurm.parse_accounting_json(recorded(version, "over.accounting.json"))}
    again = at(version, "completed-after-preemption")
    assert jobs[again.id].restarts == 1
    assert jobs[at(version, "running").id].name == "fsdp step=1 JobState=COMPLETED"


@every_version
@pytest.mark.parametrize(
    ("moment", "states"),
    [
        ("completed", ["COMPLETED"]),
        ("completed-after-requeue", ["REQUEUED", "COMPLETED"]),
        ("completed-after-preemption", ["PREEMPTED", "COMPLETED"]),
        ("completed-after-node-fail", ["NODE_FAIL", "COMPLETED"]),
    ],
)
def test_every_start_of_a_job_is_in_the_accounting(version: str, moment: str, states: list[str]) -> None:
    job = index(version)["jobs"][moment]
    starts = slurm.parse_accounting(recorded(version, "over.starts.txt"))
    assert [start.state for start in starts if start.id == job] == states
    last = slurm.parse_accounting(recorded(version, "over.accounting.txt"))
    assert [start.state for start in last if start.id == job] == states[-1:]


def test_the_accounting_may_call_a_job_finished_that_the_controller_will_start_again() -> None:
    waits = at("22.05", "node-fail-requeued")
    accounted = {job.id: job for job in slurm.parse_accounting(recorded("22.05", "node-lost.accounting.txt"))}[waits.id]
    assert (waits.state, accounted.state) == ("PENDING", "NODE_FAIL")


@every_version
def test_a_step_is_no_job(version: str) -> None:
    with pytest.raises(ValueError, match=r"not a job of sacct: '1\.batch\|COMPLETED"):
        slurm.parse_accounting(recorded(version, "over.steps.txt"))


# -- nodes and partitions ----------------------------------------------------------------------------------------------

P5 = {"cpus": 2, "memory_mib": 2000, "gpus": 2, "gpu_model": None, "features": ["p5", "efa"]}
IN_MAIN = ["main", "urgent", "big"]
BROKEN = "fan 3 broken, see State=IDLE of ticket 12"
NODES = [
    SlurmNode("c1", **P5, partitions=IN_MAIN, state="ALLOCATED", flags=[], reason=None),  # type: ignore[arg-type]
    SlurmNode("c2", **P5, partitions=IN_MAIN, state="ALLOCATED", flags=[], reason=None),  # type: ignore[arg-type]
    SlurmNode("c3", 2, 4000, 8, "h100", [], ["big"], "IDLE", [], None),
    SlurmNode("c4", 2, 1000, 0, None, ["cpu"], ["big", "closed"], "IDLE", ["DRAIN"], BROKEN),
    SlurmNode("c5", 2, 1000, 0, None, ["cpu"], ["big"], "DOWN", [], "not built yet"),
]


def without_silence(nodes: list[SlurmNode]) -> list[SlurmNode]:
    """c5 never answers; when Slurm notices is its own business."""
    return [dataclasses.replace(node, flags=[f for f in node.flags if f != "NOT_RESPONDING"]) for node in nodes]


@every_version
def test_nodes_are_read(version: str) -> None:
    assert without_silence(slurm.parse_nodes(recorded(version, "busy.nodes.txt"))) == NODES
    assert "Comment=rack 4 [left] State=UP Reason=none" in recorded(version, "busy.nodes.txt")


@every_version
@pytest.mark.parametrize("moment", ["busy", "node-lost"])
def test_text_and_json_of_nodes_say_the_same(version: str, moment: str) -> None:
    nodes = slurm.parse_nodes(recorded(version, f"{moment}.nodes.txt"))
    assert slurm.parse_nodes_json(recorded(version, f"{moment}.nodes.json")) == nodes


@every_version
def test_a_node_that_is_lost_is_down_and_silent(version: str) -> None:
    node = slurm.parse_nodes(recorded(version, "node-lost.nodes.txt"))[1]
    assert (node.name, node.state, node.reason) == ("c2", "DOWN", "Not responding")
    assert "NOT_RESPONDING" in node.flags


@every_version
def test_a_star_says_that_a_node_is_silent(version: str) -> None:
    text = recorded(version, "node-lost.nodes.txt").replace("State=DOWN+NOT_RESPONDING", "State=DOWN*+DRAIN")
    assert slurm.parse_nodes(text)[1].flags == ["DRAIN", "NOT_RESPONDING"]


@pytest.mark.parametrize(
    ("gres", "gpus", "model"),
    [
        ("(null)", 0, None),
        ("", 0, None),
        ("N/A", 0, None),
        ("gpu", 1, None),
        ("gpu:2", 2, None),
        ("gpu:h100:8(S:0-1)", 8, "h100"),
        ("gpu:a100:4(S:0,2),nic:2", 4, "a100"),
        ("nic:2,gpu:8", 8, None),
        ("gpu:h100", 1, "h100"),
        ("gpu:1g.10gb:7,gpu:h100:1", 8, "1g.10gb"),
        ("nogpu:4,gpus:4", 0, None),
        ("shard:gpu:4", 0, None),
    ],
)
def test_gpus_are_counted_in_gres(gres: str, gpus: int, model: str | None) -> None:
    text = recorded("24.11", "busy.nodes.txt").replace("Gres=gpu:2 ", f"Gres={gres} ")
    node = slurm.parse_nodes(text)[0]
    assert (node.gpus, node.gpu_model) == (gpus, model)


@every_version
def test_partitions_are_read(version: str) -> None:
    partitions = slurm.parse_partitions(recorded(version, "busy.partitions.txt"))
    assert [dataclasses.astuple(partition) for partition in partitions] == [
        ("main", True, 2, 26 * 3600, "UP"),
        ("urgent", False, 2, 90 * 60, "UP"),
        ("big", False, 5, None, "UP"),
        ("closed", False, 1, 3600, "DOWN"),
    ]


@pytest.mark.parametrize("version", WITH_JSON)
def test_text_and_json_of_partitions_say_the_same(version: str) -> None:
    partitions = slurm.parse_partitions(recorded(version, "busy.partitions.txt"))
    if version == "24.11":  # its JSON does not tell which is the default
        partitions = [dataclasses.replace(partition, default=None) for partition in partitions]
    assert slurm.parse_partitions_json(recorded(version, "busy.partitions.json")) == partitions


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [("00:30", 30), ("05:00", 300), ("1:00:00", 3600), ("2-00:00:01", 172801), ("UNLIMITED", None)],
)
def test_a_time_limit_is_read(limit: str, seconds: int | None) -> None:
    text = recorded("24.11", "busy.partitions.txt").replace("MaxTime=1-02:00:00", f"MaxTime={limit}")
    assert slurm.parse_partitions(text)[0].max_time_s == seconds


# -- bad input ---------------------------------------------------------------------------------------------------------

TEXTS: dict[str, Callable[[str], list[Any]]] = {
    "running.job.txt": slurm.parse_jobs,
    "timeout.job.txt": slurm.parse_jobs,
    "busy.nodes.txt": slurm.parse_nodes,
    "busy.partitions.txt": slurm.parse_partitions,
    "over.accounting.txt": slurm.parse_accounting,
}
JSONS: dict[str, Callable[[str], list[Any]]] = {
    "over.jobs.json": slurm.parse_jobs_json,
    "busy.nodes.json": slurm.parse_nodes_json,
    "over.accounting.json": slurm.parse_accounting_json,
}


def complaint_or_values(parse: Callable[[str], list[Any]], text: str, values: list[Any] | None = None) -> str:
    """What the ValueError says; empty where there is none, and then the values must be those that are expected."""
    try:
        read = parse(text)
    except ValueError as error:
        return str(error)
    assert values is None or read == values
    return ""


@pytest.mark.parametrize("parse", TEXTS.values())
def test_nothing_printed_is_nothing_found(parse: Callable[[str], list[Any]]) -> None:
    assert parse("") == parse("\n") == []


def test_a_cluster_without_jobs_has_none() -> None:
    assert slurm.parse_jobs("No jobs in the system\n") == []


@every_version
@pytest.mark.parametrize("name", ["running.job.txt", "timeout.job.txt", "busy.nodes.txt", "busy.partitions.txt"])
def test_a_cut_line_is_refused_with_its_beginning_or_tells_the_same(version: str, name: str) -> None:
    text, parse = recorded(version, name), TEXTS[name]
    line = text.split("\n")[0].replace("TotalNodes=2 ", "TotalNodes=12 ")
    (whole,) = parse(line)
    complaints = [complaint_or_values(parse, line[:end], [whole]) for end in range(len("JobId="), len(line))]
    refused = [complaint for complaint in complaints if complaint]
    assert len(refused) > len(line) // 4
    for complaint in refused:
        assert re.match(r"not a (job|node|partition) of scontrol: ['\"](JobId=|NodeNa|Partit)", complaint)


@every_version
def test_a_cut_row_of_the_accounting_is_refused_with_its_beginning(version: str) -> None:
    row = recorded(version, "over.accounting.txt").splitlines()[0]
    last = row.rindex("|") + 1
    for end in range(1, last):
        with pytest.raises(ValueError, match=re.escape(f"not a job of sacct: '{row[: min(end, 20)]}")):
            slurm.parse_accounting(row[:end])


@every_version
@pytest.mark.parametrize("name", JSONS)
def test_json_that_is_cut_or_something_else_is_refused(version: str, name: str) -> None:
    text, parse = recorded(version, name), JSONS[name]
    for bad in (text[: len(text) // 2], "", "[]", "3", "null", "{}", '{"jobs": 3, "nodes": null}', "slurm_load error"):
        with pytest.raises(ValueError, match=r"no JSON of Slurm with (jobs|nodes): "):
            parse(bad)


@every_version
@pytest.mark.parametrize("name", [*TEXTS, *JSONS])
def test_a_mangled_output_gives_a_value_error_and_no_other(version: str, name: str) -> None:
    text, parse = recorded(version, name)[:20000], {**TEXTS, **JSONS}[name]
    if name in JSONS:
        told = json.loads(recorded(version, name))
        key = "nodes" if "nodes" in name else "jobs"
        told[key] = told[key][:2]
        text = json.dumps(told)
    draw = random.Random(f"{version} {name}")
    complaints = []
    for _ in range(150):
        mangled = list(text)
        for _ in range(draw.randint(1, 20)):
            mangled[draw.randrange(len(mangled))] = draw.choice("0129:=|-+,\"'{}[] \nAaZ\0é")
        complaints.append(complaint_or_values(parse, "".join(mangled)))
    assert any(complaints)
    assert all(complaint.startswith(("not ", "no JSON of Slurm")) for complaint in complaints if complaint)


@every_version
@pytest.mark.parametrize("name", JSONS)
def test_a_value_of_another_kind_is_refused_and_a_missing_key_too(version: str, name: str) -> None:
    told = json.loads(recorded(version, name))
    key = "nodes" if "nodes" in name else "jobs"
    entry = told[key][0]
    own = {"over.jobs.json": "job_id", "busy.nodes.json": "real_memory", "over.accounting.json": "job_id"}[name]
    bads: tuple[Any, ...] = ("eight", None, True, [], {})
    for bad in bads:
        with pytest.raises(ValueError, match=f"not one of Slurm's {key}: "):
            JSONS[name](json.dumps({key: [{**entry, own: bad}]}))
    with pytest.raises(ValueError, match=own):
        JSONS[name](json.dumps({key: [{k: value for k, value in entry.items() if k != own}]}))


@every_version
def test_keys_of_a_later_version_are_passed_over(version: str) -> None:
    text = recorded(version, "completed.job.txt")
    later = text.replace(" Restarts=", " NewThing=x Restarts=").replace(" WorkDir=", " NewWord=a b WorkDir=")
    assert slurm.parse_jobs(later) == [at(version, "completed")]
    told = json.loads(recorded(version, "over.jobs.json"))
    jobs = slurm.parse_jobs_json(json.dumps(told))
    for entry in told["jobs"]:
        entry["new_thing"] = {"set": True}
    assert slurm.parse_jobs_json(json.dumps(told)) == jobs


# -- the verdict -------------------------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize(
    ("moment", "status", "problem", "fix"),
    [
        ("completed", 0, "", ""),
        ("completed-after-node-fail", 0, "", ""),
        ("failed", 3, "ended with exit status 3", "log.txt"),
        ("signalled", 137, "was ended by signal 9", "log.txt"),
        ("over-memory", 137, "was ended by signal 9", "memory ran out"),
        ("not-started", None, "could not be started by Slurm on c1", "you may write there"),
        ("cancelled", None, "was cancelled", "same run_id"),
        ("timeout", None, "reached its time limit", "-e launcher_params='time=…'"),
        ("node-fail", None, "lost a node (nodes c2)", "same run_id"),
        ("preempted", None, "was ended in favour of a job that comes first", "same run_id"),
    ],
)
def test_the_verdict_is_what_the_accounting_says(
    version: str, moment: str, status: int | None, problem: str, fix: str
) -> None:
    number = index(version)["jobs"][moment]
    jobs = {job.id: job for job in slurm.parse_accounting(recorded(version, "over.accounting.txt"))}
    told = verdict(jobs[number])
    assert told[0] == status
    assert told[1] == (f"job {number} {problem}" if problem else "")
    assert fix in told[2]


def job(state: str, exit_code: int | None = 0, exit_signal: int | None = None) -> SlurmJob:
    return dataclasses.replace(at("24.11", "completed"), state=state, exit_code=exit_code, exit_signal=exit_signal)


@pytest.mark.parametrize("state", sorted(slurm.FINISHED - {"COMPLETED", "FAILED"}))
def test_what_slurm_did_to_a_job_is_told_with_what_to_do(state: str) -> None:
    status, problem, fix = verdict(job(state))
    assert status is None
    assert problem
    assert fix
    assert "\n" not in problem + fix


def test_a_job_out_of_memory_is_told_to_take_more_or_to_hold_less() -> None:
    _, problem, fix = verdict(job("OUT_OF_MEMORY"))
    assert "memory" in problem
    assert "more memory" in fix
    assert "rows" in fix


def test_a_failure_whose_status_is_not_told_is_no_success() -> None:
    status, problem, _ = verdict(job("FAILED", None))
    assert status is None
    assert "does not tell" in problem


def test_the_exit_status_that_the_json_of_22_05_hides_is_not_taken_for_a_success() -> None:
    number = index("22.05")["jobs"]["failed"]
    jobs = {job.id: job for job in slurm.parse_accounting_json(recorded("22.05", "over.accounting.json"))}
    assert verdict(jobs[number])[0] is None


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED"])
def test_a_job_that_goes_on_has_no_status(state: str) -> None:
    status, problem, _ = verdict(job(state))
    assert status is None
    assert state in problem


# -- what is refused ---------------------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("unknown-job.scontrol", "slurm_load_jobs error: Invalid job id specified"),
        ("unknown-partition", "Invalid partition name specified"),
        ("unknown-account", "Invalid account or account/partition combination specified"),
        ("unknown-qos", "Invalid qos specification"),
        ("unknown-reservation", "Requested reservation is invalid"),
        ("unknown-constraint", "Invalid feature specification"),
        ("too-many-nodes", "More processors requested than permitted"),
        ("too-many-gpus", "Requested node configuration is not available"),
        ("too-long", "Requested time limit is invalid (missing or exceeds some limit)"),
        ("controller-down.scontrol", "Unable to contact slurm controller (connect failure)"),
        ("controller-down.sbatch", "Unable to contact slurm controller (connect failure)"),
        ("controller-down.scancel", "Unable to contact slurm controller (connect failure)"),
        ("accounting-down.sacct", "Problem talking to the database: Connection refused"),
    ],
)
def test_a_refusal_has_words_that_no_version_changed(version: str, name: str, complaint: str) -> None:
    output = index(version)["outputs"][f"{name}.txt"]
    assert output["exit_status"] != 0
    assert output["stderr"].splitlines()[-1].endswith(complaint)


@every_version
def test_sacct_says_nothing_of_a_job_that_it_does_not_know(version: str) -> None:
    output = index(version)["outputs"]["unknown-job.sacct.txt"]
    assert (output["exit_status"], output["stderr"]) == (0, "")
    assert slurm.parse_accounting(recorded(version, "unknown-job.sacct.txt")) == []


@every_version
def test_sacct_answers_while_the_controller_is_down(version: str) -> None:
    assert len(slurm.parse_accounting(recorded(version, "controller-down.sacct.txt"))) == 1
