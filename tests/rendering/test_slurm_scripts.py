"""Rendered batch scripts run as Slurm runs them, with commands of Slurm that the test made: no Slurm is needed.

The commands do as tests/recorded/slurm and slurmctld (job_mgr.c: _job_requeue_op, batch_requeue_fini) have it: a job
that is queued again has one more restart at once, is COMPLETING for a while, and counts its steps on from where it was.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases

COMMANDS = {
    # a step: a session of its own, which scancel ends
    "srun": """
        until [[ $1 == bash ]]; do shift; done
        echo $(($(<"$FAKE/steps") + 1)) >"$FAKE/steps"
        export SLURM_NODEID=0
        exec setsid --wait bash -c 'echo $$ >"$FAKE/step.pid"; exec "$@"' step "$@"
        """,
    "scontrol": """
        case "$*" in
        "show hostnames c[1-2]") if [[ ! -e $FAKE/no-hostnames ]]; then printf '%s\\n' c1 c2; fi ;;
        "--oneliner show job 7") echo "JobId=7 JobName=x Requeue=1 Restarts=$(<"$FAKE/restarts") BatchFlag=1 " ;;
        "requeue 7")
          echo $((SLURM_RESTART_COUNT + 1)) >"$FAKE/restarts"
          setsid bash -c 'sleep 0.3; kill -TERM -- "-$(<"$FAKE/batch.pid")"' >/dev/null 2>&1 & ;;
        *) exit 1 ;;
        esac
        """,
    "squeue": """
        case "$*" in
        "--noheader --jobs=7 --format=%T") cat "$FAKE/state" ;;
        "--noheader --steps --jobs=7 --format=%i") printf '7.%s\\n' batch extern "$(($(<"$FAKE/steps") - 1))" ;;
        *) exit 1 ;;
        esac
        """,
    "scancel": """
        [[ $1 == "7.$(($(<"$FAKE/steps") - 1))" ]] && kill -KILL -- "-$(<"$FAKE/step.pid")"
        """,
}  # fmt: skip

WRITER = """
import os, signal, time
from pathlib import Path
from adt_train import Environment, MetricWriter, StopRequest, UserError, run_main

environment = Environment.read()
writer = MetricWriter(environment, 0, accelerators=1, tokens_per_step=1, flops_per_token=1, total_steps=9)
fake = Path(os.environ["FAKE"])

def die():
    os.kill(os.getpid(), signal.SIGKILL)

"""
STEP = "writer.step(0, 5.0, 0.1, 0.1)\n"
DIES = f"{WRITER}{STEP}die()"
SAVED = f"{WRITER}{STEP}environment.mark_saved()\nraise SystemExit(1)  # as torchrun says it"
NAMES_A_MISTAKE = f"""{WRITER}
def main():
    {STEP}
    raise UserError("global_batch=3 is not shared evenly", "global_batch=4")
run_main(main)
"""
SLURM_TAKES_THE_NODES = f"""{WRITER}{STEP}
(fake / "restarts").write_text("1")
(fake / "state").write_text("COMPLETING")
"""
FAST = cases.training(steps=5, pause_s=0.0)
TWO_JOBS = [
    {"name": "prepare", "start": "single", "on": "one", "when": "changed", "makes": ["$ADT_DATA_DIR/data"],
     "run": ["python", "-c", "import sys; open(sys.argv[1], 'x').close()", "$ADT_DATA_DIR/data"]},
    {"name": "train", "start": "single", "run": ["python", "train.py"]},
]  # fmt: skip


@pytest.fixture(scope="module")
def rendered(make_workplace: Callable[[str], Path]) -> Path:
    """Folders ``patient``, and ``impatient`` after three silent seconds; each with prepare.sbatch and job.sbatch."""
    folder = make_workplace("batch-scripts")
    cases.write_case(folder / "mine", FAST, steps=TWO_JOBS, secrets=["MY_TOKEN"])

    def render(name: str, options: str) -> None:
        words = f"case=./mine launcher=slurm render_to={name} launcher_params='restarts=1 procs_per_node=1 {options}'"
        ran = support.play(["-e", words], folder)
        assert ran.returncode == 0, ran.stdout

    cases.two_at_a_time([partial(render, "patient", ""), partial(render, "impatient", "silence_s=3")])
    return folder


class Batch:
    """A run folder, and the Slurm that starts its scripts under job id 7."""

    def __init__(self, rendered: Path, workplace: Path) -> None:
        self.folder, self.fake = workplace / "run", workplace / "fake"
        shutil.copytree(rendered, self.folder)
        self.fake.mkdir()
        for name, script in COMMANDS.items():
            noted = f'#!/usr/bin/env bash\nprintf "%s\\n" "{name} $*" >>"$FAKE/words"\n'
            (self.fake / name).write_text(f"{noted}{script}")
            (self.fake / name).chmod(0o755)
        for name, value in (("steps", "0"), ("restarts", "0"), ("state", "RUNNING"), ("words", "")):
            (self.fake / name).write_text(value)
        self.secrets = self.folder / "secrets.sh"
        self.secrets.write_text("export MY_TOKEN=canary\n")
        self.process: subprocess.Popen[bytes] | None = None

    def train(self, script: str) -> Batch:
        (self.folder / "case/train.py").write_text(script)
        return self

    def start(self, file: str = "job.sbatch", folder: Path | None = None) -> subprocess.Popen[bytes]:
        """As slurmstepd does, but for the interpreter, which stays the test's."""
        env = {
            "PATH": f"{self.fake}:{support.BIN}:/usr/local/bin:/usr/bin:/bin",
            "FAKE": str(self.fake),
            "SLURM_SUBMIT_DIR": str(folder or self.folder),
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_JOB_NODELIST": "c[1-2]",
            "SLURM_RESTART_COUNT": (self.fake / "restarts").read_text().strip(),
        }
        (self.fake / "state").write_text("RUNNING")
        with open(self.folder / "log.txt", "ab") as log:
            self.process = subprocess.Popen(
                ["bash", self.folder / file], cwd=self.folder, env=env, stdout=log, stderr=log, start_new_session=True
            )
        (self.fake / "batch.pid").write_text(str(self.process.pid))
        return self.process

    def run(self, file: str = "job.sbatch") -> int:
        """One start of a job to its end: its exit status."""
        return self.start(file).wait(60)

    def end(self) -> None:
        """Kill what is left."""
        sessions = [self.process.pid] if self.process else []
        if (self.fake / "step.pid").exists():
            sessions.append(int((self.fake / "step.pid").read_text()))
        for session in sessions:
            try:
                os.killpg(session, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self.process:
            self.process.wait()

    def words(self, command: str) -> list[str]:
        """The calls of a command."""
        lines = (self.fake / "words").read_text().splitlines()
        return [line for line in lines if line.partition(" ")[0] == command]

    @property
    def requeued(self) -> int:
        return self.words("scontrol").count("scontrol requeue 7")

    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def metrics(self) -> list[dict[str, Any]]:
        lines = self.log().splitlines()
        return [json.loads(line.partition("ADT_METRIC ")[2]) for line in lines if line.startswith("ADT_METRIC ")]

    def attempts(self, step: str = "train") -> str:
        return (self.folder / "attempts" / step).read_text().strip()

    def ended(self, step: str = "train") -> str | None:
        """The job's last word; None where it left none, for it will start again."""
        path = self.folder / "attempts" / f"{step}.ended"
        return path.read_text().strip() if path.exists() else None


@pytest.fixture
def batch(rendered: Path, workplace: Path) -> Iterator[Batch]:
    made = Batch(rendered / "patient", workplace)
    yield made
    made.end()


@pytest.fixture
def impatient(rendered: Path, workplace: Path) -> Iterator[Batch]:
    made = Batch(rendered / "impatient", workplace)
    yield made
    made.end()


def test_two_jobs_prepare_and_train_and_the_last_removes_the_secrets(batch: Batch) -> None:
    about = "print('about', os.environ['MY_TOKEN'], environment.nodes, environment.head_addr, environment.attempt)\n"
    batch.train(FAST.replace("writer =", f"import os\n{about}writer ="))
    assert batch.run("prepare.sbatch") == 0
    assert (batch.ended("prepare"), batch.secrets.exists()) == ("0", True)
    assert batch.run() == 0
    assert (batch.ended(), batch.attempts(), batch.secrets.exists()) == ("0", "1", False)
    assert "about canary 2 c1 1\n" in batch.log()
    assert [metric["kind"] for metric in batch.metrics()] == [*["step"] * 5, "eval"]
    prepare, train = batch.words("srun")
    assert prepare.endswith(f"bash {batch.folder}/node.sh prepare")
    assert train.endswith(f"bash {batch.folder}/node.sh train")
    for option in ("--kill-on-bad-exit=1", "--wait=5", "--export=ALL"):
        assert option in train.split()
    assert batch.requeued == 0


def test_what_is_prepared_is_not_prepared_again(batch: Batch) -> None:
    for _ in range(2):
        assert batch.run("prepare.sbatch") == 0  # it opens its file for creation alone
    assert "step prepare: what it makes is there" in batch.log()
    assert (len(batch.words("srun")), batch.attempts("prepare")) == (1, "2")


@pytest.mark.parametrize("on_hyperpod", [True, False])
def test_hyperpod_replaces_a_node_and_goes_on_by_itself(batch: Batch, workplace: Path, on_hyperpod: bool) -> None:
    script = batch.folder / "job.sbatch"
    assert script.read_text().count("/opt/sagemaker_cluster") == 1
    script.write_text(script.read_text().replace("/opt/sagemaker_cluster", f"{workplace}/sagemaker_cluster"))
    if on_hyperpod:
        (workplace / "sagemaker_cluster").mkdir()
    assert batch.run() == 0
    assert ("--auto-resume=1" in batch.words("srun")[0].split()) == on_hyperpod


def test_a_job_that_lost_a_rank_goes_back_to_the_queue_as_often_as_it_may(batch: Batch) -> None:
    batch.train(DIES)
    batch.run()
    assert (batch.requeued, batch.ended(), batch.secrets.exists()) == (1, None, True)
    assert batch.run() == 128 + signal.SIGKILL
    assert (batch.requeued, batch.ended(), batch.secrets.exists()) == (1, "137", False)
    assert batch.attempts() == "2"


def test_a_run_that_was_cancelled_does_not_go_back(batch: Batch) -> None:
    (batch.folder / "cancelled").touch()
    assert batch.train(SAVED).run() == 75
    assert (batch.requeued, batch.ended(), batch.secrets.exists()) == (0, "75", False)


def test_a_job_that_scancel_ended_does_not_go_back(batch: Batch) -> None:
    batch.train(
        f"{WRITER}{STEP}(fake / 'state').write_text('COMPLETING')\nenvironment.mark_saved()\nraise SystemExit(1)"
    )
    assert batch.run() == 75
    assert (batch.requeued, batch.ended(), batch.secrets.exists()) == (0, "75", False)


def test_a_mistake_that_training_names_does_not_go_back(batch: Batch) -> None:
    assert batch.train(NAMES_A_MISTAKE).run() == 2
    assert "global_batch=3 is not shared evenly" in batch.log()
    assert (batch.requeued, batch.ended(), batch.secrets.exists()) == (0, "2", False)


def test_a_mistake_of_an_earlier_attempt_is_mended(batch: Batch) -> None:
    batch.train(NAMES_A_MISTAKE).run()
    batch.train(DIES).run()
    assert batch.requeued == 1


def test_training_that_never_got_to_a_step_does_not_go_back(batch: Batch) -> None:
    assert batch.train(f"{WRITER}die()").run() == 128 + signal.SIGKILL
    assert (batch.requeued, batch.ended(), batch.secrets.exists()) == (0, "137", False)


def test_a_controller_that_is_away_ends_the_job(batch: Batch) -> None:
    (batch.fake / "squeue").write_text("#!/bin/sh\nexit 1\n")
    assert batch.train(DIES).run() == 128 + signal.SIGKILL
    assert (batch.requeued, batch.ended()) == (0, "137")


def test_a_requeue_that_is_refused_ends_the_job(batch: Batch) -> None:
    script = batch.fake / "scontrol"
    script.write_text(script.read_text().replace('"requeue 7")', '"requeue 7") exit 1;;\n"requeue")'))
    assert batch.train(DIES).run() == 128 + signal.SIGKILL
    assert (batch.requeued, batch.ended(), batch.secrets.exists()) == (1, "137", False)


def test_attempts_that_saved_do_not_count_as_restarts(batch: Batch) -> None:
    for script, requeued in ((SAVED, 1), (DIES, 2), (SAVED, 3), (SAVED, 4)):
        batch.train(script).run()
        assert (batch.requeued, batch.ended(), batch.secrets.exists()) == (requeued, None, True)
    assert batch.train(DIES).run() == 128 + signal.SIGKILL, "one loss is allowed, this was the second"
    assert (batch.requeued, batch.attempts()) == (4, "5")


def test_a_job_that_slurm_itself_started_too_often_does_nothing(batch: Batch) -> None:
    (batch.fake / "restarts").write_text("2")
    assert batch.run() == 1
    assert "started again more often than the 1 times that are allowed" in batch.log()
    assert (batch.words("srun"), batch.ended(), batch.secrets.exists()) == ([], "1", False)


@pytest.mark.parametrize(
    ("end", "noted"), [("die()", False), ("environment.mark_saved()\nraise SystemExit(1)", True)], ids=["lost", "saved"]
)
def test_a_job_that_slurm_queued_again_keeps_its_secrets_and_leaves_no_last_word(
    batch: Batch, end: str, noted: bool
) -> None:
    batch.train(SLURM_TAKES_THE_NODES + end).run()
    assert (batch.requeued, batch.ended(), batch.secrets.exists()) == (0, None, True)
    assert (batch.folder / "attempts/train.saved.7").exists() == noted
    assert batch.train(FAST).run() == 0
    assert (batch.attempts(), batch.ended(), batch.secrets.exists()) == ("2", "0", False)


def test_the_mark_of_another_jobs_attempt_does_not_count(batch: Batch) -> None:
    (batch.folder / "saved.1").touch()
    assert batch.train(f"{WRITER}die()").run() == 128 + signal.SIGKILL


def test_a_job_that_is_asked_to_save_goes_on_from_there(batch: Batch) -> None:
    batch.train(cases.training(steps=25, pause_s=0.1))
    process = batch.start()
    cases.wait_until(lambda: '"kind": "step"' in batch.log(), "training begins")
    os.killpg(int((batch.fake / "step.pid").read_text()), signal.SIGTERM)  # --signal=TERM@120 goes to the steps
    process.wait(60)
    assert (batch.requeued, batch.ended()) == (1, None)
    (saved,) = (int(path.name.removeprefix("step-")) for path in (batch.folder / "checkpoints").iterdir())
    assert 0 < saved < 25
    assert batch.run() == 0
    steps = [(metric["attempt"], metric["step"]) for metric in batch.metrics() if metric["kind"] == "step"]
    assert steps == [*((1, step) for step in range(saved)), *((2, step) for step in range(saved, 25))]


def test_a_step_whose_log_stays_silent_is_ended_in_every_attempt(impatient: Batch) -> None:
    impatient.train(f"{WRITER}{STEP}time.sleep(60)").run()
    assert "the log was silent for 3 s: this attempt is ended" in impatient.log()
    assert (impatient.words("scancel"), impatient.requeued) == (["scancel 7.0"], 1)
    assert impatient.run() == 128 + signal.SIGKILL
    assert impatient.words("scancel") == ["scancel 7.0", "scancel 7.1"]


def test_a_step_that_goes_on_talking_is_left_alone(impatient: Batch) -> None:
    assert impatient.train(cases.training(steps=12, pause_s=0.3)).run() == 0
    assert impatient.words("scancel") == []


def test_a_job_that_cannot_begin_removes_its_secrets(batch: Batch) -> None:
    (batch.fake / "no-hostnames").touch()
    assert batch.run() == 1
    assert (batch.words("srun"), batch.ended(), batch.secrets.exists()) == ([], "1", False)


def test_sbatch_in_another_folder_is_told_so(batch: Batch, workplace: Path) -> None:
    assert batch.start(folder=workplace).wait(60) == 2
    assert f"{workplace} holds no node.sh; fix: call sbatch in the folder of job.sbatch" in batch.log()
    assert not (workplace / "attempts").exists()
