"""Nodes for playbook validate: a container for each, with the programs of fake hardware in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import record
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.fake_hardware import __main__ as fake
from ansible_collections.awsome.distributed_training.tests.fake_hardware import reader

PROGRAMS = {"docker": "docker.io", "mmdebstrap": "mmdebstrap"}
ELSEWHERE = ("proc", "sys", "dev", "lib")
"""Folders of a fake node's files that a container has of its own."""


class Cluster:
    """Containers that answer as nodes of some types, and the way to run the playbook on them."""

    def __init__(self, folder: Path, nodes: Mapping[str, tuple[str, Sequence[str]]]) -> None:
        """:param nodes: name of a node: its type, and its faults."""
        self.folder, self.nodes, self.mark = folder, nodes, uuid.uuid4().hex[:6]
        self.tools = support.environment(support.ROOT / "requirements/molecule.lock")
        self.variables = support.linked_collection(folder / "collections")
        image = subprocess.run(
            [sys.executable, support.ROOT / "molecule/system_image.py", "debian12"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.strip()
        lines = ["[compute]"]
        for name, (type_, faults) in nodes.items():
            self._start(name, image, fake.make(type_, faults, folder / "fakes" / name), type_)
            about = {
                "ansible_connection": "community.docker.docker",
                "ansible_host": self.container(name),
                "ansible_become": "false",  # root already; there is no sudo
                "adt_instance_type": type_,
            }
            lines.append(" ".join([name, *(f"{key}={value}" for key, value in about.items())]))
        (folder / "inventory").write_text("\n".join(lines) + "\n")

    def container(self, name: str) -> str:
        return f"adt-validate-{self.mark}-{name}"

    def _start(self, name: str, image: str, made: Path, type_: str) -> None:
        container = self.container(name)
        words = ["docker", "run", "--detach", "--pull=never", "--network=none", f"--name={container}"]
        subprocess.run([*words, image, "sleep", "infinity"], check=True, stdout=subprocess.DEVNULL)
        versions, groups = reader.expected(type_)["versions"], {}
        if "neuron_dkms" in versions:  # what role neuron leaves
            groups["neuron"] = {"versions": versions}
            profile = made / "root/etc/profile.d/adt-neuron.sh"
            profile.parent.mkdir(parents=True)
            profile.write_text("PATH=/opt/aws/neuron/bin:$PATH\n")
        kept = made / f"root{record.PATH}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(record.written(groups))
        unpack(container, made / "root", ())
        unpack(container, made / "files", ELSEWHERE)

    def validate(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The playbook, as a user types it."""
        return support.play(
            ["-i", str(self.folder / "inventory"), *words],
            self.folder,
            {**self.variables, "ANSIBLE_HOME": str(self.folder / "ansible")},
            self.tools,
            f"{support.COLLECTION}.validate",
        )

    def newest(self) -> dict[str, Any]:
        """The newest report."""
        path = max((self.folder / "validations").glob("*/validation.json"), key=lambda one: one.stat().st_mtime_ns)
        return dict(json.loads(path.read_text()))

    def remove(self) -> None:
        names = [self.container(name) for name in self.nodes]
        subprocess.run(["docker", "rm", "--force", *names], check=False, stdout=subprocess.DEVNULL)


def unpack(container: str, folder: Path, without: Sequence[str]) -> None:
    """Put a folder's files over those of a container, but for some of its own folders."""
    packed = subprocess.run(
        ["tar", "-C", folder, *(f"--exclude=./{name}" for name in without), "-c", "."],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    into = ["docker", "exec", "-i", container, "tar", "-C", "/", "--keep-directory-symlink", "-x"]
    subprocess.run(into, input=packed, check=True)


def missing() -> str | None:
    """Why this machine cannot start nodes; None if it can."""
    if os.geteuid() != 0:
        return "only root can build the images"
    reason = support.missing_programs(PROGRAMS)
    if reason:
        return reason
    if support.run(["docker", "info"], support.ROOT).returncode != 0:
        return "Docker does not run; fix: start dockerd"
    return None


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A node of each kind of accelerated type, on which nothing is wrong."""
    yield from started(tmp_path_factory.mktemp("sound"), {type_.partition(".")[0]: (type_, ()) for type_ in TYPES})


TYPES = (
    "p4d.24xlarge",
    "p5.48xlarge",
    "p5en.48xlarge",
    "p6-b200.48xlarge",
    "p6-b300.48xlarge",
    "g6e.48xlarge",
    "trn2.48xlarge",
)


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Nodes with a fault each, and one without."""
    faults = {
        "sound": (),
        "missing": ("gpu_missing",),
        "remapping": ("row_remap_pending",),
        "linkless": ("nvlink_down",),
    }
    yield from started(
        tmp_path_factory.mktemp("broken"), {name: ("p5.48xlarge", given) for name, given in faults.items()}
    )


def started(folder: Path, nodes: Mapping[str, tuple[str, Sequence[str]]]) -> Iterator[Cluster]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    cluster = Cluster(folder, nodes)
    try:
        yield cluster
    finally:
        cluster.remove()
