#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module local_cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: local_cluster
short_description: Network, volume and containers of a cluster on this machine
version_added: 0.1.0
description:
  - Makes a bridge network, a volume for C(/fsx), and containers with systemd and ssh, C(ctl) and C(c1) to C(cN).
  - Idempotent. A container that was made with other options is made again; one that is stopped is started.
  - Touches only what bears the label of the cluster.
options:
  name:
    description: Name of the cluster. Docker's names begin with C(adt-) and this one.
    type: str
    required: true
  state:
    description: What the cluster shall be.
    type: str
    choices: [present, absent]
    default: present
  nodes:
    description: Number of compute nodes. By default as many as there are, 2 at first. Surplus ones are removed.
    type: int
  image:
    description: The image of all nodes. Needed with O(state=present).
    type: str
  folder:
    description:
      - The folder with the cluster's inventory and keys.
      - With O(state=absent) the files named in O(folder_files) are removed from it, then the folder if that leaves it
        empty, and a folder C(clusters) above if that leaves it empty.
    type: path
    required: true
  folder_files:
    description: Names of the files in O(folder) that belong to the cluster.
    type: list
    elements: str
    default: []
  authorized_key:
    description: Public key that may log in as root and as trainer. Needed with O(state=present).
    type: str
  mounts:
    description: Folders of this machine that new containers see, as C(source:target) or C(source:target:ro).
    type: list
    elements: str
    default: []
  files:
    description: Path and text of files that new containers get, owned by root and readable by all.
    type: dict
    default: {}
  ready_s:
    description: Seconds within which every container answers by ssh.
    type: int
    default: 60
attributes:
  check_mode: {support: full, description: Says what would change and changes nothing.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Start the containers
  awsome.distributed_training.local_cluster:
    name: local
    nodes: 2
    image: adt-local:3f9c0a1b2c3d
    folder: /tmp/clusters/local
    authorized_key: "{{ lookup('ansible.builtin.file', '/tmp/clusters/local/id_ed25519.pub') }}"
"""

RETURN = r"""
steps:
  description: What was done, one line each.
  returned: always
  type: list
  elements: str
nodes:
  description: The hosts, with C(name) and C(address); the first is C(ctl). None with O(state=absent).
  returned: always
  type: list
  elements: dict
host_keys:
  description: Name and public host key of each host.
  returned: with O(state=present), unless check mode found something to do
  type: dict
made:
  description: When the youngest container was made. Tells a cluster from an earlier one of its name.
  returned: with O(state=present), unless check mode found something to do
  type: str
"""

import io
import os
import tarfile
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils import local_cluster as cluster
from ansible_collections.awsome.distributed_training.plugins.module_utils.docker import docker, inspect
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

_CGROUP = "/sys/fs/cgroup"


def look(name: str) -> cluster.Existing:
    """What is there of the cluster."""
    label = f"label={cluster.LABEL}={name}"
    networks = docker("network", "ls", "--quiet", "--filter", label).split()
    volumes = docker("volume", "ls", "--quiet", "--filter", label).split()
    containers = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", label).split()
    repository = cluster.object_name(name)
    images = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "label=" + cluster.INPUTS)
    return cluster.read_existing(
        name,
        inspect("network", networks),
        inspect("volume", volumes),
        inspect("container", containers),
        [image for image in images.split() if image.rpartition(":")[0] == repository],
    )


def taken_networks() -> list[str]:
    """Networks that this machine routes to, or that Docker has."""
    with open("/proc/net/route", encoding="ascii") as file:
        taken = [network for _, network in cluster.routes(file.read()) if not network.endswith("/0.0.0.0")]
    for network in inspect("network", docker("network", "ls", "--quiet").split()):
        taken += [config["Subnet"] for config in network["IPAM"]["Config"] or [] if "Subnet" in config]
    return taken


def smallest_mtu() -> int:
    """Bytes: the MTU of the interfaces with a default route; 1500 without one."""
    with open("/proc/net/route", encoding="ascii") as file:
        names = [name for name, network in cluster.routes(file.read()) if network.endswith("/0.0.0.0")]
    found = []
    for name in names:
        with open(f"/sys/class/net/{name}/mtu", encoding="ascii") as file:
            found.append(int(file.read()))
    return min([1500, *found])


def desired(options: dict[str, Any], existing: cluster.Existing) -> cluster.Desired:
    """What the task asks for."""
    key = options["authorized_key"].strip()
    keys = {f"{home}/.ssh/authorized_keys": f"{key}\n" for home in ("root", "home/trainer")}
    return cluster.Desired(
        name=options["name"],
        nodes=options["nodes"],
        folder=options["folder"],
        image=options["image"],
        cgroup_version=docker("info", "--format", "{{.CgroupVersion}}").strip(),
        authorized_key=key,
        mtu=smallest_mtu(),
        subnet="" if existing.subnet else cluster.free_subnet(taken_networks()),
        mounts=tuple(options["mounts"]),
        files={**{path.lstrip("/"): text for path, text in options["files"].items()}, **keys},
    )


def archive(files: dict[str, str]) -> bytes:
    """A tar with some files; what lies below a home belongs to its user, and to nobody else."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, text in files.items():
            folder = os.path.dirname(path)
            owner = 1000 if path.startswith("home/trainer/") else 0
            private = os.path.basename(folder) == ".ssh"
            if private:
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o700, owner, owner
                tar.addfile(entry)
            entry = tarfile.TarInfo(path)
            entry.mode, entry.uid, entry.gid = (0o600 if private else 0o644), owner, owner
            entry.mtime, entry.size = int(time.time()), len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def take(step: cluster.Step) -> None:
    """One step."""
    made = docker(*step.words).strip()
    if step.files:
        try:
            docker("cp", "--archive", "-", f"{made}:/", given=archive(dict(step.files)))
        except TrainingError:
            docker("rm", "--force", made)  # the next run would take it for whole
            raise


def host_key(container: str, ready_s: int) -> str:
    """The container's public host key, once its ssh server runs."""
    deadline = time.monotonic() + ready_s
    asked = "systemctl is-active --quiet ssh && cat /etc/ssh/ssh_host_ed25519_key.pub"
    while True:
        try:
            return " ".join(docker("exec", container, "sh", "-c", asked).split()[:2])
        except TrainingError as error:
            if time.monotonic() > deadline:
                raise TrainingError(
                    f"container {container} has no ssh server after {ready_s} s ({error})",
                    f"look at docker exec {container} systemctl --failed",
                ) from error
        time.sleep(0.2)


def group_folders() -> list[str]:
    """All folders of the cgroup hierarchy; links such as cpu,cpuacct are not followed."""
    return [folder for folder, _, _ in os.walk(_CGROUP)]


def hosts_elsewhere(name: str) -> list[str]:
    """Host names of other clusters whose Slurm keeps processes in groups: such a group has the host's name alone."""
    found = []
    for container in inspect("container", docker("ps", "--quiet", "--filter", "label=" + cluster.LABEL).split()):
        if container["Config"]["Labels"][cluster.LABEL] != name:
            try:
                docker("exec", container["Id"], "grep", "-q", "proctrack/cgroup", "/etc/slurm/slurm.conf")
            except TrainingError:
                continue  # it has other words there, or no Slurm yet
            found.append(container["Config"]["Hostname"])
    return found


def remove_groups(name: str, existing: cluster.Existing) -> None:
    """Remove what containers left of their groups; a process that is still ending holds one for a moment."""
    if not existing.containers:
        return
    elsewhere = hosts_elsewhere(name)
    deadline = time.monotonic() + 10
    while True:
        failed = None
        for folder in cluster.stray_groups(group_folders(), existing, elsewhere):
            try:
                os.rmdir(folder)
            except OSError as error:
                failed = failed or error
        if failed is None:
            return
        if time.monotonic() > deadline:
            raise TrainingError(f"{failed.filename} is left, and cannot be removed: {failed.strerror}", "sudo rmdir it")
        time.sleep(0.2)


def folder_contents(folder: str, names: list[str]) -> list[str]:
    """The cluster's files in its folder, then each folder that holds nothing else: its own, and ``clusters`` above."""
    there = set(os.listdir(folder)) if os.path.isdir(folder) else set()
    found = [os.path.join(folder, name) for name in names if name in there]
    if os.path.isdir(folder) and there <= set(names):
        found.append(folder)
        above, own = os.path.split(folder)
        if os.path.basename(above) == "clusters" and os.listdir(above) == [own]:
            found.append(above)
    return found


def remove_all(paths: list[str]) -> None:
    """Remove files, and folders that are empty by then."""
    for path in paths:
        if os.path.isdir(path):
            os.rmdir(path)
        else:
            os.unlink(path)


def present(module: AnsibleModule, existing: cluster.Existing) -> dict[str, Any]:
    """Make what is missing."""
    wanted = desired(module.params, existing)
    steps = cluster.steps_to_present(wanted, existing)
    subnet = existing.subnet or wanted.subnet
    names = cluster.host_names(cluster.node_count(wanted.nodes, existing))
    nodes = [{"name": name, "address": cluster.address(subnet, name)} for name in names]
    result: dict[str, Any] = {"changed": bool(steps), "steps": [step.says for step in steps], "nodes": nodes}
    if not module.check_mode:
        for step in steps:
            take(step)
    if not (module.check_mode and steps):
        result["host_keys"] = {
            name: host_key(cluster.object_name(wanted.name, name), module.params["ready_s"]) for name in names
        }
        containers = inspect("container", [cluster.object_name(wanted.name, name) for name in names])
        result["made"] = max(container["Created"] for container in containers)
    return result


def absent(module: AnsibleModule, existing: cluster.Existing) -> dict[str, Any]:
    """Remove what is there."""
    name, folder = module.params["name"], existing.folder or module.params["folder"]
    steps = cluster.steps_to_absent(name, existing)
    files = folder_contents(folder, module.params["folder_files"])
    says = [step.says for step in steps] + [f"remove {path}" for path in files]
    if not module.check_mode:
        for step in steps:
            take(step)
        remove_groups(name, existing)
        remove_all(files)
    return {"changed": bool(says), "steps": says, "nodes": []}


def main() -> None:
    """Compare what is there with what shall be, and act on the difference."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "nodes": {"type": "int"},
            "image": {"type": "str"},
            "folder": {"type": "path", "required": True},
            "folder_files": {"type": "list", "elements": "str", "default": []},
            "authorized_key": {"type": "str", "no_log": False},
            "mounts": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "dict", "default": {}, "no_log": True},  # an index's address may hold a password
            "ready_s": {"type": "int", "default": 60},
        },
        required_if=[("state", "present", ["image", "authorized_key"])],
        supports_check_mode=True,
    )
    try:
        existing = look(module.params["name"])
        act = present if module.params["state"] == "present" else absent
        module.exit_json(**act(module, existing))
    except TrainingError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; fix: make it accessible to this user")


if __name__ == "__main__":
    main()
