"""What the play adds to a run's start: seconds from its call to training's first step, over plain sbatch and torchrun.

    python3 benchmarks/startup.py --launcher=local
    python3 benchmarks/startup.py --launcher=slurm --inventory=clusters/local/inventory.yml \
        --ssh='ssh -F clusters/local/ssh_config ctl'

Case ddp with its environment made. The plain start is of the very job that the play wrote, in a folder of its own, and
both are timed by this machine's clock when the first step's line stands in the log. Prints the median and the range of
the repetitions, the difference, its limit, and where the play's seconds went: between one task's headline and the next.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

LIMITS = {"slurm": 7.0, "local": 4.0}
"""Seconds that the play may add."""

PARAMS = "steps=3 log_every=1 eval_rows=16"
FIRST = "20000101T000000Z-0000"
STEP = '"kind": "step"'


def main() -> int:
    """Time both starts in turn."""
    options = arguments()
    case = f"case=ddp params='{PARAMS}' launcher={options.launcher} launcher_params='procs_per_node=1'"
    with tempfile.TemporaryDirectory(prefix="adt-startup-") as folder:
        place = Local(Path(folder)) if options.launcher == "local" else Slurm(Path(folder), options)
        print("a first run, which makes the environment")
        place.prepare(case)
        played, plain, tasks = [], [], defaultdict(list)
        for repetition in range(1, options.repeat + 1):
            seconds, spent = place.play(case, f"20000101T000000Z-{repetition:04x}")
            played.append(seconds)
            for task, took in spent.items():
                tasks[task].append(took)
            plain.append(place.plain(repetition))
            print(f"{repetition}: play {played[-1]:.2f} s, plain {plain[-1]:.2f} s")
        place.clean()
    added = statistics.median(played) - statistics.median(plain)
    print(f"\nto the first step, {options.repeat} repetitions, seconds (median, range)")
    for name, values in (("ansible-playbook", played), (place.peer, plain)):
        print(f"  {name:16} {statistics.median(values):6.2f}  {min(values):.2f} to {max(values):.2f}")
    print(f"  added            {added:6.2f}  limit {LIMITS[options.launcher]:.1f}")
    print("\nthe play's parts, seconds (median)")
    for task, values in tasks.items():
        print(f"  {statistics.median(values):6.2f}  {task}")
    return int(added > LIMITS[options.launcher])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launcher", choices=sorted(LIMITS), required=True)
    parser.add_argument("--inventory", help="of the cluster")
    parser.add_argument("--ssh", help="words that run a command on the cluster's head")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    if options.launcher == "slurm" and not (options.inventory and options.ssh):
        parser.error("--launcher=slurm needs --inventory and --ssh")
    return options


class Local:
    """Both starts on this machine."""

    peer = "torchrun"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory: list[str] = []

    def prepare(self, case: str) -> None:
        """A whole run, of which the plain starts take the job."""
        words = [*self.inventory, "awsome.distributed_training.run_test_case", "-e", f"{case} run_id={FIRST}"]
        ran = subprocess.run(
            ["ansible-playbook", *words], cwd=self.folder, stdout=subprocess.PIPE, text=True, check=False
        )
        if ran.returncode:
            sys.exit(ran.stdout)

    def play(self, case: str, run_id: str) -> tuple[float, dict[str, float]]:
        """Seconds to the first step, and those of each task before it."""
        began = time.monotonic()
        words = [*self.inventory, "awsome.distributed_training.run_test_case", "-e", f"{case} run_id={run_id}"]
        with open(self.folder / "screen", "w+") as screen:
            play = subprocess.Popen(
                [shutil.which("ansible-playbook") or "ansible-playbook", *words],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
            watch = self.watch(run_id)
            tasks, headline, since = {}, "ansible-playbook itself", began
            for line in play.stdout or ():
                screen.write(line)
                found = re.match(r"TASK \[(?:[\w.]+ : )?(.+)\]", line)
                if found:
                    now = time.monotonic()
                    tasks[headline] = tasks.get(headline, 0.0) + now - since
                    headline, since = found[1], now
                if headline.startswith("Follow the job"):
                    break
            seconds = self.first_step(watch) - began
            for line in play.stdout or ():
                screen.write(line)
            if play.wait():
                screen.seek(0)
                sys.exit(screen.read())
        return seconds, tasks

    def run_dir(self, run_id: str) -> str:
        """Where the job runs."""
        return str(self.folder / "runs/ddp" / run_id)

    def watch(self, run_id: str) -> subprocess.Popen[str]:
        """Begin to wait for the first step."""
        return self.shell(until_step(f"{self.run_dir(run_id)}/log.txt"))

    def shell(self, script: str) -> subprocess.Popen[str]:
        """A shell where the job runs."""
        return subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True)

    def first_step(self, watch: subprocess.Popen[str]) -> float:
        """When the watch saw it."""
        watch.wait(timeout=300)
        return time.monotonic()

    def plain(self, repetition: int) -> float:
        """Seconds of the job's own command."""
        run_dir = self.run_dir(FIRST)
        environment = re.search(r"^export ADT_PYTHON=(\S+)", Path(run_dir, "job.sh").read_text(), re.MULTILINE)
        assert environment
        step = re.search(r"train\.py (.+)", Path(run_dir, "job.sh").read_text())
        assert step
        place = self.folder / f"plain{repetition}"
        place.mkdir()
        case, library = (
            re.search(rf"^{name}=(\S+)", Path(run_dir, "job.sh").read_text(), re.M) for name in CASE_LIBRARY
        )
        assert case
        assert library
        torchrun = f"{environment[1]} -m torch.distributed.run --nproc-per-node=1 --master-port=29{repetition:03}"
        words = f"{torchrun} train.py {step[1]}"
        began = time.monotonic()
        watch = self.shell(until_step(str(place / "log.txt")))
        variables = {
            "PYTHONPATH": library[1],
            "ADT_RUN_DIR": str(place),
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "2",
        }
        job = subprocess.Popen(
            ["bash", "-c", f"{words} >{place}/log.txt 2>&1"],
            cwd=case[1],
            env={**os.environ, **variables, "PYTHONUNBUFFERED": "1"},
        )
        seconds = self.first_step(watch) - began
        job.wait()
        return seconds

    def clean(self) -> None:
        """Nothing: the folder goes."""


CASE_LIBRARY = ("case_dir", "library_dir")


class Slurm(Local):
    """Both starts on a cluster."""

    peer = "sbatch"

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        super().__init__(folder)
        self.inventory = ["-i", os.path.abspath(options.inventory)]
        self.ssh = shlex.split(options.ssh)
        self.runs = ""

    def output(self, script: str) -> str:
        """What a script prints on the head."""
        return subprocess.run([*self.ssh, script], capture_output=True, text=True, check=True).stdout.strip()

    def run_dir(self, run_id: str) -> str:
        """Where the job runs, on the cluster."""
        return f"{self.runs}/{run_id}"

    def prepare(self, case: str) -> None:
        """Also learns where the cluster keeps runs."""
        super().prepare(case)
        where = json.loads((self.folder / "runs/ddp" / FIRST / "cluster.json").read_text())
        self.runs = os.path.dirname(where["run"])

    def shell(self, script: str) -> subprocess.Popen[str]:
        """A shell on the cluster's head."""
        return subprocess.Popen([*self.ssh, script], stdout=subprocess.PIPE, text=True)

    def plain(self, repetition: int) -> float:
        """Seconds of sbatch with the job script that the play wrote, in a copy of its folder."""
        source, place = self.run_dir(FIRST), self.run_dir(f"plain-{repetition}")
        self.output(
            f"rm -rf {place}; mkdir {place}; cd {source}; cp -r case lib node.sh job.sbatch environment {place}/"
        )
        began = time.monotonic()
        watch = self.watch(f"plain-{repetition}")
        job = self.output(f"cd {place} && sbatch --parsable job.sbatch")
        seconds = self.first_step(watch) - began
        self.output(f"while squeue --noheader --jobs={job} --format=%T 2>/dev/null | grep -q .; do sleep 0.5; done")
        return seconds

    def clean(self) -> None:
        """Remove what the runs left on the cluster."""
        self.output(f"rm -rf {self.run_dir('20000101T000000Z-')}* {self.run_dir('plain-')}*")


def until_step(log: str) -> str:
    """A script that ends when a log holds the line of a step."""
    return f"until [ -e {log} ] && grep -q '{STEP}' {log}; do sleep 0.05; done"


if __name__ == "__main__":
    sys.exit(main())
