"""Containers that stand for nodes of a mirror's tests, and roles that are applied to them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.awsome.distributed_training.tests import support

NAME = "adt-mirror"
MANIFEST = "/var/lib/awsome-distributed-training/manifest.json"

DNF_PACKAGES = ("dnf", "rpm", "gpgv")
_AMAZON = 'NAME="Amazon Linux"\nVERSION="2023"\nID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n'

# what Ansible itself leaves on a node, and what reading a clock or a name leaves
_NOISE = re.compile(r"^/(root|tmp|run|proc|sys|dev)(/|$)|/__pycache__(/|$)|^/var/(tmp|log|lib)?$|^/etc$|^/usr")


def docker(*words: str, check: bool = True) -> str:
    ran = subprocess.run(["docker", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert not check or ran.returncode == 0, f"docker {' '.join(words)}: {ran.stderr}"
    return ran.stdout


def debian(suite: str) -> str:
    """The image of a bare Debian."""
    words: list[str | Path] = [sys.executable, support.ROOT / "molecule/base_image.py", suite]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def amazon_stand_in() -> str:
    """The image of a Debian with dnf that calls itself Amazon Linux 2023: a stand-in, and no more than that."""
    base = debian("bookworm")
    name = f"{NAME}-dnf:{base.rpartition('-')[2]}"
    if not docker("image", "ls", "--quiet", name):
        made = docker("run", "--detach", base, "sleep", "600").strip()
        try:
            install = f"apt-get update -qq && apt-get install -qq --no-install-recommends {' '.join(DNF_PACKAGES)}"
            docker("exec", "--env", "DEBIAN_FRONTEND=noninteractive", made, "sh", "-c", install)
            system = f"printf '%s' '{_AMAZON}' >/etc/os-release; rm -f /etc/debian_version /etc/apt/sources.list"
            docker(
                "exec", made, "sh", "-c", f"{system}; echo 'Amazon Linux release 2023 (stand-in)' >/etc/system-release"
            )
            docker("commit", made, name)
        finally:
            docker("rm", "--force", made)
    return name


@dataclass(frozen=True)
class Node:
    """A running container."""

    name: str

    def run(self, *words: str, check: bool = True) -> str:
        return docker("exec", self.name, *words, check=check)

    def changed_files(self) -> set[str]:
        """Files that differ from the image, but for what Ansible itself leaves."""
        paths = {line.partition(" ")[2] for line in docker("diff", self.name).splitlines()}
        return {path for path in paths if not _NOISE.search(path)}

    def manifest(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run("cat", MANIFEST))
        return document

    def mode(self, path: str) -> str:
        return self.run("stat", "--format=%a %U", path).strip()


@contextmanager
def node(image: str, *options: str) -> Iterator[Node]:
    """A container that does nothing."""
    name = f"{NAME}-{uuid.uuid4().hex[:8]}"
    docker("run", "--detach", "--name", name, *options, image, "sleep", "infinity")
    try:
        yield Node(name)
    finally:
        docker("rm", "--force", name)


@dataclass(frozen=True)
class Ansible:
    """ansible-playbook with the connection that enters containers, and this checkout as the collection."""

    tools: Path
    folder: Path
    variables: dict[str, str | None]

    def play(
        self, on: Sequence[Node], tasks: Sequence[dict[str, Any]], *words: str, variables: dict[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Tasks on nodes; words are options of ansible-playbook."""
        play = {"hosts": "all", "gather_facts": False, "vars": variables or {}, "tasks": list(tasks)}
        path = self.folder / f"play-{uuid.uuid4().hex[:8]}.yml"
        path.write_text(yaml.safe_dump([play], sort_keys=False))
        inventory = ["-i", "".join(f"{one.name}," for one in on), "-e", "ansible_connection=community.docker.docker"]
        python = ["-e", "ansible_python_interpreter=/usr/bin/python3"]
        return support.run(
            [self.tools / "ansible-playbook", *inventory, *python, path, *words],
            self.folder,
            self.variables,
            timeout=600,
        )


def ansible(folder: Path) -> Ansible:
    tools = support.environment(support.ROOT / "requirements/molecule.lock")
    variables = {
        **support.linked_collection(folder / "collections"),
        "PATH": f"{tools}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(tools.parent),
        "NO_COLOR": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
    }
    return Ansible(tools, folder, variables)


def include(role: str, **arguments: Any) -> dict[str, Any]:
    """A task that applies a role."""
    return {
        "name": f"Apply {role}",
        "ansible.builtin.include_role": {"name": f"{support.COLLECTION}.{role}"},
        "vars": arguments,
    }


def recap(ran: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The counts of the closing line of a play on one node."""
    line = re.findall(r"^\S+\s+: (ok=.*)$", ran.stdout, re.MULTILINE)[-1]
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}
