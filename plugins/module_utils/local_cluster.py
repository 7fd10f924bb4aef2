# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A Slurm cluster of containers: its public variables, its Docker objects, and the steps from one state to another."""

from __future__ import annotations

import ast
import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import (
    TrainingError,
    did_you_mean,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.values import convert

PUBLIC: dict[str, dict[str, Any]] = {
    "cluster": {"type": "str", "default": "local", "help": "name of the cluster"},
    "nodes": {
        "type": "int",
        "default": None,
        "minimum": 1,
        "maximum": 64,
        "help": "number of compute nodes; without it as many as there are, 2 at first",
    },
    "state": {
        "type": "str",
        "default": "present",
        "choices": ["present", "absent"],
        "help": "absent removes the cluster",
    },
    "process_tracking": {
        "type": "str",
        "default": "linuxproc",
        "choices": ["linuxproc", "cgroup"],
        "help": "how Slurm finds the processes of a job",
    },
    "gpus": {"type": "int", "default": 0, "minimum": 0, "maximum": 8, "help": "GPUs that each node claims to have"},
}
"""The public variables of playbook clusters.local_slurm. ``adt_…`` and ``ansible_…`` are let through beside them."""

CONTROLLER = "ctl"
DEFAULT_NODES = 2
LABEL = "awsome.distributed_training.cluster"
"""Label of each network, volume and container of a cluster; its value is the cluster's name."""
INPUTS = "awsome.distributed_training.inputs"
"""Label of an image; its value is the key of its inputs. Clusters share an image and have each a name for it."""
SPECIFICATION = "awsome.distributed_training.specification"
FOLDER = "awsome.distributed_training.folder"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


def read_request(given: Mapping[str, Any], extra_names: Iterable[str]) -> dict[str, Any]:
    """The public variables with types and defaults.

    :param given: those that are set.
    :param extra_names: names of all variables of the command line; an unknown one is a slip, and refused.
    """
    for name in extra_names:
        if name not in PUBLIC and not name.startswith(("adt_", "ansible_")):
            # Ansible warns of a variable of that name, which is why there is none
            fix = "-e cluster=NAME" if name == "name" else did_you_mean(name, PUBLIC)
            raise TrainingError(f"variable {name!r} is not known", fix)
    request: dict[str, Any] = {}
    for name, about in PUBLIC.items():
        value = given.get(name)
        request[name] = about["default"] if value is None or value == "" else convert(name, about, value, "-e")
    if not _NAME.fullmatch(request["cluster"]):
        raise TrainingError(
            f"cluster={request['cluster']!r} is no name for a cluster",
            "at most 31 of a-z, 0-9 and -, the first a letter or a digit",
        )
    return request


_PIP_NAMES = ("extra-index-url", "find-links", "index-url", "no-index", "proxy", "timeout")
_PIP_SECTIONS = ("global", "install", ":env:")


def pip_settings(listing: str) -> dict[str, str]:
    """Where pip takes packages from, out of ``pip config list``; a later section of _PIP_SECTIONS wins."""
    found: dict[str, str] = {}
    lines = [line.partition("=") for line in listing.splitlines()]
    for section in _PIP_SECTIONS:
        for key, _, value in lines:
            name = key[len(section) + 1 :]
            if key == f"{section}.{name}" and name in _PIP_NAMES:
                found[name] = str(ast.literal_eval(value))
    return found


def pip_folders(settings: Mapping[str, str]) -> list[str]:
    """Folders of packages on this machine that pip looks into."""
    return [word for word in settings.get("find-links", "").split() if word.startswith("/")]


def pip_conf(settings: Mapping[str, str], bundle: str | None) -> str:
    """The text of a pip.conf; :param bundle: path of the certificates to trust, None for pip's own."""
    lines = [f"{name} = {' '.join(value.split())}" for name, value in sorted(settings.items())]
    if bundle:
        lines.append(f"cert = {bundle}")
    return "\n".join(["[global]", *lines, ""]) if lines else ""


CGROUP_OPTIONS = {
    # has run: Docker 20.10 on a host with cgroup v1 and the hybrid hierarchy
    "1": ("--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"),
    # has not run. The same words: systemd finds its own group through the host's hierarchy on v2, too
    "2": ("--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"),
}
"""By version of cgroup: what lets systemd make groups in a container."""

SYSTEMD_OPTIONS = (
    "--cap-add=SYS_ADMIN",
    # with process_tracking=cgroup Slurm binds the processes of other users to cores
    "--cap-add=SYS_NICE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
    "--shm-size=1g",
    # systemd does not end at SIGTERM: docker stop takes 10 s with it, and 0.3 s with this one
    "--stop-signal=SIGRTMIN+3",
)


@dataclass(frozen=True)
class Desired:
    """What a cluster shall be."""

    name: str
    folder: str
    image: str
    cgroup_version: str
    authorized_key: str
    nodes: int | None = None
    mtu: int = 1500
    subnet: str = ""
    """Where the network is made, unless it is there."""
    mounts: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Container:
    """A container that is there."""

    id: str
    hostname: str
    running: bool
    specification: str


@dataclass(frozen=True)
class Existing:
    """What is there of a cluster."""

    subnet: str | None = None
    """None without a network."""
    volume: bool = False
    containers: tuple[Container, ...] = ()
    images: tuple[str, ...] = ()
    folder: str | None = None
    """Where its inventory was written."""


@dataclass(frozen=True)
class Step:
    """One call of docker; ``files`` are put into the container that it makes."""

    says: str
    words: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)


def object_name(cluster: str, what: str = "") -> str:
    """Name of a Docker object of a cluster."""
    return f"adt-{cluster}-{what}" if what else f"adt-{cluster}"


def host_names(nodes: int) -> list[str]:
    """The hosts of a cluster: the controller, then the compute nodes."""
    return [CONTROLLER, *(f"c{number}" for number in range(1, nodes + 1))]


def address(subnet: str, hostname: str) -> str:
    """The address of a host: .2 for the controller, .11 and up for compute nodes."""
    offset = 2 if hostname == CONTROLLER else 10 + int(hostname[1:])
    return str(ipaddress.ip_network(subnet)[offset])


def node_count(desired: int | None, existing: Existing) -> int:
    """How many compute nodes a cluster shall have: as many as it has, unless somebody says."""
    there = sum(container.hostname != CONTROLLER for container in existing.containers)
    return desired or there or DEFAULT_NODES


def free_subnet(taken: Iterable[str]) -> str:
    """The first /24 of 172.30.0.0/16 and 10.213.0.0/16 that overlaps none of some networks."""
    used = [ipaddress.ip_network(network, strict=False) for network in taken]
    for pool in ("172.30.0.0/16", "10.213.0.0/16"):
        for subnet in ipaddress.ip_network(pool).subnets(new_prefix=24):
            if not any(subnet.overlaps(other) for other in used if other.version == 4):
                return str(subnet)
    raise TrainingError("no /24 of 172.30.0.0/16 and 10.213.0.0/16 is free", "remove a Docker network")


def routes(table: str) -> list[tuple[str, str]]:
    """Interface and network of each line of /proc/net/route."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        target, mask = (_little_endian(words[column]) for column in (1, 7))
        found.append((words[0], f"{target}/{mask}"))
    return found


def _little_endian(word: str) -> str:
    return str(ipaddress.IPv4Address(bytes.fromhex(word)[::-1]))


def create_words(desired: Desired, subnet: str, hostname: str) -> list[str]:
    """``docker create`` of a host, without what differs from one call to the next."""
    options = [
        f"--name={object_name(desired.name, hostname)}",
        f"--hostname={hostname}",
        f"--network={object_name(desired.name)}",
        f"--network-alias={hostname}",
        f"--ip={address(subnet, hostname)}",
        f"--volume={object_name(desired.name, 'fsx')}:/fsx",
        f"--label={LABEL}={desired.name}",
        f"--label={FOLDER}={desired.folder}",
        *CGROUP_OPTIONS[desired.cgroup_version],
        *SYSTEMD_OPTIONS,
    ]
    return ["create", *options]


def specification(desired: Desired, subnet: str, hostname: str) -> str:
    """Digest of what a container must have been made with; package sources may have come or gone since."""
    parts = [*create_words(desired, subnet, hostname), desired.image, desired.authorized_key]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def steps_to_present(desired: Desired, existing: Existing) -> list[Step]:
    """What makes a cluster out of what is there."""
    if existing.folder not in (None, desired.folder):
        raise TrainingError(
            f"cluster {desired.name!r} is there, and its keys lie in {existing.folder}",
            f"run this where {existing.folder} is meant, or give another name: -e cluster=NAME",
        )
    network = object_name(desired.name)
    subnet = existing.subnet or desired.subnet
    label = f"--label={LABEL}={desired.name}"
    steps = []
    if existing.subnet is None:
        mtu = f"--opt=com.docker.network.driver.mtu={desired.mtu}"
        options = (f"--subnet={subnet}", mtu, label, f"--label={FOLDER}={desired.folder}")
        steps.append(Step(f"make network {network} {subnet}", ("network", "create", *options, network)))
    if not existing.volume:
        volume = object_name(desired.name, "fsx")
        steps.append(Step(f"make volume {volume}", ("volume", "create", label, volume)))
    there = {container.hostname: container for container in existing.containers}
    names = host_names(node_count(desired.nodes, existing))
    for hostname in [name for name in there if name not in names]:
        steps.append(_removal(desired.name, there[hostname]))
    for hostname in names:
        container = object_name(desired.name, hostname)
        wanted = specification(desired, subnet, hostname)
        found = there.get(hostname)
        if found and found.specification != wanted:
            steps.append(_removal(desired.name, found))
            found = None
        if found is None:
            varying = (f"--label={SPECIFICATION}={wanted}", *(f"--volume={mount}" for mount in desired.mounts))
            words = (*create_words(desired, subnet, hostname), *varying, desired.image)
            steps.append(Step(f"make container {container}", words, desired.files))
        if found is None or not found.running:
            steps.append(Step(f"start container {container}", ("start", container)))
    return steps


def steps_to_absent(name: str, existing: Existing) -> list[Step]:
    """What removes all Docker objects of a cluster."""
    steps = [_removal(name, container) for container in existing.containers]
    if existing.subnet is not None:
        network = object_name(name)
        steps.append(Step(f"remove network {network}", ("network", "rm", network)))
    if existing.volume:
        volume = object_name(name, "fsx")
        steps.append(Step(f"remove volume {volume} and all that is in /fsx", ("volume", "rm", volume)))
    steps += [Step(f"remove image {image}", ("image", "rm", image)) for image in existing.images]
    return steps


def _removal(cluster: str, container: Container) -> Step:
    name = object_name(cluster, container.hostname)
    return Step(f"remove container {name}", ("rm", "--force", "--volumes", container.id))


def read_existing(
    name: str,
    networks: Iterable[Mapping[str, Any]],
    volumes: Iterable[Mapping[str, Any]],
    containers: Iterable[Mapping[str, Any]],
    images: Iterable[str],
) -> Existing:
    """What is there of a cluster, out of ``docker inspect`` of the objects that bear its label."""
    subnet = folder = None
    for network in networks:
        subnet = network["IPAM"]["Config"][0]["Subnet"]
        folder = network["Labels"].get(FOLDER)
    found = []
    for container in containers:
        labels = container["Config"]["Labels"]
        folder = folder or labels.get(FOLDER)
        found.append(
            Container(
                id=container["Id"],
                hostname=container["Config"]["Hostname"],
                running=container["State"]["Running"],
                specification=labels.get(SPECIFICATION, ""),
            )
        )
    found.sort(key=lambda container: (container.hostname != CONTROLLER, len(container.hostname), container.hostname))
    has_volume = any(volume["Name"] == object_name(name, "fsx") for volume in volumes)
    return Existing(subnet, has_volume, tuple(found), tuple(images), folder)


def stray_groups(folders: Iterable[str], existing: Existing, hosts_elsewhere: Iterable[str] = ()) -> list[str]:
    """Folders of the cgroup hierarchy that a cluster's containers left, the deepest first.

    Docker names a group by the container's id. Debian's Slurm makes ``slurm_<node>`` at the root of the hierarchy.

    :param folders: all folders of the hierarchy.
    :param hosts_elsewhere: host names of other clusters; what could be theirs is no stray.
    """
    ids = {container.id for container in existing.containers}
    names = {container.hostname for container in existing.containers} - set(hosts_elsewhere)
    slurm = {f"slurm_{name}" for name in names}

    def is_stray(folder: str) -> bool:
        parts = folder.split("/")
        return any(part in slurm or any(id_ in part for id_ in ids) for part in parts)

    return sorted(filter(is_stray, folders), key=lambda folder: (-folder.count("/"), folder))
