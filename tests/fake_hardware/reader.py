"""A fake node as checks read one: in process, without a program or a file."""

from __future__ import annotations

import fnmatch
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    File,
    Probe,
    Reader,
    Reading,
    registry,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.cuda import on_loaders_path

from . import describe
from .node import Node

State = Mapping[str, Any]


def reader(state: State) -> Reader:
    """Answers probes as the node would; a probe is answered once, and then again the same."""
    node, known = Node(state), dict[Probe, Reading]()

    def read(probe: Probe) -> Reading:
        if probe not in known:
            known[probe] = _read(node, probe)
        return known[probe]

    return read


def _read(node: Node, probe: Probe) -> Reading:
    if isinstance(probe, File):
        text = node.files.get(probe.path)
        return Reading(None) if text is None else Reading(0, text)
    if not isinstance(probe, Command):
        names = node.folder(probe.path)
        return Reading(None) if names is None else Reading(0, "".join(f"{name}\n" for name in names))
    if probe.argv in _SHELL:
        return _SHELL[probe.argv](node.state)
    if probe.argv[0] in _BESIDE:
        return _BESIDE[probe.argv[0]](node, probe.argv)
    answer = node.answer(probe.argv)
    return Reading(None) if answer is None else Reading(answer.status, answer.out, answer.err)


def _lines(lines: Sequence[str]) -> Reading:
    return Reading(0, "".join(f"{line}\n" for line in lines))


def _on_path(*patterns: str) -> Callable[[State], Reading]:
    """Files on the loader's path whose names match."""
    return lambda state: _lines(
        [one["path"] for one in state["loader"] if any(fnmatch.fnmatch(one["name"], pattern) for pattern in patterns)]
    )


def _plugin_text(state: State) -> Reading:
    first = next((one for one in state["loader"] if one["name"] == "libnccl-net.so"), None)
    return _lines(first["text"]) if first else Reading(2)


def _builds(state: State) -> Reading:
    names = ("libibverbs.so.1", "libefa.so.1")
    return _lines([f"{one['path']} {one['text'][0]}" for one in state["loader"] if one["name"] in names])


def _found_neuron(state: State) -> Reading:
    return Reading(0, "/opt/aws/neuron/bin/neuron-ls\n") if "neuron" in state["modules"] else Reading(127)


def _mount_lustre(state: State) -> Reading:
    return Reading(0, "/usr/sbin/mount.lustre\n") if "/usr/sbin/mount.lustre" in state["files"] else Reading(127)


def _argv(check: str, name: str) -> tuple[str, ...]:
    """What a check runs."""
    probe = registry.CHECKS[check].reads({})[name]
    assert isinstance(probe, Command)
    return probe.argv


_SHELL: dict[tuple[str, ...], Callable[[State], Reading]] = {
    on_loaders_path("libnccl-net*.so*").argv: _on_path("libnccl-net*.so*"),
    on_loaders_path("libfabric.so.1").argv: _on_path("libfabric.so.1"),
    _argv("aws_ofi_nccl.version", "text"): _plugin_text,
    _argv("efa.plugin", "plugins"): _on_path("libnccl-net*.so*"),
    _argv("efa.verbs", "builds"): _builds,
    _argv("efa.memlock", "session"): lambda state: Reading(0, "unlimited\n"),
    _argv("neuron.path", "found"): _found_neuron,
    _argv("lustre_client.tools", "mount"): _mount_lustre,
}
"""Small scripts of checks, by their words: what they find on the node."""


def _dpkg_query(node: Node, words: Sequence[str]) -> Reading:
    names = [word for word in words[1:] if not word.startswith("-")]
    packages = node.state["packages"]
    asked = names or sorted(packages)
    absent = [name for name in asked if name not in packages]
    out = "".join(f"{name}\t{packages[name]}\tii \n" for name in asked if name in packages)
    return Reading(
        int(bool(absent)), out, "".join(f"dpkg-query: no packages found matching {name}\n" for name in absent)
    )


def _find(node: Node, words: Sequence[str]) -> Reading:
    start, pattern = words[1], words[3]
    found = [
        path for path in node.files if path.startswith(start) and fnmatch.fnmatch(path.rpartition("/")[2], pattern)
    ]
    return _lines(sorted(found))


def _docker(node: Node, words: Sequence[str]) -> Reading:
    runtimes = {"runc": {"path": "runc"}}
    if node.state["toolkit"].get("runtime"):
        runtimes["nvidia"] = {"path": "nvidia-container-runtime"}
    version = describe.chosen(node.state["type"])["docker"]
    info = {"ServerVersion": version, "Runtimes": runtimes, "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"]}
    return Reading(0, json.dumps(info))


_BESIDE: dict[str, Callable[[Node, Sequence[str]], Reading]] = {
    "dpkg-query": _dpkg_query,
    "find": _find,
    "docker": _docker,
    "apt-get": lambda node, words: Reading(0, "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n"),
}
"""Programs that tell of the system and not of hardware: only checks ask them, no person does."""


@functools.cache
def _xids() -> Any:
    return controller.read_catalogue("xids")["xids"]


def expected(type_: str) -> dict[str, Any]:
    """What checks hold the node to: what component_plan returns, and what its roles say of themselves by default."""
    plan = {key: value for key, value in describe.planned(type_).items() if key != "bundles"}
    # the signers' keys are the vendors': no fake has them, and those checks are skipped
    plan.pop("repositories", None)
    components, packages = describe.components(type_), dict(plan["packages"])
    if "nvlsm" in components:
        packages["ib_umad"] = {"libibumad3": "*", "infiniband-diags": "*"}
    if "neuron_dkms" in components:
        packages["neuron"] = {name: one[name] for one in plan["packages"].values() for name in one if "neuron" in name}
    return {
        **plan,
        "packages": packages,
        "xids": _xids(),
        "nvidia_driver": {"modules": "open", "options": {}, "start": True},
        "nvidia_fabricmanager": {"start": True, "imex_nodes": []},
        "nvidia_container_toolkit": {"docker": True},
        "efa": {"minimal": False, "kmod": True, "device": True, "bundles": describe.planned(type_)["bundles"]},
        "lustre_client": {"kernel": plan["kernel"], "hold": True},
    }


ROLES = {
    "nvidia_driver": "nvidia_driver",
    "nvidia_fabricmanager": "nvidia_fabricmanager",
    "nvidia_container_toolkit": "nvidia_container_toolkit",
    "efa": "efa",
    "aws_ofi_nccl": "aws_ofi_nccl",
    "lustre_client": "lustre_client",
    "neuron": "neuron_dkms",
}
"""Groups of checks that look at what a role made: the component that has to be on the node."""


def groups(type_: str) -> list[str]:
    """The groups of checks for a node of the type."""
    components = describe.components(type_)
    kind = describe.instance(type_)["accelerator"]["kind"]
    found = [role for role, needed in ROLES.items() if needed in components]
    if "nvidia_imex" in components and "nvidia_fabricmanager" not in found:
        found.append("nvidia_fabricmanager")
    return [*(["gpu", "nvlink"] if kind == "cuda" else []), *found]
