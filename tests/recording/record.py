"""Record what Slurm prints: real versions out of Debian's suites, each in a throw-away root.

``record.py [VERSION …]`` writes tests/recorded/slurm/<version>/ anew. It needs root, mmdebstrap, and for every version
about 1 GiB in the folder for temporary files and four minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.slurm import (
    COLUMNS,
    ENVIRONMENT,
    FINISHED,
    parse_jobs,
)
from ansible_collections.awsome.distributed_training.tests.recording import root as roots
from ansible_collections.awsome.distributed_training.tests.recording.cluster import HOST, USER, Cluster, until
from ansible_collections.awsome.distributed_training.tests.recording.root import Root

RECORDED = Path(__file__).resolve().parent.parent / "recorded/slurm"
SUITES = {"22.05": "bookworm", "24.11": "trixie", "26.05": "forky"}
PACKAGES = ("slurmctld", "slurmd", "slurmdbd", "slurm-client")
NEEDED = (*PACKAGES, "munge", "mariadb-server", "iproute2", "procps")

SHOW_JOB = "scontrol --oneliner show job"
SACCT = f"sacct --parsable2 --noheader --allocations --format={','.join(COLUMNS)} --jobs="
SACCT_JSON = "sacct --allocations --json --jobs="


class Recorder:
    """Writes the output of commands, and recorded.json, which says where each file is from."""

    def __init__(self, version: str, suite: str, folder: Path, root: Root) -> None:
        self.root, self.folder = root, folder
        self.has_json = version != "22.05"
        """scontrol knows --json."""
        self.settings = [f"{key}={value}" for key, value in ENVIRONMENT.items()]
        found = root.do(f"dpkg-query --show --showformat='${{Package}} ${{Version}}\\n' {' '.join(PACKAGES)}")
        self.index: dict[str, Any] = {
            "recorded": "what real commands printed, by make record-slurm",
            "slurm": root.do("slurmd -V").split()[-1],
            "suite": suite,
            "packages": dict(line.split() for line in found.splitlines()),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "environment": ENVIRONMENT,
            "replaced": "the release of the machine's kernel by 0.0.0",
            "jobs": {},
            "outputs": {},
        }
        if not self.index["slurm"].startswith(version):
            raise SystemExit(f"suite {suite} has Slurm {self.index['slurm']}, not {version}; fix: another suite")

    def take(self, name: str, command: str, user: str = USER) -> str:
        """Run a command, and keep what it prints."""
        ran = self.root.run(command, user, self.settings, timeout=120)
        text = ran.stdout.replace(os.uname().release, "0.0.0")
        (self.folder / name).write_text(text)
        self.index["outputs"][name] = {
            "command": command,
            "user": user,
            "at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "exit_status": ran.returncode,
            "stderr": ran.stderr,
        }
        return ran.stdout

    def job(self, moment: str, job: int) -> None:
        """One job as the controller has it, in every form that it has, all of one moment."""
        self.index["jobs"][moment] = job
        until(lambda: self._stood_still(moment, job), 30, f"job {job} stays as it is for a moment")

    def _stood_still(self, moment: str, job: int) -> bool:
        before = parse_jobs(self.take(f"{moment}.job.txt", f"{SHOW_JOB} {job}"))
        if self.has_json:
            self.take(f"{moment}.job.json", f"scontrol show job {job} --json")
        return parse_jobs(self.root.run(f"{SHOW_JOB} {job}", USER, self.settings).stdout) == before

    def cluster(self, moment: str) -> None:
        """Nodes and partitions."""
        for what in ("node", "partition"):
            self.take(f"{moment}.{what}s.txt", f"scontrol --oneliner show {what}")
            if self.has_json:
                self.take(f"{moment}.{what}s.json", f"scontrol show {what} --json")
        if not self.has_json:
            self.take(f"{moment}.nodes.json", "sinfo --json")

    def all_jobs(self, moment: str, jobs: list[int]) -> None:
        """Every job, as the controller and as the accounting have it."""
        listed = ",".join(map(str, jobs))
        self.take(f"{moment}.jobs.txt", SHOW_JOB)
        self.take(f"{moment}.jobs.json", "squeue --json --states=all")
        self.take(f"{moment}.accounting.txt", SACCT + listed)
        self.take(f"{moment}.accounting.json", SACCT_JSON + listed)

    def write_index(self) -> None:
        """Last of all: a folder without it is not whole."""
        (self.folder / "recorded.json").write_text(json.dumps(self.index, indent=2) + "\n")


class Story:
    """The jobs, from those that wait to those that lost their node."""

    def __init__(self, cluster: Cluster, recorder: Recorder) -> None:
        self.cluster, self.root, self.recorder = cluster, cluster.root, recorder
        self.jobs: list[int] = []

    def tell(self) -> None:
        """All of it, in order."""
        self._submitted()
        self._waiting()
        self._cancelled()
        self._ended()
        self._preempted()
        self._lost_its_node()
        self._over()
        self._refused()

    def _submitted(self) -> None:
        printed = self.recorder.take("sbatch.txt", "sbatch --parsable --output=/tmp/out --wrap true")
        self.jobs.append(int(printed))

    def _waiting(self) -> None:
        whole = "--nodes=2 --ntasks-per-node=1 --cpus-per-task=2 --mem=100"
        # a name and a comment that look like what the parsers read
        named = "--job-name='fsdp step=1 JobState=COMPLETED' --comment=\"$(printf 'one Restarts=7\\nJobId=9 two')\""
        running = self.submit(f"{whole} --gres=gpu:1 {named}", "sleep 600")
        self.until_state(running, "RUNNING")
        resources = self.submit(whole, "sleep 600")
        dependency = self.submit(f"--dependency=afterok:{running}", "true")
        begin = self.submit("--begin=now+1hour", "true")
        held = self.submit("--hold", "true")
        unavailable = self.submit("--partition=big --nodelist=c5 --mem=100", "true")
        until(lambda: "Reason=Resources" in self.shown(resources), 30, "a job waits for resources")
        until(lambda: "UnavailableNodes" in self.shown(unavailable), 30, "a job waits for a node that is down")
        moments = {
            "running": running,
            "pending-resources": resources,
            "pending-dependency": dependency,
            "pending-begin": begin,
            "pending-held": held,
            "pending-unavailable": unavailable,
        }
        for moment, job in moments.items():
            self.recorder.job(moment, job)
        self.recorder.cluster("busy")
        self.recorder.all_jobs("waiting", list(moments.values()))

        self.root.do(f"scancel {running} {held}", USER)
        self.root.do(f"scancel {begin} {unavailable}")
        self.cancelled = {"cancelled": running, "cancelled-while-held": held, "cancelled-by-root": begin}
        self.until_state(resources, "RUNNING")
        until(lambda: "DependencyNeverSatisfied" in self.shown(dependency), 30, "a dependency cannot be met any more")
        self.recorder.job("pending-never", dependency)
        self.root.do(f"scancel {resources} {dependency}", USER)

    def _cancelled(self) -> None:
        for moment, job in self.cancelled.items():
            self.until_state(job, "CANCELLED")
            self.recorder.job(moment, job)

    def _ended(self) -> None:
        small = "--nodelist=c1 --mem=50"
        self.timeout = self.submit(f"{small} --time=1", "sleep 600")
        ends = {
            "completed": ("", "true"),
            "failed": ("", "exit 3"),
            "signalled": ("", "kill -KILL $$"),
            "not-started": ("--output=/nowhere/out", "true"),
            # tail keeps what it may have to print
            "over-memory": ("", "head -c 400M /dev/zero | tail"),
        }
        for moment, (options, script) in ends.items():
            job = self.submit(f"{small} {options}", script)
            self.until_over(job)
            self.recorder.job(moment, job)
        self.root.do("touch /tmp/slow_epilog")
        completing = self.submit(small, "true")
        self.until_state(completing, "COMPLETING")
        self.recorder.job("completing", completing)
        self.root.do("rm /tmp/slow_epilog")
        requeued = self.submit(f"{small} --requeue", "[ $SLURM_RESTART_COUNT ] || sleep 600")
        self.until_state(requeued, "RUNNING")
        self.root.do(f"scontrol requeue {requeued}", USER)
        self.until_state(requeued, "PENDING")
        self.recorder.job("requeued-by-user", requeued)
        self.requeued = {"completed-after-requeue": requeued}

    def _preempted(self) -> None:
        whole = "--nodelist=c2 --cpus-per-task=2 --mem=100"
        for moment, option in (("preempted", "--no-requeue"), ("preempted-requeued", "--requeue")):
            job = self.submit(f"{whole} {option}", "[ $SLURM_RESTART_COUNT ] || sleep 600")
            self.until_state(job, "RUNNING")
            urgent = self.submit(f"{whole} --partition=urgent", "sleep 5")
            self.until_state(urgent, "RUNNING")
            self.until_state(job, "PREEMPTED" if option == "--no-requeue" else "PENDING")
            self.recorder.job(moment, job)
            self.until_state(urgent, "COMPLETED")
        self.requeued["completed-after-preemption"] = job

    def _lost_its_node(self) -> None:
        small = "--nodelist=c2 --mem=50"
        lost = self.submit(f"{small} --no-requeue", "sleep 600")
        requeued = self.submit(f"{small} --requeue", "[ $SLURM_RESTART_COUNT ] || sleep 600")
        self.until_state(lost, "RUNNING")
        self.until_state(requeued, "RUNNING")
        self.cluster.stop("c2", lost, requeued)
        self.until_state(lost, "NODE_FAIL")
        self.until_state(requeued, "PENDING")
        self.recorder.job("node-fail", lost)
        self.recorder.job("node-fail-requeued", requeued)
        self.recorder.all_jobs("node-lost", [lost, requeued])
        self.recorder.cluster("node-lost")
        self.cluster.start_node("c2")
        self.requeued["completed-after-node-fail"] = requeued

    def _over(self) -> None:
        self.until_state(self.timeout, "TIMEOUT")
        self.recorder.job("timeout", self.timeout)
        for moment, job in self.requeued.items():
            self.until_state(job, "COMPLETED", 180)
            self.recorder.job(moment, job)
        time.sleep(2)  # the accounting hears of it a little later
        self.recorder.all_jobs("over", self.jobs)
        listed = ",".join(map(str, self.jobs))
        self.recorder.take("over.starts.txt", f"{SACCT}{listed} --duplicates")
        self.recorder.take("over.starts.json", f"{SACCT_JSON}{listed} --duplicates")
        # what sacct adds without --allocations
        self.recorder.take("over.steps.txt", f"{SACCT}{listed}".replace(" --allocations", ""))

    def _refused(self) -> None:
        script = "--wrap true"
        # as Slurm comes, it takes a job that is over a limit, and lets it wait for ever
        self.recorder.take("too-many-nodes.unenforced.txt", f"sbatch --nodes=99 {script}")
        never = self.submit("--partition=urgent --time=2-00", "true")
        until(lambda: "Reason=None" not in self.shown(never), 30, "a job over a limit waits")
        self.recorder.job("pending-too-long", never)
        self.cluster.enforce_limits()
        refused = {
            "unknown-job.scontrol": f"{SHOW_JOB} 999999",
            "unknown-job.sacct": f"{SACCT}999999",
            "unknown-job.scancel": "scancel 999999",
            "unknown-partition": f"sbatch --partition=nowhere {script}",
            "closed-partition": f"sbatch --partition=closed {script}",
            "too-many-nodes": f"sbatch --nodes=99 {script}",
            "too-many-gpus": f"sbatch --gres=gpu:64 {script}",
            "too-long": f"sbatch --partition=urgent --time=2-00 {script}",
            "unknown-account": f"sbatch --account=nobody {script}",
            "unknown-qos": f"sbatch --qos=nothing {script}",
            "unknown-reservation": f"sbatch --reservation=nothing {script}",
            "unknown-constraint": f"sbatch --constraint=nothing {script}",
            "unknown-option": f"sbatch --nothing {script}",
        }
        for name, command in refused.items():
            self.recorder.take(f"{name}.txt", command)
        self.cluster.stop("slurmctld")
        down = {"scontrol": f"{SHOW_JOB} 1", "sbatch": f"sbatch {script}", "scancel": "scancel 1", "sinfo": "sinfo"}
        for name, command in down.items():
            self.recorder.take(f"controller-down.{name}.txt", command)
        self.recorder.take("controller-down.sacct.txt", f"{SACCT}{self.jobs[0]}")
        self.cluster.stop("slurmdbd")
        self.recorder.take("accounting-down.sacct.txt", f"{SACCT}{self.jobs[0]}")

    def submit(self, options: str, script: str) -> int:
        """A job of the user; its id."""
        output = "" if "--output" in options else "--output=/tmp/%j.out"
        job = int(self.root.do(f"sbatch --parsable {output} {options} --wrap '{script}'", USER))
        self.jobs.append(job)
        return job

    def shown(self, job: int) -> str:
        """The job as scontrol prints it."""
        return self.root.run(f"{SHOW_JOB} {job}", USER).stdout

    def until_state(self, job: int, state: str, seconds: float = 120) -> None:
        """Wait for a state."""
        until(lambda: f" JobState={state} " in self.shown(job), seconds, f"job {job} is {state}")

    def until_over(self, job: int) -> None:
        """Wait for an end, whatever it is."""
        until(lambda: parse_jobs(self.shown(job))[0].state in FINISHED, 120, f"job {job} has ended")


def make_image(suite: str, folder: Path) -> tuple[Path, bool]:
    """The packages of a suite, as a tar file; and whether their list was one that Debian vouches for today."""
    image, address = folder / f"{suite}.tar", roots.archive()
    words = ["mmdebstrap", "--variant=minbase", f"--include={','.join(NEEDED)}", suite, str(image)]
    ran = subprocess.run([*words, f"deb {address} {suite} main"], capture_output=True, text=True, check=False)
    current = "is expired" not in ran.stderr
    if ran.returncode and not current:
        # a mirror that stands still: its list is signed by Debian all the same, but there may be a newer one
        line = f"deb [check-valid-until=no] {address} {suite} main"
        ran = subprocess.run([*words, line], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"mmdebstrap {suite}: {ran.stderr[-2000:]}")
    return image, current


def record(version: str, image: Path, current: bool, workplace: Path) -> None:
    """One version, from an image with its packages."""
    folder, logs = workplace / "recorded", workplace / "logs"
    folder.mkdir(parents=True)
    logs.mkdir()
    root = Root.unpack(image, workplace / "root", HOST)
    try:
        recorder = Recorder(version, SUITES[version], folder, root)
        recorder.index["package_list"] = "current" if current else "signed by Debian, but past its Valid-Until"
        Story(Cluster.start(root, logs), recorder).tell()
        recorder.write_index()
    finally:
        root.close()
    target = RECORDED / version
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, target)


def main() -> None:
    """The versions that are asked for, one after the other."""
    parser = argparse.ArgumentParser(description="record what Slurm prints")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"of {', '.join(SUITES)}; all by default")
    versions = parser.parse_args().versions or list(SUITES)
    unknown = sorted(set(versions) - set(SUITES))
    if unknown:
        raise SystemExit(f"no suite is known for Slurm {unknown[0]}; known: {', '.join(SUITES)}")
    reason = roots.missing()
    if reason:
        raise SystemExit(reason)
    workplace = Path(tempfile.mkdtemp(prefix="adt-record-"))
    for version in versions:
        started = time.monotonic()
        image, current = make_image(SUITES[version], workplace)
        record(version, image, current, workplace / version)
        image.unlink()
        print(f"Slurm {version}: {len(list((RECORDED / version).iterdir()))} files, {time.monotonic() - started:.0f} s")
    # kept where something failed: its logs tell why
    shutil.rmtree(workplace)


if __name__ == "__main__":
    main()
