"""Launcher slurm on a cluster that is not ours: Debian's packages, a slurm.conf by hand, no accounting, one folder.

The administrator's work is done here by plain commands, and none of it by our roles: the launcher is given the address
of the login node and a folder that alice may write to. Only the container's image is the local cluster's.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import local_cluster
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases
from ansible_collections.awsome.distributed_training.tests.slurm import clusters

IMAGE_PLAY = """\
- name: Make the image of a local cluster's nodes
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Read what it takes over from this machine
      awsome.distributed_training.local_cluster_request:
        cluster: foreign
      register: defaults

    - name: Make it
      ansible.builtin.include_role:
        name: awsome.distributed_training.local_cluster
        tasks_from: image
        public: true
      vars:
        local_cluster_request: "{{ defaults.request }}"

    - name: Note its name
      ansible.builtin.copy:
        content: "{{ __local_cluster_image.image }}"
        dest: "{{ playbook_dir }}/image"
        mode: "0644"
"""
SLURM_CONF = """\
ClusterName=elsewhere
SlurmctldHost=login
SlurmUser=slurm
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
MinJobAge=300
GresTypes=gpu
NodeName=login CPUs=2 RealMemory=2000 Gres=gpu:2 State=UNKNOWN
PartitionName=batch Nodes=login Default=YES MaxTime=1:00:00 State=UP
"""
ADMINISTRATOR = f"""\
set -eu
useradd --uid 2001 --create-home --shell /bin/bash alice
install -d -o alice -m 0755 /shared
dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none
chown munge: /etc/munge/munge.key
chmod 0400 /etc/munge/munge.key
install -d -o slurm /var/lib/slurm/slurmctld /var/lib/slurm/slurmd /var/log/slurm
cat >/etc/slurm/slurm.conf <<'CONF'
{SLURM_CONF}CONF
echo 'Name=gpu File=/dev/null,/dev/zero' >/etc/slurm/gres.conf # counted only: Slurm wants files that are there
systemctl start munge slurmctld slurmd
install -d -o alice -m 0700 ~alice/.ssh
install -o alice -m 0600 /dev/stdin ~alice/.ssh/authorized_keys
"""
CONTAINER = "adt-foreign-login"
SHARED = "launcher_params='shared_dir=/shared'"
PER_RANK = [{"name": "train", "start": "per_rank", "run": ["python", "train.py"]}]
ENDS_WITH_3 = "raise SystemExit(3)"


@dataclass(frozen=True)
class Elsewhere(clusters.Cluster):
    """One machine that is login node, controller and compute node."""

    @property
    def inventory(self) -> Path:
        return self.folder / "hosts"

    def run(self, command: str, host: str = "login", user: str | None = None) -> str:
        return super().run(command, host, user)

    def told(self, job: int) -> dict[str, str]:
        """What the controller says of a job, by key; nothing of one that it has forgotten."""
        answer = self.run(f"scontrol --oneliner show job {job} 2>&1 || [[ $? == 1 ]]")
        if "JobId=" not in answer:
            assert "Invalid job id" in answer, answer
            return {}
        return dict(word.split("=", 1) for word in answer.split() if "=" in word)

    def wait_for_job(self, job: int, state: str | None) -> None:
        """Return when the controller says that of a job; None: that it knows no such job."""
        cases.wait_until(lambda: self.told(job).get("JobState") == state, f"job {job} {state}", 60)


@pytest.fixture(scope="module")
def elsewhere(make_workplace: Callable[[str], Path], kept_prefix: str | None) -> Iterator[Elsewhere]:
    """The cluster, and an inventory of two lines for it."""
    folder = make_workplace("foreign")
    (folder / "image.yml").write_text(IMAGE_PLAY)
    ran = support.play([], folder, playbook=str(folder / "image.yml"), timeout=600)
    assert ran.returncode == 0, ran.stdout
    image = (folder / "image").read_text()
    remove_container()
    docker("run", "--detach", f"--name={CONTAINER}", "--hostname=login", *systemd_options(), image)
    try:
        yield set_up(folder)
    finally:
        if kept_prefix is None:
            remove_container()
            docker("image", "rm", image)


def docker(*words: str, given: str = "") -> str:
    """What a call of docker prints."""
    ran = subprocess.run(["docker", *words], input=given, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
    return ran.stdout


def systemd_options() -> list[str]:
    """What lets systemd run in a container, as in those of a local cluster."""
    version = docker("info", "--format", "{{.CgroupVersion}}").strip()
    return [*local_cluster.CGROUP_OPTIONS[version], *local_cluster.SYSTEMD_OPTIONS]


def set_up(folder: Path) -> Elsewhere:
    """The administrator makes a cluster of the machine, and alice writes her inventory."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    active = ["docker", "exec", CONTAINER, "systemctl", "is-active", "--quiet", "ssh"]
    cases.wait_until(lambda: subprocess.run(active, capture_output=True, check=False).returncode == 0, "ssh")
    docker("exec", "-i", CONTAINER, "bash", "-c", ADMINISTRATOR, given=(folder / "key.pub").read_text())
    address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", CONTAINER).strip()
    host_key = docker("exec", CONTAINER, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    (folder / "known_hosts").write_text(f"{address} {host_key}")
    # a connection that is kept for an earlier machine of this address is of no use to this one
    control = f"ansible_control_path=%(directory)s/adt-foreign-{uuid.uuid4().hex[:8]}"
    options = f"-o IdentitiesOnly=yes -o UserKnownHostsFile={folder}/known_hosts"
    login = f"login ansible_host={address} ansible_user=alice ansible_ssh_private_key_file={folder}/key {control}"
    (folder / "hosts").write_text(f"[head]\n{login} ansible_ssh_common_args='{options}'\n")
    made = Elsewhere("foreign", folder, "/shared", "alice")
    made.wait_for_node("login", "idle")
    return made


def remove_container() -> None:
    """The container, also one that an earlier call kept or left, and the groups that its systemd made."""
    ids = docker("ps", "--all", "--quiet", "--no-trunc", f"--filter=name=^{CONTAINER}$").split()
    for container in ids:
        docker("rm", "--force", "--volumes", container)
    gone = tuple(local_cluster.Container(container, "login", False, "") for container in ids)

    def removed() -> bool:
        # a process that is still ending holds a group for a moment
        left = local_cluster.stray_groups(clusters.cgroup_folders(), local_cluster.Existing(containers=gone))
        for path in left:
            with suppress(OSError):
                os.rmdir(path)
        return not left

    cases.wait_until(removed, "its cgroup folders removed", 20)


def test_an_ordinary_user_trains_given_a_login_node_and_a_shared_folder(elsewhere: Elsewhere, workplace: Path) -> None:
    assert "adt_" not in elsewhere.inventory.read_text()
    assert elsewhere.run("sudo -n true 2>/dev/null || echo denied") == "denied\n"
    cases.write_case(workplace / "ranked", cases.training(3, 0.1), steps=PER_RANK)
    ran = elsewhere.play("-e", f"case=./ranked {SHARED}", cwd=workplace)
    assert ran.returncode == 0, ran.stdout
    run = support.latest_run(workplace, "ranked")
    result = cases.result(run)
    assert (result["state"], result["verdict"], result["world_size"]) == ("completed", "pass", 2)
    assert [metric["step"] for metric in cases.metrics(run) if metric["kind"] == "step"] == [0, 1, 2]
    assert elsewhere.run_dir(run) == f"/shared/adt-alice/runs/ranked/{run.name}"
    told = elsewhere.told(elsewhere.job_id(run))
    assert (told["UserId"], told["Partition"], told["JobState"]) == ("alice(2001)", "batch", "COMPLETED")
    assert told["TresPerNode"] == "gres:gpu:2"


def test_a_run_is_cancelled(elsewhere: Elsewhere, workplace: Path) -> None:
    cases.write_case(workplace / "stopped", cases.training(300, 0.2), steps=PER_RANK)
    ran = elsewhere.play("-e", f"case=./stopped detach=true {SHARED}", cwd=workplace)
    assert ran.returncode == 0, ran.stdout
    run = support.latest_run(workplace, "stopped")
    cases.wait_until(lambda: '"step": 1' in elsewhere.log(run), "step 1")
    ran = elsewhere.play("-e", f"cancel={run.name}", cwd=workplace)
    assert ran.returncode == 0, ran.stdout
    assert cases.result(run)["state"] == "cancelled"
    told = elsewhere.told(elsewhere.job_id(run))
    assert (told["JobState"], told["ExitCode"]) == ("FAILED", "75:0"), "saved on request, and not queued again"


def test_a_job_that_fails_is_judged_by_the_controllers_record(elsewhere: Elsewhere, workplace: Path) -> None:
    cases.write_case(workplace / "broken", ENDS_WITH_3, steps=PER_RANK)
    ran = elsewhere.play("-e", f"case=./broken detach=true {SHARED}", cwd=workplace)
    assert ran.returncode == 0, ran.stdout
    run = support.latest_run(workplace, "broken")
    job = elsewhere.job_id(run)
    elsewhere.wait_for_job(job, "FAILED")
    assert elsewhere.told(job)["ExitCode"] == "3:0"
    own_word = f"{shlex.quote(elsewhere.run_dir(run))}/attempts/train.ended"
    assert elsewhere.run(f"cat {own_word}; echo 0 >{own_word}") == "3\n"
    ran = elsewhere.play("-e", f"attach={run.name}", cwd=workplace)
    assert ran.returncode != 0
    assert f"job {job} ended with exit status 3" in cases.told(ran.stdout)
    assert cases.result(run)["state"] == "failed"


@contextmanager
def forgetful(elsewhere: Elsewhere) -> Iterator[None]:
    """The controller forgets a job 2 s after its end, instead of 300."""

    def set_age(seconds: int) -> None:
        sed = f"sed -i s/^MinJobAge=.*/MinJobAge={seconds}/ /etc/slurm/slurm.conf"
        # told to read it again, it would go on to look for such jobs once a minute
        elsewhere.run(f"{sed} && systemctl restart slurmctld", user="root")
        cases.wait_until(lambda: "is UP" in elsewhere.run("scontrol ping || [[ $? == 1 ]]"), "slurmctld")

    set_age(2)
    yield
    set_age(300)


def test_a_job_that_the_controller_has_forgotten_is_judged_by_its_own_last_word(
    elsewhere: Elsewhere, workplace: Path
) -> None:
    cases.write_case(workplace / "good", cases.training(3, 0.1), steps=PER_RANK)
    with forgetful(elsewhere):
        ran = elsewhere.play("-e", f"case=./good detach=true {SHARED}", cwd=workplace)
        assert ran.returncode == 0, ran.stdout
        run = support.latest_run(workplace, "good")
        elsewhere.wait_for_job(elsewhere.job_id(run), None)
        ran = elsewhere.play("-e", f"attach={run.name}", cwd=workplace)
    assert ran.returncode == 0, ran.stdout
    assert (cases.result(run)["state"], cases.result(run)["verdict"]) == ("completed", "pass")
    assert [metric["step"] for metric in cases.metrics(run) if metric["kind"] == "step"] == [0, 1, 2]


def test_a_rendered_folder_runs_by_sbatch_alone(elsewhere: Elsewhere, workplace: Path) -> None:
    cases.write_case(workplace / "rendered", cases.training(3, 0.1), steps=PER_RANK)
    ran = support.play(["-e", "case=./rendered launcher=slurm render_to=job"], workplace)
    assert ran.returncode == 0, ran.stdout
    docker("cp", f"{workplace}/job", f"{CONTAINER}:/shared/job")
    elsewhere.run("chown -R alice: /shared/job", user="root")
    answer = elsewhere.run("cd /shared/job && sbatch job.sbatch")
    job = int(answer.removeprefix("Submitted batch job "))
    elsewhere.wait_for_job(job, "COMPLETED")
    log = elsewhere.run("cat /shared/job/log.txt")
    assert [f'"step": {step}, ' in log for step in range(3)] == [True] * 3
    assert elsewhere.run("cat /shared/job/attempts/train.ended") == "0\n"
