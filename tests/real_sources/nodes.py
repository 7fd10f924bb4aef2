"""Nodes that take the vendors' sources from a folder: containers of Debian 12 with systemd, roles applied to them."""

from __future__ import annotations

import os
import shlex
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.mirror import containers
from ansible_collections.awsome.distributed_training.tests.mirror.containers import Ansible, Node
from ansible_collections.awsome.distributed_training.tests.real_sources import sources

MIRROR = "/srv/mirror"
CUDA = "/usr/local/cuda"
NCCL = f"/opt/nccl/{sources.version('nccl')}"
NAME = "adt-real"
BUILD_S = 1800
OPTIONS = (
    "--stop-signal=SIGRTMIN+3",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--cgroupns=host",
    "--cap-add=SYS_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
)
"""As tests/molecule has its containers."""


@dataclass(frozen=True)
class Workshop:
    """A node, and how roles are applied to it."""

    node: Node
    ansible: Ansible
    variables: Mapping[str, Any] = field(default_factory=dict)

    def play(self, tasks: Sequence[dict[str, Any]]) -> dict[str, int]:
        """Tasks on the node; how many were changed and so on.

        :raises AssertionError: one failed.
        """
        path = self.ansible.folder / f"play-{uuid.uuid4().hex[:8]}.yml"
        play = {"hosts": "all", "gather_facts": False, "vars": dict(self.variables), "tasks": list(tasks)}
        path.write_text(yaml.safe_dump([play], sort_keys=False))
        reached = {"ansible_connection": "community.docker.docker", "ansible_python_interpreter": "/usr/bin/python3"}
        options = [word for name, value in reached.items() for word in ("-e", f"{name}={value}")]
        words = [self.ansible.tools / "ansible-playbook", "-i", f"{self.node.name},", *options, path]
        ran = support.run(words, self.ansible.folder, self.ansible.variables, timeout=BUILD_S)
        assert ran.returncode == 0, ran.stdout
        return containers.recap(ran)

    def apply(self, *roles: str) -> None:
        """Apply roles, which end with their checks, then again: nothing may change."""
        tasks = [containers.include(role) for role in roles]
        self.play(tasks)
        assert self.play(tasks)["changed"] == 0

    def user(self, name: str, *words: str) -> str:
        """What a command prints that an ordinary user of the node runs, as a login of that user has it."""
        return self.node.run("runuser", "--login", name, "--command", shlex.join(words))


@contextmanager
def node(mounts: Mapping[str, Path], kept: bool = False) -> Iterator[Node]:
    """A running container, removed in the end.

    :param mounts: what is mounted, by its path in there; nothing may write to it.
    """
    name = f"{NAME}-{uuid.uuid4().hex[:8]}"
    volumes = [f"--volume={here}:{there}:ro" for there, here in mounts.items()]
    image = containers.debian("bookworm")
    containers.docker(
        *("run", "--detach", f"--name={name}", "--hostname=node"), *OPTIONS, *volumes, image, "/lib/systemd/systemd"
    )
    try:
        made = Node(name)
        # not there for the first moments
        made.run("timeout", "60", "sh", "-c", "until [ -S /run/systemd/private ]; do sleep 0.2; done")
        made.run("timeout", "120", "systemctl", "is-system-running", "--wait", check=False)
        yield made
    finally:
        if not kept:
            containers.docker("rm", "--force", "--volumes", name)


def cuda(folder: Path) -> Path:
    """A CUDA toolkit as NVIDIA's packages lay it out, from NVIDIA's wheels of the same release."""
    wheels = wheel("cu13")
    made = folder / "cuda"
    shutil.copytree(wheels, made, symlinks=True)
    (made / "lib64").symlink_to("lib")
    for library in (made / "lib").glob("lib*.so.*"):  # wheels have no names for the linker
        plain = library.with_name(f"{library.name.partition('.so.')[0]}.so")
        if not plain.exists():
            plain.symlink_to(library.name)
    return made


def nccl() -> dict[str, Path]:
    """What is mounted for an NCCL where role nccl puts its own, from NVIDIA's wheel."""
    wheels = wheel("nccl")
    library = wheels / "lib/libnccl.so.2"
    return {
        f"{NCCL}/include": wheels / "include",
        f"{NCCL}/lib/libnccl.so": library,  # wheels have no name for the linker
        f"{NCCL}/lib/libnccl.so.2": library,
    }


def wheel(name: str) -> Path:
    """The folder of a wheel of requirements/real-sources.lock, below nvidia."""
    environment = support.environment(support.ROOT / "requirements/real-sources.lock").parent
    return next(environment.glob(f"lib/python*/site-packages/nvidia/{name}"))


def variables(mirror: Path, part: str) -> dict[str, Any]:
    """What a play has to say so that the roles of a part take their files from the mirror."""
    return {
        "adt_instance_type": "p5.48xlarge",
        "artifact_mirror": MIRROR,
        f"{part}_jobs": os.cpu_count(),
        "stack_overrides": sources.overrides(mirror, sources.sources([part])),
    }
