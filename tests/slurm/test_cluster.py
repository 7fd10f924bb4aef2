"""The play of the local cluster: what it leaves alone, what it adds, what it writes."""

from __future__ import annotations

import re

import yaml
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.slurm.clusters import LOCAL_SLURM, Cluster


def test_a_second_run_changes_nothing_and_restarts_nothing(cluster: Cluster) -> None:
    started = "systemctl show slurmctld slurmdbd mariadb munge --property=ActiveEnterTimestamp"
    before = cluster.run(started)
    ran = support.play(["-e", f"cluster={cluster.name}"], cluster.folder, playbook=LOCAL_SLURM, timeout=600)
    assert ran.returncode == 0, ran.stdout
    counts = re.findall(r"changed=(\d+)", ran.stdout)
    assert len(counts) == 5, "three nodes, their head and this machine"
    assert set(counts) == {"0"}, ran.stdout
    assert cluster.run(started) == before


def test_the_inventory_names_head_login_and_compute_and_logs_in_as_an_ordinary_user(cluster: Cluster) -> None:
    groups = yaml.safe_load(cluster.inventory.read_text())["all"]["children"]["cluster"]
    assert set(groups["children"]) == {"head", "login", "compute"}
    assert set(groups["children"]["compute"]["children"]["main"]["hosts"]) == {"c1", "c2", "c3"}
    assert {name for name in groups["vars"] if name.startswith("adt_")} >= {
        "adt_cluster_name",
        "adt_cluster_kind",
        "adt_instance_type",
        "adt_shared_dir",
        "adt_partition",
        "adt_slurm_prefix",
    }
    pinged = support.run(
        [support.BIN / "ansible", "-i", cluster.inventory, "compute", "-m", "ansible.builtin.command", "-a", "id -un"],
        cluster.folder,
    )
    assert pinged.returncode == 0, pinged.stdout
    assert pinged.stdout.splitlines().count("trainer") == 3


def test_every_node_takes_a_job_and_the_accounting_knows_it(cluster: Cluster) -> None:
    job = int(cluster.run("cd /fsx && sbatch --parsable --wait --nodes=3 --output=/dev/null --wrap='srun hostname'"))
    ((state, nodes),) = cluster.accounted(job, "State", "NNodes")
    assert (state, nodes) == ("COMPLETED", "3")
