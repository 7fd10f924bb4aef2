"""The state of a fake node: an EC2 type of data/instance_types.yml, the default stack's versions, and faults.

Ubuntu 24.04 with the kernel of the default stack: the system for which the catalogue has every component.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, component, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_catalogues import (
    read_catalogues,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import Platform
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError, did_you_mean

HERE = Path(__file__).resolve().parent
SYSTEM = "ubuntu2404"
NOW, BOOT = "2026-11-28T05:14:00", "2026-11-28T05:06:00"
NEURON = ("neuron_dkms", "neuron_runtime", "neuron_collectives", "neuron_tools")
NVIDIA = ("nvidia_driver", "nvidia_persistenced")
_FABRIC = ("nvidia_fabricmanager", "nvlsm", "nvidia_imex")
_OFI = "/opt/amazon/ofi-nccl/lib"


@functools.cache
def catalogues() -> Any:
    """Stack, constraints and types."""
    return read_catalogues(None)


@functools.cache
def hardware() -> Any:
    """What tools print of hardware."""
    return controller.read_yaml(str(HERE / "hardware.yml"))


@functools.cache
def faults() -> Mapping[str, Any]:
    """Name of a fault, and what it is."""
    found: Mapping[str, Any] = controller.read_yaml(str(HERE / "faults.yml"))["faults"]
    return found


def types() -> list[str]:
    """Types that have accelerators: those of the catalogue."""
    return sorted(catalogues().types["instance_types"])


def instance(type_: str) -> Mapping[str, Any]:
    """A type's entry, with that of its accelerator.

    :raises TrainingError: a type that the catalogue does not have.
    """
    if type_ not in catalogues().types["instance_types"]:
        raise TrainingError(f"NODE={type_} is not known", did_you_mean(type_, types()))
    return catalogue.instance_type(catalogues().types, type_)


def platform(type_: str) -> Platform:
    """What a node of the type runs."""
    arch = str(instance(type_)["arch"])
    kernel = catalogue.chosen(catalogues().stack, None, SYSTEM, arch)["kernel"]
    return Platform(os=SYSTEM, arch=arch, kernel=kernel, instance_type=type_)


def chosen(type_: str) -> dict[str, str]:
    """The versions of the default stack on a node of the type."""
    found: dict[str, str] = catalogue.chosen(catalogues().stack, None, SYSTEM, str(instance(type_)["arch"]))
    return found


@functools.cache
def components(type_: str) -> tuple[str, ...]:
    """The components of the roles that prepare a node of the type."""
    entry, here = instance(type_), platform(type_)
    names = ["lustre_client"] if "lustre_client" in chosen(type_) else []
    if entry["network"].get("efa"):
        names += ["efa"]
    if entry["accelerator"]["kind"] == "neuron":
        return (*names, *NEURON)
    if entry["network"].get("efa"):
        names += ["aws_ofi_nccl"]
    needed = component.needed("nvidia_fabricmanager", list(_FABRIC), chosen(type_), here, catalogues())
    return (*names, *NVIDIA, "nvidia_container_toolkit", *needed)


@functools.cache
def planned(type_: str) -> Mapping[str, Any]:
    """What component_plan expects of the node, by all of its roles together."""
    names = components(type_)
    plans = component.plan("fake_hardware", names, catalogues(), platform(type_), {})
    found = component.expected(plans, platform(type_), catalogues().types)
    bundles = {one.name: one.entry.get("bundles", {}) for one in plans}
    return {**found, "bundles": bundles.get("efa", {})}


def healthy(type_: str) -> dict[str, Any]:
    """The state of a node on which nothing is wrong."""
    entry, versions = instance(type_), chosen(type_)
    here = hardware()["types"].get(type_, {})
    cuda = entry["accelerator"]["kind"] == "cuda"
    state: dict[str, Any] = {
        "type": type_,
        "kinds": [entry["accelerator"]["kind"], *(["efa"] if entry["network"].get("efa") else [])],
        "arch": entry["arch"],
        "kernel": versions["kernel"],
        "vcpus": entry["vcpus"],
        "instance_id": "i-00000000000000001",
        "boot": BOOT,
        "iso": NOW,
        "now": "Sat Nov 28 05:14:00 2026",
        "gpus": [],
        "neuron": [],
        "efa": list(_efa(type_, here)),
        "bridges": list(_bridges(here)),
        "cards": list(_cards(entry)),
        "efa_provider": True,
        "libfabric": _libfabric(versions["libfabric"]),
        "fabric_manager": "",
        "imex": "",
        "driver": {},
        "toolkit": {},
        "lustre": versions["lustre_client"] if "lustre_client" in components(type_) else "",
        "modules": {},
        "dkms": [],
        "manager": {"DefaultLimitMEMLOCK": "infinity"},
        "units": {},
        "packages": _packages(type_),
        "loader": [],
        "kernel_log": [[0.0, f"Linux version {versions['kernel']} (builder) #1 SMP"]],
        "files": {},
    }
    if cuda:
        _add_nvidia(state, entry, here)
    else:
        _add_neuron(state, entry, here)
    if entry["network"].get("efa"):
        _add_efa(state, type_, cuda)
    if state["lustre"]:
        path = f"/lib/modules/{state['kernel']}/updates/kernel/fs/lustre/lustre.ko"
        state["files"][path] = state["files"]["/usr/sbin/mount.lustre"] = ""
        state["files"]["/etc/apt/preferences.d/adt-kernel.pref"] = (
            "Package: linux-image-* linux-aws*\nPin: version *\nPin-Priority: -1\n"
        )
        state["modules"]["lustre"] = {"version": state["lustre"], "license": "GPL"}
    return state


def _libfabric(version: str) -> str:
    """As fi_info tells it: 2.1 is 201.0 (sample fi-info-efa-direct-libfabric2.1.txt)."""
    major, minor = version.split(".")[:2]
    return f"{int(major) * 100 + int(minor)}.0"


def _packages(type_: str) -> dict[str, str]:
    """Packages of the node's components; a version that ends in * gets some revision."""
    found = {
        name: version.replace("*", "1") for one in planned(type_)["packages"].values() for name, version in one.items()
    }
    if "nvlsm" in components(type_):
        found.update({"libibumad3": "50.0-2", "infiniband-diags": "50.0-2"})
    return found


def addresses(given: Sequence[str] | None, count: int, first: int) -> list[str]:
    """Addresses on the bus; where no source states them: one device at 00:1e.0, several in a row."""
    if given is not None:
        return [f"0000:{address}" for address in given]
    return ["0000:00:1e.0"] if count == 1 and first == 0x10 else [f"0000:{first + i:02x}:00.0" for i in range(count)]


def _efa(type_: str, here: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    count = instance(type_)["network"].get("efa", 0)
    for address in addresses(here.get("efa"), count, 0x40):
        bus, slot = address.split(":")[1:]
        # names by rdma-core's udev rules: bus and slot, decimal, as p4d's rdmap16s27 is 10:1b.0
        name = f"rdmap{int(bus, 16)}s{int(slot.partition('.')[0], 16)}"
        yield {"address": address, "name": name, "id": here.get("efa_id", hardware()["efa_id"])}


def _cards(entry: Mapping[str, Any]) -> Iterator[dict[str, int]]:
    """The network cards of the catalogue's layout, with the device number of their interface."""
    for card in entry["network"]["cards"]:
        first, _, last = str(card["index"]).partition("-")
        if not card.get("spare"):
            for index in range(int(first), int(last or first) + 1):
                yield {"card": index, "device": int(index > 0)}


def _bridges(here: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """ConnectX cards by which the fabric manager reaches the switches; they are no EFA."""
    for address in addresses(here.get("bridges", []), 0, 0):
        yield {"address": address, "name": f"ibp{int(address.split(':')[1], 16)}s0f0"}


def _add_efa(state: dict[str, Any], type_: str, cuda: bool) -> None:
    bundles, installer = planned(type_)["bundles"], chosen(type_)["efa"]
    libraries = f"/usr/lib/{state['arch']}-linux-gnu"
    state["modules"]["efa"] = {"version": f"{bundles['efa_driver']}g", "license": "Dual BSD/GPL", "loaded": True}
    state["dkms"].append({"name": "efa", "version": bundles["efa_driver"]})
    state["files"]["/opt/amazon/efa_installed_packages"] = f"# EFA installer version: {installer}\n"
    state["files"]["/etc/security/limits.d/90-adt-efa.conf"] = "* - memlock unlimited\nroot - memlock unlimited\n"
    state["files"]["/proc/1/status"] = "Name:\tsystemd\nCapEff:\t000001ffffffffff\n"
    state["loader"] += [
        {"path": "/opt/amazon/efa/lib/libfabric.so.1.32.0", "name": "libfabric.so.1", "text": []},
        {"path": f"{libraries}/libibverbs.so.1.15.64", "name": "libibverbs.so.1", "text": ["IBVERBS_PRIVATE_64"]},
        {"path": f"{libraries}/libefa.so.1.4.64", "name": "libefa.so.1", "text": ["IBVERBS_PRIVATE_64"]},
    ]
    # the installer brings it to every node, with or without a GPU
    told = [f"Initializing aws-ofi-nccl {chosen(type_)['aws_ofi_nccl']}", "libfabric.so.1"]
    state["loader"].append({"path": f"{_OFI}/libnccl-net.so", "name": "libnccl-net.so", "text": told})
    if cuda:
        driver = state["driver"]["library"]
        mark = f"efa_nv_peermem-{driver}-{state['kernel']}"
        state["modules"]["efa_nv_peermem"] = {"version": "1.2.3", "license": "Dual BSD/GPL", "loaded": True}
        state["dkms"].append({"name": "efa-nv-peermem", "version": "1.2.3"})
        state["files"][f"/var/lib/awsome-distributed-training/{mark}"] = ""


def _add_neuron(state: dict[str, Any], entry: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    accelerator, facts = entry["accelerator"], hardware()["neuron"]
    model, count = facts[accelerator["model"]], accelerator["count"]
    for index, address in enumerate(addresses(here.get("neuron"), count, 0x10)):
        state["neuron"].append(
            {
                "index": index,
                "address": address,
                "id": model["pci_id"],
                "cores": accelerator["cores"],
                "memory_gib": accelerator["memory_gib"],
                "connected": _torus(index, facts["torus"][count]) if count in facts["torus"] else [],
                **{key: value for key, value in model.items() if key == "logical_cores"},
            }
        )
    version = chosen(state["type"])["neuron_dkms"]
    state["modules"]["neuron"] = {"version": version, "license": "GPL", "loaded": True}
    state["dkms"].append({"name": "aws-neuronx", "version": version})


def _torus(index: int, side: int) -> list[int]:
    """Neighbours in a square torus, in the guide's order: above, left, below, right."""
    row, column = divmod(index, side)
    around = [(row - 1, column), (row, column - 1), (row + 1, column), (row, column + 1)]
    return [r % side * side + c % side for r, c in around]


def _add_nvidia(state: dict[str, Any], entry: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    versions, needed = chosen(state["type"]), components(state["type"])
    driver = versions["nvidia_driver"]
    cuda = hardware()["cuda"].get(driver.partition(".")[0], "N/A")
    state["driver"] = {"library": driver, "loaded": driver, "cuda": cuda, "open": True}
    module = {"version": driver, "license": "Dual MIT/GPL", "loaded": True}
    state["modules"].update({"nvidia": module, "nvidia_uvm": dict(module)})
    state["dkms"].append({"name": "nvidia", "version": driver})
    state["gpus"] = list(_gpus(entry, here, "nvidia_fabricmanager" in needed or "nvidia_imex" in needed))
    state["kernel_log"].append([4.5, f"NVRM: loading {_module_name(state)}  {driver}  Release Build  (dvs-builder@)  "])
    state["toolkit"] = {"version": versions["nvidia_container_toolkit"], "specification": True, "runtime": True}
    state["units"]["nvidia-persistenced.service"] = _unit()
    state["units"]["nvidia-cdi-refresh.path"] = {**_unit(), "SubState": "waiting"}
    if "nvidia_fabricmanager" in needed:
        state["fabric_manager"] = driver
        state["units"]["nvidia-fabricmanager.service"] = _unit()
    if "nvlsm" in needed:
        state["modules"]["ib_umad"] = {"loaded": True}
        state["files"]["/etc/modules-load.d/adt-ib-umad.conf"] = "ib_umad\n"
    if "nvidia_imex" in needed:
        state["imex"] = versions["nvidia_imex"]
        state["units"]["nvidia-imex.service"] = _unit()
    link = (
        'ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", RUN+="/usr/bin/nvidia-ctk system create-dev-char-symlinks'
    )
    state["files"].update(
        {
            "/etc/modprobe.d/adt-nvidia.conf": "blacklist nouveau\noptions nouveau modeset=0\n",
            "/etc/udev/rules.d/71-nvidia-dev-char.rules": f'{link} --create-all"\n',
            "/dev/char/195:255": "",
            f"/lib/modules/{state['kernel']}/build/Makefile": "",
        }
    )


def _module_name(state: Mapping[str, Any]) -> str:
    return f"NVIDIA UNIX Open Kernel Module for {state['arch']}"


def _unit() -> dict[str, str]:
    return {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"}


_STILL = {
    **dict.fromkeys(("persistence_mode", "ecc_current", "ecc_pending"), "Enabled"),
    **dict.fromkeys(("mig_current", "mig_pending"), "Disabled"),
    **dict.fromkeys(
        ("remap_pending", "remap_failed", "channel_repair_pending", "tpc_repair_pending", "unrepairable_memory"), "No"
    ),
    **dict.fromkeys((f"reason_{name}" for name in ("sw_power_cap", "hw_slowdown", "hw_thermal")), "Not Active"),
    **dict.fromkeys((f"reason_{name}" for name in ("hw_power_brake", "sw_thermal")), "Not Active"),
    **{
        f"{kind}_{name}": "0"
        for kind in ("volatile", "aggregate")
        for name in ("sram_correctable", "sram_parity", "sram_secded", "dram_correctable", "dram_uncorrectable")
    },
    **dict.fromkeys(("remapped_correctable", "remapped_uncorrectable"), "0"),
    "reason_idle": "Active",
    "recovery_action": "None",
    "sram_threshold_exceeded": "No",
    "pages_pending": "N/A",
    "compute_mode": "Default",
    "pcie_width": "16x",
    "pcie_width_max": "16x",
}
"""A sound GPU at rest: as the H200 was recorded."""

_NO_MIG = ("L40S", "L4", "A10G")
"""Models that have no MIG: nvidia-smi prints N/A of L40S and L4, as public logs of drivers 550 and 570 show."""


def _gpus(entry: Mapping[str, Any], here: Mapping[str, Any], switched: bool) -> Iterator[dict[str, Any]]:
    accelerator = entry["accelerator"]
    count, model = accelerator["count"], hardware()["gpus"][accelerator["model"]]
    links = accelerator.get("nvlink", {}).get("links", model.get("links", 0)) if count > 1 else 0
    generation = here.get("pcie_gen", model.get("pcie_gen", "N/A"))
    fabric = {"fabric_state": "N/A", "fabric_status": "N/A", "fabric_clique": "N/A", "fabric_cluster": "N/A"}
    if switched and model.get("fabric"):
        fabric = {"fabric_state": "Completed", "fabric_status": "Success", "fabric_clique": "0"}
        domain = int("domain" in accelerator.get("nvlink", {}))
        fabric.update(fabric_clique=str(domain), fabric_cluster=f"00000000-0000-0000-0000-{domain:012}")
    sockets = entry.get("sockets", 1)
    for index, address in enumerate(addresses(here.get("gpus"), count, 0x10)):
        numa = index * sockets // count
        yield {
            **_STILL,
            **({"mig_current": "N/A", "mig_pending": "N/A"} if accelerator["model"] in _NO_MIG else {}),
            **({"power_limit": f"{model['power_limit']}.00 W"} if "power_limit" in model else {}),
            "memory_total": f"{model['memory_mib']} MiB",
            "memory_free": f"{model['memory_mib']} MiB",
            **model.get("recorded", {}),
            **fabric,
            "index": index,
            "name": accelerator["device_names"][0],
            "architecture": model["architecture"],
            "address": address,
            "xid_address": address.partition(".")[0],
            "pci_ids": model["pci_ids"],
            "uuid": f"GPU-00000000-0000-0000-0000-{index:012x}",
            "serial": f"{index:013}",
            "pdi": f"0x{index:016x}",
            "numa": numa,
            "cpus": _processors(entry, sockets, numa),
            "pcie_gen": generation,
            "pcie_gen_max": generation,
            "pcie_gen_device_max": model.get("pcie_gen", generation),
            "links": [f"{model.get('link_speed')} GB/s"] * links,
            "link_generation": accelerator.get("nvlink", {}).get("generation", 0),
            "link_errors": {},
        }


def _processors(entry: Mapping[str, Any], sockets: int, numa: int) -> str:
    """The processors of a socket: cores first, then their second threads, as p5 numbers them."""
    if sockets == 1:
        return f"0-{entry['vcpus'] - 1}"
    cores = entry["cores"] // sockets
    first, again = numa * cores, entry["cores"] + numa * cores
    return f"{first}-{first + cores - 1},{again}-{again + cores - 1}"


@functools.cache
def traits(type_: str) -> Mapping[str, Any]:
    """What a fault's ``where`` asks of a type."""
    state, kind = healthy_of(type_), instance(type_)["accelerator"]["kind"]
    gpus = state["gpus"]
    return {
        "kind": kind,
        "several": max(len(gpus), len(state["neuron"])) > 1,
        "switch": bool(state["fabric_manager"]),
        "fabric": any(gpu["fabric_state"] != "N/A" for gpu in gpus),
        "nvlink": max([gpu["link_generation"] for gpu in gpus if gpu["links"]], default=0),
        "links": "known" if "links" in instance(type_)["accelerator"].get("nvlink", {}) else "unknown",
        "pcie": any(gpu["pcie_gen"] != "N/A" for gpu in gpus),
        "mig": any(gpu["mig_current"] != "N/A" for gpu in gpus),
        "efa": {0: "none", 1: "one"}.get(len(state["efa"]), "several"),
        "lustre": bool(state["lustre"]),
    }


def fits(where: Mapping[str, Any], type_: str) -> bool:
    """Whether a type has what a fault asks for: each trait is the value, or one of the values."""
    has = traits(type_)
    return all(has[key] in (wanted if isinstance(wanted, list) else [wanted]) for key, wanted in where.items())


def fails(fault: str, type_: str) -> dict[str, list[str]]:
    """The checks that have to fail by a fault on the type, and words of what each says."""
    return _said(faults()[fault]["fails"], type_)


def tells(fault: str, type_: str) -> dict[str, list[str]]:
    """The checks that pass all the same, and tell of it."""
    return _said(faults()[fault].get("tells", {}), type_)


def _said(given: Mapping[str, Any], type_: str) -> dict[str, list[str]]:
    return {id_: one["says"] for id_, one in given.items() if fits(one.get("where", {}), type_)}


@functools.cache
def healthy_of(type_: str) -> Mapping[str, Any]:
    """``healthy``, made once; not to be changed."""
    return healthy(type_)


@functools.cache
def _text_of(type_: str) -> str:
    return json.dumps(healthy(type_))


def with_faults(type_: str, names: Iterable[str] = ()) -> dict[str, Any]:
    """The state of a node with faults.

    :raises TrainingError: a type or a fault that is not known, or a fault that the type cannot have.
    """
    state: dict[str, Any] = json.loads(_text_of(type_))
    for name in names:
        if name not in faults():
            raise TrainingError(f"FAULT={name} is not known", did_you_mean(name, faults()))
        if not fits(faults()[name].get("where", {}), type_):
            others = [other for other in types() if fits(faults()[name].get("where", {}), other)]
            raise TrainingError(f"{type_} cannot have fault {name}", f"one of {', '.join(others)}")
        for change in faults()[name]["change"]:
            if fits(change.get("where", {}), type_):
                change_state(state, change)
    return state


def change_state(state: dict[str, Any], change: Mapping[str, Any]) -> None:
    """Carry out one change of faults.yml: ``set`` or ``add`` a value, or ``remove`` what is there.

    A path's parts are joined by |; -1 is the last of a list, * each of it; {part/part} is what the state has there.
    """
    kind = next(name for name in ("set", "add", "remove") if name in change)
    *front, last = (_filled(state, part) for part in change[kind].split("|"))
    value = _filled(state, copy.deepcopy(change.get("value")))
    for place in _places(state, front):
        keys = list(range(len(place))) if last == "*" else [_key(place, last)]
        for key in keys:
            if kind == "remove":
                del place[key]
            elif kind == "add":
                place[key].append(value)
            else:
                place[key] = value


def _places(state: Any, parts: Sequence[str]) -> list[Any]:
    found = [state]
    for part in parts:
        found = [inner for place in found for inner in (place if part == "*" else [place[_key(place, part)]])]
    return found


def _key(place: Any, part: str) -> Any:
    return int(part) if isinstance(place, list) else part


def _filled(state: Any, value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{([^{}]+)\}", lambda match: str(_places(state, match[1].split("/"))[0]), value)
    if isinstance(value, list):
        return [_filled(state, one) for one in value]
    if isinstance(value, dict):
        return {key: _filled(state, one) for key, one in value.items()}
    return value
