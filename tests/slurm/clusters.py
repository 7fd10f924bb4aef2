"""The local cluster as tests use it: the play from outside, Slurm's own commands from inside, nodes that die."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases

LOCAL_SLURM = f"{support.COLLECTION}.clusters.local_slurm"


@dataclass(frozen=True)
class Cluster:
    """A local cluster that runs."""

    name: str
    folder: Path
    """Where its play was called; its inventory lies under it."""
    shared_dir: str = "/fsx"
    user: str = "trainer"

    @property
    def inventory(self) -> Path:
        return self.folder / "clusters" / self.name / "inventory.yml"

    def words(self, *args: str) -> list[str]:
        """Words of ansible-playbook run_test_case on this cluster."""
        return ["-i", str(self.inventory), *args]

    def play(self, *args: str, cwd: Path | None = None, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        return support.play(self.words(*args), cwd or self.folder, timeout=timeout)

    def run(self, command: str, host: str = "ctl", user: str | None = None) -> str:
        """What a shell command prints on a node, run as the cluster's ordinary user."""
        ran = subprocess.run(
            ["docker", "exec", "-u", user or self.user, f"adt-{self.name}-{host}", "bash", "-lc", command],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def docker(self, verb: str, host: str) -> None:
        subprocess.run(["docker", verb, f"adt-{self.name}-{host}"], check=True, capture_output=True, timeout=60)

    def run_dir(self, run: Path) -> str:
        """Where a run's folder lies on the cluster."""
        told: dict[str, Any] = json.loads((run / "cluster.json").read_text())
        return str(told["run"])

    def job_id(self, run: Path) -> int:
        """The id of a run's last job."""
        told = json.loads(self.run(f"cat {shlex.quote(self.run_dir(run))}/slurm.json"))
        return int(told["jobs"][-1]["id"])

    def node_state(self, host: str) -> str:
        return self.run(f"sinfo --noheader --nodes={host} --format=%T").split()[0]

    def wait_for_node(self, host: str, pattern: str, timeout: float = 90) -> None:
        """Return when Slurm says that of a node."""
        cases.wait_until(lambda: re.match(pattern, self.node_state(host)), f"{host} {pattern}", timeout)

    def log(self, run: Path) -> str:
        log = f"{shlex.quote(self.run_dir(run))}/log.txt"
        return self.run(f"if [[ -e {log} ]]; then cat {log}; fi")

    def accounted(self, job: int, *columns: str) -> list[list[str]]:
        """Rows of sacct for every run of a job, in their order."""
        words = f"sacct --duplicates --allocations --parsable2 --noheader --jobs={job} --format={','.join(columns)}"
        return [line.split("|") for line in self.run(words).splitlines()]


def bring_up(name: str, folder: Path, *args: str) -> tuple[Cluster, str, float]:
    """The cluster, what its play said, and the seconds that it took."""
    started = time.monotonic()
    ran = support.play(["-e", f"cluster={name}", *args], folder, playbook=LOCAL_SLURM, timeout=900)
    assert ran.returncode == 0, ran.stdout
    return Cluster(name, folder), ran.stdout, time.monotonic() - started


def take_down(name: str, folder: Path) -> str:
    """What the play that removes a cluster said."""
    ran = support.play(["-e", f"cluster={name} state=absent"], folder, playbook=LOCAL_SLURM, timeout=300)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def left_behind(name: str) -> list[str]:
    """Docker objects and cgroup folders that bear a cluster's name."""
    found: list[str] = []
    for words in (
        ["docker", "ps", "--all", "--format", "{{.Names}}"],
        ["docker", "network", "ls", "--format", "{{.Name}}"],
        ["docker", "volume", "ls", "--format", "{{.Name}}"],
        ["docker", "images", "--format", "{{.Repository}}"],
    ):
        listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        found += [line for line in listed if line.startswith(f"adt-{name}")]
    return found


def containers(name: str) -> list[str]:
    """Ids of a cluster's containers."""
    words = ["docker", "ps", "--all", "--no-trunc", "--quiet", f"--filter=name=^adt-{name}-"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def cgroup_folders() -> set[str]:
    """Every folder of the host's cgroup hierarchy."""
    return {path for path, _, _ in os.walk("/sys/fs/cgroup")}


def wait_for_step(play: cases.Play, step: int, timeout: float = 120) -> None:
    """Return when the screen has shown that step or a later one."""

    def reached() -> bool:
        shown = [int(number) for number in re.findall(r"^step (\d+)/", play.shown(), re.MULTILINE)]
        return bool(shown and max(shown) >= step) or play.process.poll() is not None

    cases.wait_until(reached, f"step {step}", timeout)
    assert play.process.poll() is None, play.shown()


def both(*calls: Callable[[], Any]) -> Sequence[Any]:
    """What calls return that go on at the same time."""
    return cases.two_at_a_time(calls)
