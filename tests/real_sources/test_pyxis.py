"""pyxis from the archive of its tag, built by role pyxis against Debian's Slurm: srun starts a container of enroot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.real_sources import images, sources
from ansible_collections.awsome.distributed_training.tests.real_sources.conftest import MakeNode


def slurm() -> dict[str, Any]:
    """Variables of a node that is a whole cluster, as the scenario of role slurm has them."""
    told: dict[str, Any] = yaml.safe_load((support.ROOT / "molecule/slurm/vars/main.yml").read_text())
    return {**told, "node_name": "node"}


def test_srun_starts_a_container(bare_node: MakeNode, workplace: Path) -> None:
    with bare_node(variables=slurm()) as at:
        at.apply("munge", "slurm", "enroot", "pyxis")
        images.user(at.node)
        images.debian(at.node, workplace)

        plugin = at.node.run("grep", "-aoE", "pyxis: version v[0-9.]+", "/usr/local/lib/slurm/spank_pyxis.so").split()
        assert plugin[-1] == f"v{sources.version('pyxis')}"
        assert at.user(images.USER, "sh", "-c", "test ! -e /etc/inside && srun cat /etc/hostname").strip() == "node"

        uid = at.user(images.USER, "id", "-u").strip()
        command = ("sh", "-c", f"cat {images.MARK}; id -u; echo $SLURM_JOB_ID")
        inside = at.user(images.USER, "srun", f"--container-image={images.SQUASHFS}", *command).splitlines()
        assert inside[:2] == [images.INSIDE, uid]
        assert int(inside[2]) > 1

        # a container that has a name outlives its step, for the next one
        first = f"srun --container-name=kept --container-image={images.SQUASHFS} --container-writable touch /srv/made"
        job = f"{first} && srun --container-name=kept ls /srv/made"
        assert at.user(images.USER, "salloc", "--quiet", "sh", "-c", job).strip() == "/srv/made"
