# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Slurm's commands as modules call them, with programs on the PATH that answer as tests/recorded/slurm has it."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, slurm_commands
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.slurm import SlurmJob
from ansible_collections.awsome.distributed_training.plugins.module_utils.slurm_commands import (
    STATE_FILE,
    Slurm,
    combine,
    is_over,
    look,
)
from ansible_collections.awsome.distributed_training.plugins.modules import slurm_job
from ansible_collections.awsome.distributed_training.tests.unit.module_call import call

RECORDED = Path(controller.ROOT) / "tests/recorded/slurm"
VERSIONS = ("22.05", "24.11", "26.05")
every_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH; programs in it have the shell's own tools."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\nexport PATH=/usr/bin:/bin\n{text}\n")
    path.chmod(0o755)


def index(version: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((RECORDED / version / "recorded.json").read_text())
    return told


def answer(folder: Path, version: str, name: str) -> None:
    """The program of a recorded call answers whatever it is asked as it did then."""
    about = index(version)["outputs"][name]
    text = f"cat {shlex.quote(str(RECORDED / version / name))}; printf %s {shlex.quote(about['stderr'])} >&2"
    program(folder, about["command"].split()[0], f"{text}; exit {about['exit_status']}")


# -- what a command says -----------------------------------------------------------------------------------------------

REFUSALS = {
    "unknown-partition.txt": ("Invalid partition name specified", "-e launcher_params='partition=NAME'"),
    "unknown-account.txt": ("Invalid account or account/partition combination", "-e launcher_params='account=NAME'"),
    "unknown-qos.txt": ("Invalid qos specification", "-e launcher_params='qos=NAME'"),
    "unknown-reservation.txt": ("Requested reservation is invalid", "-e launcher_params='reservation=NAME'"),
    "unknown-constraint.txt": ("Invalid feature specification", "-e launcher_params='constraint=FEATURE'"),
    "too-long.txt": ("Requested time limit is invalid", "a shorter -e launcher_params='time=…'"),
    "too-many-gpus.txt": ("Requested node configuration is not available", "fewer processes or nodes"),
    "too-many-nodes.txt": ("More processors requested than permitted", ""),
    "unknown-option.txt": ("", ""),
    "controller-down.sbatch.txt": ("Unable to contact slurm controller (connect failure)", "start slurmctld"),
}


@every_version
@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_of_sbatch_is_one_line_with_its_fix(programs: Path, version: str, name: str) -> None:
    answer(programs, version, name)
    with pytest.raises(TrainingError) as refused:
        Slurm().ask("sbatch", "job.sbatch")
    message, (problem, fix) = str(refused.value), REFUSALS[name]
    assert message.startswith("sbatch: ")
    assert problem in message.partition("; fix: ")[0]
    assert message.partition("; fix: ")[2].startswith(fix)
    assert message.partition("; fix: ")[2]
    assert "\n" not in message


@every_version
def test_every_recorded_refusal_of_sbatch_is_tried(version: str) -> None:
    outputs = index(version)["outputs"].items()
    refused = {name for name, about in outputs if about["exit_status"] and about["command"].startswith("sbatch")}
    assert refused - {"too-many-nodes.unenforced.txt"} == set(REFUSALS)


@every_version
def test_what_a_command_prints_is_returned(programs: Path, version: str) -> None:
    answer(programs, version, "sbatch.txt")
    assert Slurm().ask("sbatch", "job.sbatch") == (RECORDED / version / "sbatch.txt").read_text()


def test_a_command_that_fails_without_a_word_is_told_by_its_exit_status(programs: Path) -> None:
    program(programs, "sbatch", "exit 3")
    with pytest.raises(TrainingError, match=r"^sbatch: exit status 3; fix: "):
        Slurm().ask("sbatch")


def test_a_command_that_is_not_there_names_the_prefix(programs: Path) -> None:
    with pytest.raises(TrainingError, match=r"^sbatch is not on the PATH; fix: adt_slurm_prefix of "):
        Slurm().ask("sbatch")


def test_a_prefix_comes_before_the_path(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "slurm/bin").mkdir(parents=True)
    program(programs, "sinfo", "echo of the path")
    program(tmp_path / "slurm/bin", "sinfo", "echo of the prefix")
    assert Slurm().ask("sinfo") == "of the path\n"
    assert Slurm(str(tmp_path / "slurm")).ask("sinfo") == "of the prefix\n"


def test_commands_speak_english_in_utc_in_the_given_folder(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("TZ", "Asia/Tokyo"), ("LC_ALL", "de_DE.UTF-8"), ("SLURM_TIME_FORMAT", "%s")):
        monkeypatch.setenv(name, value)
    program(programs, "scontrol", 'echo "$TZ $LC_ALL ${SLURM_TIME_FORMAT-none} $PWD"')
    assert Slurm().ask("scontrol", cwd=str(tmp_path)).split() == ["UTC", "C", "none", str(tmp_path)]


def test_a_command_that_gives_no_answer_is_given_up(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_commands, "_TIMEOUT_S", 0.3)
    program(programs, "squeue", "exec sleep 5")
    with pytest.raises(TrainingError, match=r"^squeue gave no answer within 0 s; fix: scontrol ping"):
        Slurm().ask("squeue")


@every_version
def test_the_controllers_job_is_read_and_a_forgotten_one_is_none(programs: Path, version: str) -> None:
    answer(programs, version, "running.job.txt")
    running = Slurm().controller_job(index(version)["jobs"]["running"])
    assert running is not None
    assert (running.state, running.nodes) == ("RUNNING", "c[1-2]")
    assert Slurm().controller_job(99) is None, "it is about another job"
    answer(programs, version, "unknown-job.scontrol.txt")
    assert Slurm().controller_job(999999) is None


@every_version
def test_a_controller_that_is_away_says_nothing_of_a_job(programs: Path, version: str) -> None:
    answer(programs, version, "controller-down.scontrol.txt")
    with pytest.raises(TrainingError, match=r"^scontrol: .*Unable to contact slurm controller.*; fix: start slurmctld"):
        Slurm().controller_job(1)


@every_version
def test_the_accounting_is_read_and_where_it_is_away_there_is_none(programs: Path, version: str) -> None:
    answer(programs, version, "over.accounting.txt")
    job = Slurm().accounted_job(index(version)["jobs"]["failed"])
    assert job is not None
    assert (job.state, job.exit_code) == ("FAILED", 3)
    for name in ("accounting-down.sacct.txt", "unknown-job.sacct.txt"):
        answer(programs, version, name)
        assert Slurm().accounted_job(job.id) is None
    program(programs, "sacct", "echo 'Slurm accounting storage is disabled'; exit 1")
    assert Slurm().accounted_job(job.id) is None


@every_version
def test_cancelling_a_job_that_has_ended_is_no_error_but_a_controller_that_is_away_is(
    programs: Path, version: str
) -> None:
    answer(programs, version, "unknown-job.scancel.txt")
    Slurm().cancel(999999)
    program(
        programs, "scancel", "echo 'scancel: error: Kill job error on job id 9: Invalid job id specified' >&2; exit 1"
    )
    Slurm().cancel(9)
    answer(programs, version, "controller-down.scancel.txt")
    with pytest.raises(TrainingError, match=r"^scancel: .*Unable to contact slurm controller.*; fix: start slurmctld"):
        Slurm().cancel(1)


@every_version
@pytest.mark.parametrize(
    ("moment", "over"),
    [("running", False), ("completing", False), ("pending-held", False), ("completed", True), ("timeout", True)],
)
def test_a_job_is_over_once_the_controller_says_so(programs: Path, version: str, moment: str, over: bool) -> None:
    answer(programs, version, f"{moment}.job.txt")
    assert is_over(Slurm(), index(version)["jobs"][moment]) == over
    assert is_over(Slurm(), 999999), "it has forgotten that one"


# -- one look ----------------------------------------------------------------------------------------------------------

NOW = 1_800_000_000


def job(job_id: int, state: str, ended_s_ago: int | None = None, **more: Any) -> SlurmJob:
    over = ended_s_ago is not None
    told: dict[str, Any] = {"exit_code": 0 if over else None, "exit_signal": None, "reason": None, "restarts": 0,
        "nodes": "c[1-2]", "submitted": NOW - 900, "started": NOW - 800,
        "ended": NOW - ended_s_ago if ended_s_ago is not None else None, "partition": "main", "name": None}  # fmt: skip
    return SlurmJob(id=job_id, state=state, **{**told, **more})


class Told(Slurm):
    """A controller that knows some jobs, and an accounting that knows some."""

    def __init__(self, controller: list[SlurmJob], accounted: list[SlurmJob]) -> None:
        super().__init__()
        self._controller = {job.id: job for job in controller}
        self._accounted = {job.id: job for job in accounted}

    def controller_job(self, job_id: int) -> SlurmJob | None:
        return self._controller.get(job_id)

    def accounted_job(self, job_id: int) -> SlurmJob | None:
        return self._accounted.get(job_id)


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose only job, train, has id 7."""
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    folder = tmp_path / "run"
    (folder / "attempts").mkdir(parents=True)
    note(folder, train=7)
    return folder


def note(run_dir: Path, **ids: int) -> None:
    """The jobs as they were submitted: id by last step."""
    jobs = [
        {"name": f"mine-{step}", "file": f"{step}.sbatch", "step": step, "id": job_id} for step, job_id in ids.items()
    ]
    (run_dir / STATE_FILE).write_text(json.dumps({"jobs": jobs}))


def looked(run_dir: Path, controller: list[SlurmJob], accounted: list[SlurmJob]) -> dict[str, Any]:
    about: dict[str, Any] = look(Told(controller, accounted), str(run_dir), 0)["job"]
    return about


def test_a_run_that_was_never_submitted_is_absent(tmp_path: Path) -> None:
    about = look(Told([], []), str(tmp_path), 0)
    assert (about["job"]["state"], about["job"]["cancelled"], about["text"], about["offset"]) == (
        "absent",
        False,
        "",
        0,
    )


@pytest.mark.parametrize("state", ["PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED"])
def test_a_job_that_the_controller_has_goes_on_whatever_the_accounting_says(run_dir: Path, state: str) -> None:
    about = looked(run_dir, [job(7, state)], [job(7, "NODE_FAIL", ended_s_ago=500)])
    assert (about["state"], about["jobs"][0]["state"]) == ("running", state)


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED"])
@pytest.mark.parametrize(("ended_s_ago", "run_state"), [(5, "running"), (20, "exited")])
def test_a_job_that_lost_its_nodes_may_come_back_for_some_moments(
    run_dir: Path, state: str, ended_s_ago: int, run_state: str
) -> None:
    both = [job(7, state, ended_s_ago)]
    assert looked(run_dir, both, both)["state"] == run_state


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "OUT_OF_MEMORY", "CANCELLED", "COMPLETED"])
def test_another_end_counts_at_once(run_dir: Path, state: str) -> None:
    both = [job(7, state, ended_s_ago=0)]
    assert looked(run_dir, both, both)["state"] == "exited"


@pytest.mark.parametrize(("ended_s_ago", "run_state"), [(10, "running"), (61, "exited")])
def test_an_accounting_that_lags_is_waited_for_a_minute(run_dir: Path, ended_s_ago: int, run_state: str) -> None:
    about = looked(run_dir, [job(7, "FAILED", ended_s_ago, exit_code=3)], [job(7, "RUNNING")])
    assert about["state"] == run_state
    assert about.get("exit_status") == (3 if run_state == "exited" else None)


def test_the_accountings_word_counts_before_the_controllers(run_dir: Path) -> None:
    about = looked(run_dir, [job(7, "FAILED", 1, exit_code=1)], [job(7, "FAILED", 1, exit_code=3)])
    assert (about["exit_status"], about["problem"]) == (3, "job 7 ended with exit status 3")


@pytest.mark.parametrize("before", ["NODE_FAIL", "PREEMPTED"])
@pytest.mark.parametrize(("ended_s_ago", "run_state"), [(10, "running"), (61, "exited")])
def test_an_accounting_that_has_heard_of_an_earlier_start_only_is_waited_for(
    run_dir: Path, before: str, ended_s_ago: int, run_state: str
) -> None:
    about = looked(run_dir, [job(7, "COMPLETED", ended_s_ago)], [job(7, before, 100)])
    assert about["state"] == run_state
    assert about.get("exit_status") == (0 if run_state == "exited" else None)


@pytest.mark.parametrize(("ended_s_ago", "over"), [(5, False), (20, True)])
def test_a_job_that_may_come_back_is_not_over(run_dir: Path, ended_s_ago: int, over: bool) -> None:
    assert is_over(Told([job(7, "NODE_FAIL", ended_s_ago)], []), 7) == over


def test_without_accounting_the_controllers_word_counts_at_once(run_dir: Path) -> None:
    about = looked(run_dir, [job(7, "TIMEOUT", ended_s_ago=1)], [])
    assert (about["state"], about["exit_status"], about["problem"]) == ("exited", None, "job 7 reached its time limit")
    assert "time=…" in about["fix"]


def test_a_job_that_the_controller_forgot_is_in_the_accounting(run_dir: Path) -> None:
    about = looked(run_dir, [], [job(7, "COMPLETED", ended_s_ago=9999)])
    assert (about["state"], about["exit_status"], about["problem"], about["fix"]) == ("exited", 0, None, None)
    assert (about["started"], about["ended"]) == (NOW - 800, NOW - 9999)


@pytest.mark.parametrize("accounted", [[], [job(7, "RUNNING")]], ids=["none", "stale"])
def test_of_a_job_that_slurm_forgot_its_own_word_counts(run_dir: Path, accounted: list[SlurmJob]) -> None:
    (run_dir / "attempts/train.ended").write_text("75\n")
    about = looked(run_dir, [], accounted)
    assert (about["state"], about["exit_status"], about["problem"]) == ("exited", 75, None)


@pytest.mark.parametrize("word", [None, "", "soon"])
def test_a_job_that_left_no_word_either_has_an_unknown_end(run_dir: Path, word: str | None) -> None:
    if word is not None:
        (run_dir / "attempts/train.ended").write_text(word)
    about = looked(run_dir, [], [])
    assert (about["state"], about["exit_status"]) == ("exited", None)
    assert about["problem"] == "Slurm knows nothing of job 7 any more, and the job left no word of its end"
    assert about["fix"]


def test_a_run_is_cancelled_by_the_mark_or_by_the_jobs_state(run_dir: Path) -> None:
    saved = [job(7, "FAILED", 1, exit_code=75)]
    assert not looked(run_dir, saved, saved)["cancelled"]
    (run_dir / "cancelled").touch()
    assert looked(run_dir, saved, saved)["cancelled"]
    (run_dir / "cancelled").unlink()
    by_hand = [job(7, "CANCELLED", 1)]
    assert looked(run_dir, by_hand, by_hand)["cancelled"]


def test_a_look_returns_the_whole_lines_that_the_log_has_gained(run_dir: Path) -> None:
    (run_dir / "log.txt").write_text("step train\nhalf a li")
    first = look(Told([job(7, "RUNNING")], []), str(run_dir), 0)
    assert (first["text"], first["offset"]) == ("step train\n", 11)
    (run_dir / "log.txt").write_text("step train\nhalf a line\n")
    assert look(Told([job(7, "RUNNING")], []), str(run_dir), 11)["text"] == "half a line\n"


def test_a_run_of_two_jobs_ends_as_the_first_that_failed(run_dir: Path) -> None:
    note(run_dir, prepare=7, train=8)
    prepare = job(7, "FAILED", 30, exit_code=4)
    never = job(8, "PENDING", reason="DependencyNeverSatisfied", nodes=None, started=None)
    waits = looked(run_dir, [prepare, never], [prepare])
    assert (waits["state"], waits["note"]) == ("running", "job 7 FAILED")
    taken = job(8, "CANCELLED", 5, nodes=None, started=None, reason="DependencyNeverSatisfied")
    about = looked(run_dir, [prepare, taken], [prepare, taken])
    assert (about["state"], about["exit_status"], about["cancelled"]) == ("exited", 4, False)
    assert about["problem"] == "job 7 ended with exit status 4"


# -- several jobs as one -----------------------------------------------------------------------------------------------


def record(job_id: int, state: str, status: int | str | None = "open", **more: Any) -> dict[str, Any]:
    """A job of combine: open, or over with an exit status."""
    about = {"id": job_id, "name": f"mine-{job_id}", "state": state, "reason": None, "restarts": 0, "nodes": None,
             "started": None, "ended": None, "over": status != "open"}  # fmt: skip
    if status != "open":
        about |= {"exit_status": status, "problem": None if status == 0 else f"job {job_id} broke", "fix": "mend it"}
    return {**about, **more}


def test_a_run_goes_on_until_its_last_job_has_ended() -> None:
    whole = combine([record(1, "COMPLETED", 0, started=10, ended=20), record(2, "RUNNING", nodes="c1", started=30)])
    assert (whole["state"], whole["note"], whole["started"]) == ("running", "job 2 RUNNING on c1", 10)
    assert [told["state"] for told in whole["jobs"]] == ["COMPLETED", "RUNNING"]


def test_a_run_whose_jobs_all_ended_well_ended_well() -> None:
    jobs = [record(1, "COMPLETED", 0, started=10, ended=20), record(2, "COMPLETED", 0, started=30, ended=90)]
    whole = combine(jobs)
    assert (whole["state"], whole["exit_status"], whole["problem"]) == ("exited", 0, None)
    assert (whole["started"], whole["ended"], whole["note"]) == (10, 90, "job 2 COMPLETED")


def test_the_first_job_that_failed_decides_also_where_slurm_ended_it() -> None:
    whole = combine([record(1, "TIMEOUT", None), record(2, "CANCELLED", None)])
    assert (whole["exit_status"], whole["problem"], whole["cancelled"]) == (None, "job 1 broke", False)
    whole = combine([record(1, "COMPLETED", 0), record(2, "FAILED", 3)])
    assert (whole["exit_status"], whole["problem"]) == (3, "job 2 broke")
    assert combine([record(1, "CANCELLED", None), record(2, "CANCELLED", None)])["cancelled"]


@pytest.mark.parametrize(
    ("about", "line"),
    [
        (record(1, "PENDING", reason="Priority"), "job 1 PENDING (Priority)"),
        (record(1, "PENDING"), "job 1 PENDING"),
        (record(1, "PENDING", reason="BeginTime", restarts=2), "job 1 PENDING (BeginTime), restart 2"),
        (record(1, "RUNNING", nodes="c[1-2]", reason="None", restarts=1), "job 1 RUNNING on c[1-2], restart 1"),
        (record(1, "COMPLETING", nodes="c[1-2]"), "job 1 COMPLETING"),
    ],
)
def test_a_note_tells_a_person_what_a_job_waits_for_or_where_it_runs(about: dict[str, Any], line: str) -> None:
    assert combine([about])["note"] == line


# -- module slurm_job --------------------------------------------------------------------------------------------------

JOBS = [
    {"name": "mine-prepare", "file": "prepare.sbatch", "step": "prepare"},
    {"name": "mine-train", "file": "job.sbatch", "step": "train"},
]


class Cluster:
    """A Slurm of programs on the PATH that keeps each job's state in a file, and the module that acts on it."""

    def __init__(self, programs: Path, run_dir: Path) -> None:
        self.run_dir, self.folder = run_dir, programs
        text = (RECORDED / "24.11/completed.job.txt").read_text()
        (programs / "job").write_text(text.replace("JobId=9 ", "JobId=ID ").replace("COMPLETED", "STATE"))
        (programs / "words").touch()
        begin = f'cd {programs}; echo "${{0##*/}} $*" >>words'
        refused = "sbatch: error: Batch job submission failed: Invalid partition name specified"
        program(
            programs,
            "sbatch",
            f"""{begin}; echo "$OLDPWD" >>folders
            if [[ -e refuse && ${{@: -1}} == "$(<refuse)" ]]; then echo "{refused}" >&2; exit 1; fi
            id=$(($(grep -c ^sbatch words) + 10)); echo PENDING >state.$id; echo "$id;cluster" """,
        )
        program(
            programs,
            "scontrol",
            f"""{begin}; [[ -e state.$4 ]] || {{ echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1; }}
            sed "s/JobId=ID/JobId=$4/; s/STATE/$(<state.$4)/" job""",
        )
        program(
            programs,
            "scancel",
            f"""{begin}; state=$(<state.${{@: -1}})
            case "$*" in
            --state=PENDING\\ *) [[ $state != PENDING ]] || echo CANCELLED >state.$2 ;;
            --state=RUNNING\\ *) [[ $state != RUNNING || -e hangs ]] || echo FAILED >state.$3 ;;
            *) echo CANCELLED >state.$1 ;;
            esac""",
        )

    def states(self, **states: str) -> None:
        """The states of jobs, such as job11="RUNNING"."""
        for name, state in states.items():
            (self.folder / f"state.{name.removeprefix('job')}").write_text(state)

    def words(self, command: str) -> list[str]:
        lines = (self.folder / "words").read_text().splitlines()
        return [line for line in lines if line.split()[0] == command]

    def noted(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = json.loads((self.run_dir / STATE_FILE).read_text())["jobs"]
        return jobs

    def ask(self, **asked: Any) -> dict[str, Any]:
        return call(slurm_job, **{"run_dir": str(self.run_dir), **asked})

    def submit(self, **asked: Any) -> dict[str, Any]:
        return self.ask(jobs=JOBS, **asked)

    def cancel(self, **asked: Any) -> dict[str, Any]:
        return self.ask(state="cancelled", **asked)


@pytest.fixture
def cluster(programs: Path, tmp_path: Path) -> Cluster:
    (tmp_path / "run").mkdir()
    return Cluster(programs, tmp_path / "run")


def test_jobs_are_submitted_each_behind_the_one_before_it(cluster: Cluster) -> None:
    answer = cluster.submit()
    assert answer == {"changed": True, "jobs": [{**JOBS[0], "id": 11}, {**JOBS[1], "id": 12}], "log_bytes": 0}
    assert cluster.words("sbatch") == [
        "sbatch --parsable prepare.sbatch",
        "sbatch --parsable --dependency=afterok:11 --kill-on-invalid-dep=yes job.sbatch",
    ]
    assert (cluster.folder / "folders").read_text().split() == [str(cluster.run_dir)] * 2
    assert cluster.noted() == answer["jobs"]


@pytest.mark.parametrize("first", ["PENDING", "RUNNING", "COMPLETED", "FAILED"])
def test_jobs_that_wait_or_run_are_not_submitted_a_second_time(cluster: Cluster, first: str) -> None:
    submitted = cluster.submit()["jobs"]
    cluster.states(job11=first)  # the second waits
    (cluster.run_dir / "log.txt").write_text("step prepare\n")
    assert cluster.submit() == {"changed": False, "jobs": submitted, "log_bytes": 0}
    assert len(cluster.words("sbatch")) == 2


def test_jobs_that_have_ended_are_submitted_anew(cluster: Cluster) -> None:
    cluster.submit()
    cluster.states(job11="COMPLETED", job12="FAILED")
    (cluster.run_dir / "cancelled").touch()
    (cluster.run_dir / "log.txt").write_text("step train\n")
    answer = cluster.submit()
    assert (answer["changed"], answer["log_bytes"]) == (True, 11)
    assert [told["id"] for told in cluster.noted()] == [13, 14]
    assert not (cluster.run_dir / "cancelled").exists(), "it would keep the new jobs from going back to the queue"


def test_where_a_job_is_refused_those_before_it_are_taken_back(cluster: Cluster) -> None:
    (cluster.folder / "refuse").write_text("job.sbatch")
    (cluster.run_dir / "secrets.sh").touch()
    answer = cluster.submit()
    assert answer["failed"]
    assert "Invalid partition name specified; fix: -e launcher_params='partition=NAME'" in answer["msg"]
    assert "\n" not in answer["msg"]
    assert cluster.words("scancel") == ["scancel 11"]
    assert [*cluster.run_dir.iterdir()] == [], "no note of jobs, and no secrets for which there is no job"


def test_check_mode_submits_and_cancels_nothing(cluster: Cluster) -> None:
    assert cluster.submit(check_mode=True) == {"changed": True, "jobs": JOBS, "log_bytes": 0}
    assert [*cluster.run_dir.iterdir()] == []
    cluster.submit()
    (cluster.run_dir / "secrets.sh").touch()
    assert cluster.cancel(check_mode=True)["changed"]
    assert (cluster.run_dir / "secrets.sh").exists()
    assert (len(cluster.words("sbatch")), cluster.words("scancel")) == (2, [])
    assert not (cluster.run_dir / "cancelled").exists()


def test_a_run_that_waits_leaves_the_queue_with_its_secrets(cluster: Cluster) -> None:
    cluster.submit()
    (cluster.run_dir / "secrets.sh").touch()
    assert cluster.cancel()["changed"]
    assert [(cluster.folder / f"state.{number}").read_text().strip() for number in (11, 12)] == ["CANCELLED"] * 2
    assert (cluster.run_dir / "cancelled").exists()
    assert not (cluster.run_dir / "secrets.sh").exists()


def test_a_job_that_runs_is_asked_to_save_and_nothing_else(cluster: Cluster) -> None:
    cluster.submit()
    cluster.states(job11="COMPLETED", job12="RUNNING")
    assert cluster.cancel()["changed"]
    assert cluster.words("scancel") == ["scancel --state=PENDING 12", "scancel --state=RUNNING --signal=TERM 12"]
    assert (cluster.folder / "state.12").read_text().strip() == "FAILED"


def test_a_job_that_does_not_save_within_the_grace_is_killed(cluster: Cluster) -> None:
    cluster.submit()
    cluster.states(job11="COMPLETED", job12="RUNNING")
    (cluster.folder / "hangs").touch()
    cluster.cancel(grace_s=0)
    assert cluster.words("scancel")[2] == "scancel 12"
    assert (cluster.folder / "state.12").read_text().strip() == "CANCELLED"


@pytest.mark.parametrize("was_submitted", [True, False])
def test_a_run_that_does_not_run_is_not_cancelled(cluster: Cluster, was_submitted: bool) -> None:
    if was_submitted:
        cluster.submit()
        cluster.states(job11="COMPLETED", job12="COMPLETED")
    answer = cluster.cancel()
    assert (answer["changed"], len(answer["jobs"])) == (False, 2 if was_submitted else 0)
    assert cluster.words("scancel") == []
    assert not (cluster.run_dir / "cancelled").exists()


def test_what_a_job_that_is_gone_left_of_the_secrets_is_removed(cluster: Cluster) -> None:
    cluster.submit()
    cluster.states(job11="CANCELLED", job12="CANCELLED")
    (cluster.run_dir / "secrets.sh").touch()
    assert [cluster.cancel()["changed"] for _ in range(2)] == [True, False]
    assert not (cluster.run_dir / "secrets.sh").exists()


def test_wrong_arguments_are_refused(cluster: Cluster) -> None:
    assert cluster.ask() == {"failed": True, "msg": "state is submitted but all of the following are missing: jobs"}
    assert "must be one of: submitted, cancelled" in cluster.ask(state="gone")["msg"]


def test_a_controller_that_is_away_is_told_in_one_line(cluster: Cluster) -> None:
    cluster.submit()
    answer(cluster.folder, "24.11", "controller-down.scontrol.txt")
    told = cluster.cancel()
    assert told["failed"]
    assert "Unable to contact slurm controller (connect failure); fix: start slurmctld" in told["msg"]
    assert "\n" not in told["msg"]
