"""PCI, EFA and Neuron devices: lspci, fi_info, ibv_devinfo, neuron-ls, and their files below /sys and /dev.

lspci -Dn: pciutils' man page, reconstructed. ENA, NVMe and NVSwitches are left out; ConnectX bridges of p6-b300: a
public record, its ids by pci.ids.

fi_info: sample fi-info-efa-direct-libfabric2.1.txt, reconstructed; without a device
fi-info-efa-absent-libfabric1.17.txt, own run. ibv_devinfo: a public record of p5en.48xlarge, 2026-03-09, recorded;
without a device rdma-core 44.0 where the kernel has no RDMA, own run. What it says of the bridges is left out.

neuron-ls: Neuron LS User Guide, v2.9 and its edition with Trn2, reconstructed; --json-output: aws-neuronx-tools
2.28.23.0 on trn1.2xlarge, a public test's data, recorded, as what it says without a device; logical_neuroncore_config:
public code that reads trn2's. NUMA nodes and processors there are not known: -1, and all.

/sys: Linux, Documentation/ABI/testing/sysfs-bus-pci, stable/sysfs-class-infiniband.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

Told = Optional[tuple[int, str, str]]
State = Mapping[str, Any]


def pci(state: State) -> list[dict[str, Any]]:
    """Every accelerator and network card on the bus, in the bus's order."""
    gpus = [
        {
            **{key: gpu[key] for key in ("address", "pcie_width", "pcie_width_max", "numa")},
            "class": "0302",
            "ids": ("10de", gpu["pci_ids"][0].lower(), "10de", gpu["pci_ids"][1].lower()),
            "driver": "nvidia",
        }
        for gpu in state["gpus"]
    ]
    cards = [
        {"address": card["address"], "class": "0200", "ids": ("1d0f", card["id"], "1d0f", card["id"]), "driver": "efa"}
        for card in state["efa"]
    ]
    bridges = [
        {"address": one["address"], "class": "0207", "ids": ("15b3", "1021", "15b3", "1021"), "driver": "mlx5_core"}
        for one in state["bridges"]
    ]
    neuron = [
        {"address": one["address"], "class": "0880", "ids": ("1d0f", one["id"], "1d0f", one["id"]), "driver": "neuron"}
        for one in state["neuron"]
    ]
    return sorted([*gpus, *cards, *bridges, *neuron], key=lambda one: str(one["address"]))


def _cards(state: State) -> list[Any]:
    """EFA cards that the loaded module serves."""
    return list(state["efa"]) if state["modules"].get("efa", {}).get("loaded") else []


def _neuron(state: State) -> list[Any]:
    """Neuron devices that the loaded module serves."""
    return list(state["neuron"]) if state["modules"].get("neuron", {}).get("loaded") else []


def _lspci(state: State, words: list[str]) -> Told:
    letters = {letter for word in words for letter in word.lstrip("-")}
    if not all(word.startswith("-") for word in words) or "n" not in letters or not letters <= {"D", "n"}:
        return None
    start = 0 if "D" in letters else len("0000:")
    lines = [f"{one['address'][start:]} {one['class']}: {one['ids'][0]}:{one['ids'][1]}" for one in pci(state)]
    return 0, "".join(f"{line}\n" for line in lines), ""


def _fi_info(state: State, words: list[str]) -> Told:
    given = dict(zip(words[::2], words[1::2]))
    if len(words) % 2 or not set(given) <= {"-p", "-t"} or given.get("-p", "efa") != "efa":
        return None
    if not state["efa_provider"] or not _cards(state):
        return 61, "", "fi_getinfo: -61\n"
    entries = []
    for card in _cards(state):
        kinds = [("efa-direct", "rdm", "RDM"), ("efa", "rdm", "RDM"), ("efa", "dgrm", "DGRAM")]
        for fabric, ending, kind in kinds:
            if given.get("-t", f"FI_EP_{kind}") == f"FI_EP_{kind}":
                entries.append(
                    f"provider: efa\n    fabric: {fabric}\n    domain: {card['name']}-{ending}\n"
                    f"    version: {state['libfabric']}\n    type: FI_EP_{kind}\n    protocol: FI_PROTO_EFA\n"
                )
    return 0, "".join(entries), ""


def _ibv_devinfo(state: State, words: list[str]) -> Told:
    if words:
        return None
    if not _cards(state):
        return 255, "", "Failed to get IB devices list: Function not implemented\n"
    found = []
    for number, card in enumerate(_cards(state)):
        rows = [
            f"hca_id:\t{card['name']}",
            "\ttransport:\t\t\tunspecified (4)",
            "\tfw_ver:\t\t\t\t0.0.0.0",
            f"\tnode_guid:\t\t\t0000:0000:0000:{number:04x}",
            "\tsys_image_guid:\t\t\t0000:0000:0000:0000",
            "\tvendor_id:\t\t\t0x1d0f",
            f"\tvendor_part_id:\t\t\t{int(card['id'], 16)}",
            f"\thw_ver:\t\t\t\t0x{card['id'].upper()}",
            "\tphys_port_cnt:\t\t\t1",
            "\t\tport:\t1",
            "\t\t\tstate:\t\t\tPORT_ACTIVE (4)",
            "\t\t\tmax_mtu:\t\t4096 (5)",
            "\t\t\tactive_mtu:\t\t4096 (5)",
            "\t\t\tsm_lid:\t\t\t0",
            "\t\t\tport_lid:\t\t0",
            "\t\t\tport_lmc:\t\t0x01",
            "\t\t\tlink_layer:\t\tUnspecified",
        ]
        found.append("\n".join(rows) + "\n\n")
    return 0, "".join(found), ""


def _neuron_ls(state: State, words: list[str]) -> Told:
    devices = _neuron(state)
    if not devices:
        told = 'level=fatal msg="Failed to load MLA system information" error="failed to discover Neuron devices"'
        return 1, "", f'time="{state["iso"]}Z" {told}\n'
    if words in (["--json-output"], ["-j"]):
        return 0, json.dumps([_neuron_entry(state, one) for one in devices], indent=4), ""
    if words:
        return None
    logical = "logical_cores" in devices[0]
    heads = [("NEURON", "DEVICE"), ("NEURON", "CORES")]
    heads += [("LOGICAL", "NC")] if logical else []
    heads += [("NEURON", "MEMORY"), ("CONNECTED", "DEVICES"), ("PCI", "BDF")]
    rows = []
    for one in devices:
        cells = [str(one["index"]), str(one["cores"])]
        cells += [str(one["logical_cores"])] if logical else []
        cells += [f"{one['memory_gib']} GB", ", ".join(map(str, one["connected"])), one["address"][len("0000:") :]]
        rows.append(cells)
    least = {"DEVICES": 13, "BDF": 7}
    widths = [
        max(len(top), len(below), least.get(below, 0), *(len(row[column]) for row in rows))
        for column, (top, below) in enumerate(heads)
    ]
    line = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [f"instance-type: {state['type']}", f"instance-id: {state['instance_id']}", line]
    for part in (0, 1):
        lines.append("| " + " | ".join(_centred(head[part], width) for head, width in zip(heads, widths)) + " |")
    lines.append(line)
    lines += ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return 0, "\n".join([*lines, line]) + "\n", ""


def _centred(text: str, width: int) -> str:
    left = (width - len(text)) // 2
    return " " * left + text + " " * (width - len(text) - left)


def _neuron_entry(state: State, one: Mapping[str, Any]) -> dict[str, Any]:
    cores = one["cores"]
    logical = {"logical_neuroncore_config": cores // one["logical_cores"]} if "logical_cores" in one else {}
    count = one.get("logical_cores", cores)
    return {
        "neuron_device": one["index"],
        "bdf": one["address"],
        "cpu_affinity": f"0-{state['vcpus'] - 1}",
        "numa_node": "-1",
        "connected_to": one["connected"] or None,
        "nc_count": count,
        **logical,
        "memory_size": one["memory_gib"] * 2**30,
        "neuroncore_ids": [one["index"] * count + core for core in range(count)],
        "neuron_processes": [],
    }


def files(state: State) -> dict[str, str]:
    """The devices' files below /sys and /dev."""
    found = {}
    for one in pci(state):
        folder = f"/sys/bus/pci/devices/{one['address']}"
        vendor, device, subsystem_vendor, subsystem = one["ids"]
        found[f"{folder}/vendor"] = f"0x{vendor}\n"
        found[f"{folder}/device"] = f"0x{device}\n"
        found[f"{folder}/subsystem_vendor"] = f"0x{subsystem_vendor}\n"
        found[f"{folder}/subsystem_device"] = f"0x{subsystem}\n"
        found[f"{folder}/class"] = f"0x{one['class']}00\n"
        if "pcie_width" in one:
            found[f"{folder}/current_link_width"] = f"{one['pcie_width'].rstrip('x')}\n"
            found[f"{folder}/max_link_width"] = f"{one['pcie_width_max'].rstrip('x')}\n"
            found[f"{folder}/numa_node"] = f"{one['numa']}\n"
    for card in _cards(state):
        folder = f"/sys/class/infiniband/{card['name']}"
        found[f"{folder}/fw_ver"] = "0.0.0.0\n"
        found[f"{folder}/ports/1/state"] = "4: ACTIVE\n"
        found[f"{folder}/ports/1/link_layer"] = "Unspecified\n"
    for one in state["bridges"]:
        found[f"/sys/class/infiniband/{one['name']}/ports/1/link_layer"] = "InfiniBand\n"
    for one in _neuron(state):
        found[f"/dev/neuron{one['index']}"] = ""
    return found


PROGRAMS = {
    "lspci": _lspci,
    "fi_info": _fi_info,
    "ibv_devinfo": _ibv_devinfo,
    "neuron-ls": _neuron_ls,
}
