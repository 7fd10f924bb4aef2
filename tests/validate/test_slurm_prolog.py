"""Checks on a local Slurm cluster with fake hardware: playbook validate, and a prolog that takes a node out."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Iterator

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.fake_hardware import __main__ as fake
from ansible_collections.awsome.distributed_training.tests.slurm import clusters

from .conftest import missing, unpack

TYPE = "p5.48xlarge"
PROLOG = "/etc/slurm/prolog.d/50-adt-checks"
PLAY = f"""\
- name: Let the nodes check themselves
  hosts: compute
  gather_facts: false
  become: true
  tasks:
    - name: Apply the role
      ansible.builtin.include_role:
        name: awsome.distributed_training.node_checks
      vars:
        adt_instance_type: {TYPE}
        node_checks_boot: false
        node_checks_prolog: {PROLOG}
        node_checks_prolog_tags: [gpu, nvlink]
"""
SETTINGS = "Prolog=/etc/slurm/prolog.d/*\nPrologFlags=Alloc\nSchedulerParameters=nohold_on_prolog_fail\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[clusters.Cluster]:
    """Two nodes of a type with GPUs, which check themselves before each job."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    folder, name = tmp_path_factory.mktemp("slurm"), f"checks{uuid.uuid4().hex[:4]}"
    try:
        made, _, _ = clusters.bring_up(name, folder, "-e", "nodes=2")
        for node in nodes(made):
            become(made, node)
        (folder / "checks.yml").write_text(PLAY)
        ran = support.play(
            ["-i", str(made.inventory), "-e", "ansible_user=root"], folder, playbook=str(folder / "checks.yml")
        )
        assert ran.returncode == 0, ran.stdout
        for host in ("ctl", *nodes(made)):
            made.run(f"printf '{SETTINGS}' >>/etc/slurm/slurm.conf", host, "root")
        made.run("systemctl restart slurmctld", "ctl", "root")
        for node in nodes(made):
            made.run("systemctl restart slurmd", node, "root")
        for node in nodes(made):
            made.wait_for_node(node, "idle")
        yield made
    finally:
        clusters.take_down(name, folder)


def nodes(cluster: clusters.Cluster) -> list[str]:
    """The names of the compute nodes."""
    return sorted(set(cluster.run("sinfo --noheader --Node --format=%N").split()))


def become(cluster: clusters.Cluster, node: str, *faults: str) -> None:
    """Give a node the tools of a type, with faults."""
    made = fake.make(TYPE, faults, cluster.folder / "fakes" / node)
    unpack(f"adt-{cluster.name}-{node}", made / "root", ())


def validate(cluster: clusters.Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    given = ["-i", str(cluster.inventory), "-e", f"hosts=compute ansible_user=root adt_instance_type={TYPE}", *words]
    return support.play(given, cluster.folder, playbook=f"{support.COLLECTION}.validate")


def test_playbook_validate_on_the_cluster(cluster: clusters.Cluster) -> None:
    ran = validate(cluster, "--tags", "stack,gpu")
    assert ran.returncode == 0, ran.stdout
    for check in ("gpu.count", "gpu.xids", "node_checks.program", "node_checks.prolog"):
        assert f"PASS     {check} " in ran.stdout, ran.stdout


def test_a_node_that_is_not_sound_leaves_the_queue_with_its_reason(cluster: clusters.Cluster) -> None:
    first, second = nodes(cluster)
    assert sorted(cluster.run("srun -N2 hostname").split()) == [first, second]
    become(cluster, first, "gpu_missing")
    out = f"{cluster.shared_dir}/told-{uuid.uuid4().hex[:6]}"
    job = cluster.run(f"sbatch --parsable -N1 --requeue --output={out} --wrap='hostname'").strip()
    cluster.wait_for_node(first, "drain")
    reason = cluster.run(f"sinfo --noheader --nodes={first} --format=%E")
    assert reason.startswith("adt-checks: gpu.count: 7 of 8 GPUs answer"), reason
    until = time.monotonic() + 180
    while job in cluster.run("squeue --noheader --format=%i").split():
        assert time.monotonic() < until, cluster.run(f"scontrol show job {job}")
        time.sleep(1)
    assert cluster.run(f"cat {out}").split() == [second]

    ran = validate(cluster, "--tags", "gpu")
    assert ran.returncode != 0
    assert [line.split()[:3] for line in ran.stdout.splitlines() if line.startswith("FAIL  ")] == [
        ["FAIL", "gpu.count", first]
    ]
