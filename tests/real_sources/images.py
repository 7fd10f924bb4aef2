"""An image that enroot starts, and a user who starts it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.awsome.distributed_training.tests.mirror import containers
from ansible_collections.awsome.distributed_training.tests.mirror.containers import Node, docker

USER = "trainer"
SQUASHFS = "/srv/debian.sqsh"
MARK = "/etc/inside"
INSIDE = "in the container"
"""What MARK says in the image; no node has that file."""


def user(node: Node) -> None:
    """Make an ordinary user."""
    node.run("useradd", "--create-home", "--shell=/bin/bash", USER)


def debian(node: Node, folder: Path) -> None:
    """Make a squashfs of a bare Debian by the node's own tools."""
    node.run("mkdir", "/srv/debian")
    made = docker("create", containers.debian("bookworm")).strip()
    try:
        (folder / "inside").write_text(f"{INSIDE}\n")
        docker("cp", str(folder / "inside"), f"{made}:{MARK}")
        # no device files: users cannot make them, and enroot brings a container's own
        unpack = ["tar", "--extract", "--directory=/srv/debian", "--exclude=dev/*"]
        with subprocess.Popen(["docker", "export", made], stdout=subprocess.PIPE) as exported:
            subprocess.run(["docker", "exec", "--interactive", node.name, *unpack], stdin=exported.stdout, check=True)
        assert exported.returncode == 0
    finally:
        docker("rm", made)
    packed = ("-quiet", "-no-progress", "-comp", "zstd", "-Xcompression-level", "1")
    node.run("mksquashfs", "/srv/debian", SQUASHFS, *packed)
