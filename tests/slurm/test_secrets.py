"""A secret never enters what Slurm keeps of a run: two canaries, one that the case lists and one that it does not."""

from __future__ import annotations

import hashlib
import secrets
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases
from ansible_collections.awsome.distributed_training.tests.slurm.clusters import Cluster

SCRIPT = """
import hashlib, json, os, time
print("sha256 of MY_TOKEN:", hashlib.sha256(os.environ["MY_TOKEN"].encode()).hexdigest())
print("unlisted:", [name for name in os.environ if name.startswith("MY_OTHER")])
deadline = time.monotonic() + 120
while not os.path.exists(os.environ["ADT_RUN_DIR"] + "/looked") and time.monotonic() < deadline:
    time.sleep(0.1)
print("ADT_METRIC", json.dumps({"kind": "eval", "attempt": 1, "step": 1, "loss": 1.0}))
"""
KEPT_BY_SLURM = "/var/lib/slurm"
"""The controller's state (StateSaveLocation), and what slurmd spools on a compute node."""
OF_A_NODE = (KEPT_BY_SLURM, "/var/lib/mysql", "/var/log", "/etc", "/tmp", "/run", "/root", "/home")
"""Where a node's services and its users write, beside the shared folder."""
ONE_PROCESS = "launcher_params='procs_per_node=1'"


@pytest.fixture
def canaries() -> dict[str, str]:
    """MY_TOKEN, which the case lists, and MY_OTHER_TOKEN, which it does not."""
    return {name: f"canary-{secrets.token_hex(16)}" for name in ("MY_TOKEN", "MY_OTHER_TOKEN")}


def files_with(cluster: Cluster, host: str, texts: Iterable[str], folders: Iterable[str]) -> set[str]:
    """Files under a node's folders that hold one of the texts."""
    # the words that look for a text do not hold it themselves
    patterns = shlex.join(f"--regexp=[{text[0]}]{text[1:]}" for text in texts)
    found = f"find {shlex.join(folders)} -type f -print0 | xargs -0 grep -als {patterns}"
    return set(cluster.run(f"({found}) || [[ $? == 123 ]] # none", host, user="root").splitlines())


def secrets_file(cluster: Cluster, run: Path) -> str:
    """Mode and owner of the file that brings a run its secrets; empty where there is none."""
    file = shlex.quote(f"{cluster.run_dir(run)}/secrets.sh")
    return cluster.run(f"if [[ -e {file} ]]; then stat --format='%a %U' {file}; fi").strip()


def test_no_secret_is_shown_or_kept_by_slurm(cluster: Cluster, workplace: Path, canaries: dict[str, str]) -> None:
    cases.write_case(workplace / "secretive", SCRIPT, secrets=["MY_TOKEN"])
    env = {**canaries, "ANSIBLE_LOCAL_TEMP": str(workplace / "tmp"), "ANSIBLE_LOG_PATH": str(workplace / "ansible.log")}
    shown = []

    def play(*args: str) -> None:
        ran = support.play(cluster.words("-vvv", "--diff", *args), workplace, env)
        assert ran.returncode == 0, ran.stdout
        shown.append(ran.stdout)

    play("-e", f"case=./secretive detach=true {ONE_PROCESS}")
    run = support.latest_run(workplace, "secretive")
    job, run_dir = cluster.job_id(run), cluster.run_dir(run)
    name = f"secretive-{run.name.lower()}-train"
    cases.wait_until(lambda: "sha256 of" in cluster.log(run), "the job runs")
    node = cluster.run(f"squeue --noheader --jobs={job} --format=%N").strip()
    try:
        assert secrets_file(cluster, run) == f"600 {cluster.user}"
        assert files_with(cluster, "ctl", canaries.values(), [run_dir]) == {f"{run_dir}/secrets.sh"}
        # a user's own sbatch in a shell that has both: what is submitted, and what the controller notes, has neither
        given = " ".join(f"{key}={value}" for key, value in canaries.items())
        by_hand = cluster.run(f"cd {shlex.quote(run_dir)} && {given} sbatch --parsable --hold job.sbatch").strip()
        for host in ("ctl", node):
            assert files_with(cluster, host, [name], [KEPT_BY_SLURM]), "the job's script was looked at"
            assert files_with(cluster, host, canaries.values(), OF_A_NODE) == set()
            words = cluster.run("cat /proc/[0-9]*/cmdline", host, user="root")
            assert "slurm" in words
            assert [value for value in canaries.values() if value in words] == []
        script = cluster.run(f"scontrol write batch_script {job} -")
        assert name in script
        told = [script, *(cluster.run(f"scontrol --details show job {number}") for number in (job, by_hand))]
    finally:
        cluster.run(f"touch {shlex.quote(run_dir)}/looked && scancel --me --state=PENDING --name={name}")
    play("-e", f"attach={run.name}")

    log = (run / "log.txt").read_text()
    assert f"sha256 of MY_TOKEN: {hashlib.sha256(canaries['MY_TOKEN'].encode()).hexdigest()}" in log
    assert "unlisted: []" in log
    assert secrets_file(cluster, run) == ""
    accounts = cluster.run(f"sacct --jobs={job} --format=ALL --parsable2")
    assert "|COMPLETED|" in accounts
    told += [accounts, cluster.run(f"scontrol --details show job {job}")]
    for value in canaries.values():
        assert [text for text in (*shown, *told) if value in text] == []
    for host in ("ctl", node):
        assert files_with(cluster, host, canaries.values(), [*OF_A_NODE, run_dir]) == set()
    written = {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()}
    for file in ("ansible.log", *(f"{run}/{file}" for file in ("report.html", "log.txt", "plan.yml", "job.sbatch"))):
        assert workplace / file in written
    for value in canaries.values():
        assert [str(path) for path, text in written.items() if value.encode() in text] == []


def test_the_secrets_of_a_run_that_never_started_are_removed(
    cluster: Cluster, workplace: Path, canaries: dict[str, str]
) -> None:
    cases.write_case(workplace / "waiting", SCRIPT, secrets=["MY_TOKEN"])

    def play(*args: str) -> subprocess.CompletedProcess[str]:
        return support.play(cluster.words(*args), workplace, canaries)

    cluster.run("scontrol update partition=main state=down", user="root")
    try:
        runs = []
        for _ in range(3):
            ran = play("-e", f"case=./waiting detach=true {ONE_PROCESS}")
            assert ran.returncode == 0, ran.stdout
            runs.append(support.latest_run(workplace, "waiting"))
            assert secrets_file(cluster, runs[-1]) == f"600 {cluster.user}"
        for run in runs[1:]:  # by hand: the play still has to remove what it brought
            cluster.run(f"scancel {cluster.job_id(run)}")
        for run, act in zip(runs, ("cancel", "cancel", "attach")):
            ran = play("-e", f"{act}={run.name}")
            assert (ran.returncode == 0) == (act == "cancel"), ran.stdout
            assert secrets_file(cluster, run) == "", act
            assert cases.result(run)["state"] == "cancelled"
    finally:
        cluster.run("scontrol update partition=main state=up", user="root")


def test_the_secrets_of_a_run_that_slurm_refused_are_removed(
    cluster: Cluster, workplace: Path, canaries: dict[str, str]
) -> None:
    cases.write_case(workplace / "refused", SCRIPT, secrets=["MY_TOKEN"])
    options = "launcher_params='procs_per_node=1 reservation=none'"
    ran = support.play(cluster.words("-e", f"case=./refused {options}"), workplace, canaries)
    assert "Requested reservation is invalid" in cases.told(ran.stdout)
    run = support.latest_run(workplace, "refused")
    assert cluster.run(f"ls {shlex.quote(cluster.run_dir(run))}").split()
    assert secrets_file(cluster, run) == ""
