"""nvidia-smi, dcgmi, nv-fabricmanager and nvidia-imex.

nvidia-smi, its -q, -q -x, -L, --version, --query-gpu and topo -m: driver 580.159.04, one H200, recorded
(tests/recorded/gpu, nvidia_smi). Values are the node's; the clocks that a GPU supports are left out. Several GPUs:
samples nvidia-smi-topo-p5-nv18.txt and nvidia-smi-p5-8-gpus-driver570.txt, reconstructed.

nvlink --status: leptonai/gpud 4a8de33a and Azure/azurehpc-health-checks 0e0a1ac2, recorded; without NVLink it prints
nothing, as the H200 did. nvlink --errorcounters: stas00/ml-engineering, recorded; of NVLink 5 the names by a public
record of p6-b300.48xlarge, driver 595.91.07, its lines reconstructed, FEC and bit error rates left out.

No device, no driver: sample nvidia-smi-no-devices.txt, reconstructed; exit statuses: nvidia-smi's man page. Another
library than the module: public reports of 580.173, recorded; 18 is NVML's code of it.

dcgmi discovery --list: DCGM 4.7.0, a public report of 2026, recorded; its tables of NvSwitches, ConnectX and CPUs are
left out, for no source says what EC2 shows. dcgmi health: NVIDIA/DCGM 72fa3fea, dcgmi/Health.cpp, reconstructed.
nv-fabricmanager --version: 535.161.08, a public test's data, recorded. nvidia-imex --version: public scripts that read
it, reconstructed; nvidia-imex-ctl -q: NVIDIA/DCGM 72fa3fea, dcgm_fields.h, reconstructed.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Mapping
from typing import Any, Optional

Told = Optional[tuple[int, str, str]]
State = Mapping[str, Any]

_FORMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forms")
_NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)
INACTIVE = "<inactive>"
COUNTERS = {
    **dict.fromkeys((3, 4), ("Replay Errors", "Recovery Errors", "CRC Errors")),
    5: (
        "Malformed packet Errors",
        "Buffer overrun Errors",
        "Rx Errors",
        "Rx remote Errors",
        "Rx General Errors",
        "Local link integrity Errors",
        "Tx discards",
        "Link recovery successful events",
        "Link recovery failed events",
        "Total link recovery events",
        "Effective Errors",
        "Symbol Errors",
    ),
}
"""What a generation of NVLink counts."""

_REASONS = {  # NVML, nvmlClocksEventReasons: bits of clocks_event_reasons.active
    "reason_idle": 0x1,
    "reason_sw_power_cap": 0x4,
    "reason_hw_slowdown": 0x8,
    "reason_sw_thermal": 0x20,
    "reason_hw_thermal": 0x40,
    "reason_hw_power_brake": 0x80,
}


def _smi(state: State, words: list[str]) -> Told:
    driver = state["driver"]
    if words == ["--version"]:
        return _version(driver)
    if not driver["loaded"]:
        return 9, _NO_DRIVER, ""
    if driver["loaded"] != driver["library"]:
        short = ".".join(driver["library"].split(".")[:2])
        return 18, f"Failed to initialize NVML: Driver/library version mismatch\nNVML library version: {short}\n", ""
    if not state["gpus"]:
        return 6, "No devices were found\n", ""
    if words in (["-q"], ["--query"]):
        return 0, _filled("nvidia-smi-q.txt", state), ""
    if sorted(words) in (["-q", "-x"], ["--query", "--xml-format"]):
        return 0, _filled("nvidia-smi-q-x.txt", state), ""
    if words in (["-L"], ["--list-gpus"]):
        return 0, "".join(f"{_named(gpu)}\n" for gpu in state["gpus"]), ""
    if words in (["nvlink", "-s"], ["nvlink", "--status"]):
        return 0, _links(state), ""
    if words in (["nvlink", "-e"], ["nvlink", "--errorcounters"]):
        return 0, _link_errors(state), ""
    if words in (["topo", "-m"], ["topo", "--matrix"]):
        return 0, _topology(state), ""
    if words and words[0].startswith("--query-gpu="):
        return _queried(state, words)
    if not words:
        return 0, _table(state), ""
    return None


def _version(driver: Mapping[str, Any]) -> Told:
    library, loaded = driver["library"], driver["loaded"]
    lines = [
        f"NVIDIA-SMI version  : {library}",
        f"NVML version        : {'.'.join(library.split('.')[:2])}",
        f"DRIVER version      : {loaded or library}",
        f"CUDA Version        : {driver['cuda']}",
    ]
    return 0, "\n".join(lines) + "\n", ""


def _named(gpu: Mapping[str, Any]) -> str:
    return f"GPU {gpu['index']}: {gpu['name']} (UUID: {gpu['uuid']})"


def values(state: State, gpu: Mapping[str, Any]) -> dict[str, str]:
    """What stands for each name of a form."""
    bus, slot = gpu["address"].split(":")[1:]
    vendor_ids = {"pci_ids": gpu["pci_ids"][0], "pci_subsystem_ids": gpu["pci_ids"][1]}
    return {
        **{key: str(value) for key, value in gpu.items()},
        **{key: f"{value}10DE" for key, value in vendor_ids.items()},
        "bus_id": f"0000{gpu['address']}".upper(),
        "pci_domain": "0000",
        "pci_bus": bus.upper(),
        "pci_device": slot.partition(".")[0].upper(),
        "board_id": f"{int(bus, 16) << 8 | int(slot.partition('.')[0], 16):#x}",
        "driver": state["driver"]["loaded"],
        "cuda": state["driver"]["cuda"],
    }


def _filled(form: str, state: State) -> str:
    with open(os.path.join(_FORMS, form), encoding="utf-8") as file:
        head, rest = file.read().split("@@ gpu\n")
    of_each, tail = rest.split("@@ end\n")
    driver, gpus = state["driver"], state["gpus"]
    shared = {"timestamp": state["now"], "driver": driver["loaded"], "cuda": driver["cuda"], "count": str(len(gpus))}
    whole = [_put(head, shared), *(_put(of_each, values(state, gpu)) for gpu in gpus), tail]
    return "".join(whole)


def _put(form: str, given: Mapping[str, str]) -> str:
    return re.sub(r"@([a-z0-9_]+)@", lambda match: given.get(match[1], "N/A"), form)


def _links(state: State) -> str:
    lines = []
    for gpu in state["gpus"]:
        if not gpu["links"]:
            continue
        lines.append(_named(gpu))
        if all(link == INACTIVE for link in gpu["links"]):
            lines.append("NVML: Unable to retrieve NVLink information as all links are inactive")
        else:
            lines += [f"\t Link {number}: {link}" for number, link in enumerate(gpu["links"])]
    return "".join(f"{line}\n" for line in lines)


def _link_errors(state: State) -> str:
    lines = []
    for gpu in state["gpus"]:
        if gpu["links"]:
            lines.append(_named(gpu))
        for number in range(len(gpu["links"])):
            lines += [
                f"\t Link {number}: {name}: {gpu['link_errors'].get(f'{number} {name}', 0)}"
                for name in COUNTERS[gpu["link_generation"]]
            ]
    return "".join(f"{line}\n" for line in lines)


_LEGEND = """
Legend:

  X    = Self
  SYS  = Connection traversing PCIe as well as the SMP interconnect between NUMA nodes (e.g., QPI/UPI)
  NODE = Connection traversing PCIe as well as the interconnect between PCIe Host Bridges within a NUMA node
  PHB  = Connection traversing PCIe as well as a PCIe Host Bridge (typically the CPU)
  PXB  = Connection traversing multiple PCIe bridges (without traversing the PCIe Host Bridge)
  PIX  = Connection traversing at most a single PCIe bridge
  NV#  = Connection traversing a bonded set of # NVLinks
"""


def _topology(state: State) -> str:
    gpus = state["gpus"]
    head = "\t".join(["", "\x1b[4m" + "\t".join(f"GPU{gpu['index']}" for gpu in gpus)])
    lines = [f"{head}\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m"]
    for gpu in gpus:
        cells = [" X " if other is gpu else _way(gpu, other) for other in gpus]
        lines.append("\t".join([f"GPU{gpu['index']}", *cells, gpu["cpus"], str(gpu["numa"]), "", "N/A"]))
    return "\n".join(lines) + "\n" + _LEGEND


def _way(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    active = [sum(link != INACTIVE for link in gpu["links"]) for gpu in (one, other)]
    if min(active):
        return f"NV{min(active)}"
    return "PHB" if one["numa"] == other["numa"] else "SYS"


_FIELDS = {
    "index": "index",
    "name": "name",
    "gpu_name": "name",
    "uuid": "uuid",
    "gpu_uuid": "uuid",
    "pci.bus_id": "bus_id",
    "driver_version": "driver",
    "persistence_mode": "persistence_mode",
    "compute_mode": "compute_mode",
    "mig.mode.current": "mig_current",
    "ecc.mode.current": "ecc_current",
    "ecc.errors.uncorrected.volatile.total": "uncorrected",
    "pcie.link.gen.current": "pcie_gen",
    "pcie.link.gen.max": "pcie_gen_max",
    "pcie.link.width.current": "pcie_width",
    "pcie.link.width.max": "pcie_width_max",
    "clocks_event_reasons.active": "reasons",
    "memory.total": "memory_total",
    "memory.free": "memory_free",
}


def _queried(state: State, words: list[str]) -> Told:
    fields = words[0].partition("=")[2].split(",")
    formats = {word for given in words[1:] if given.startswith("--format=") for word in given[9:].split(",")}
    if "csv" not in formats:
        return 1, "", "\"--format=\" switch is missing. Please run 'nvidia-smi -h' for help.\n"
    for field in fields:
        if field not in _FIELDS:
            return 2, f'Field "{field}" is not a valid field to query.\n\n', ""
    lines = [] if "noheader" in formats else [", ".join(_titled(field) for field in fields)]
    for gpu in state["gpus"]:
        given = values(state, gpu)
        reasons = sum(bit for name, bit in _REASONS.items() if gpu.get(name) == "Active")
        given["reasons"] = f"0x{reasons:016x}"
        given["uncorrected"] = str(_uncorrected(gpu)) if gpu["ecc_current"] == "Enabled" else "N/A"
        cells = [given.get(_FIELDS[field], "[N/A]") for field in fields]
        cells = [cell[:-1] if re.fullmatch(r"\d+x", cell) else cell for cell in cells]
        lines.append(", ".join(cell.split(" ")[0] if "nounits" in formats else cell for cell in cells))
    return 0, "".join(f"{line}\n" for line in lines), ""


def _titled(field: str) -> str:
    return f"{field} [MiB]" if field.startswith("memory.") else field


def _uncorrected(gpu: Mapping[str, Any]) -> int:
    return sum(int(gpu[f"volatile_{name}"]) for name in ("sram_parity", "sram_secded", "dram_uncorrectable"))


def _table(state: State) -> str:
    driver = state["driver"]
    wide = "+" + "-" * 89 + "+"
    cells = "+".join(["", "-" * 41, "-" * 24, "-" * 22, ""])
    version, cuda = driver["loaded"], driver["cuda"]
    lines = [
        f"{state['now']}       ",
        wide,
        f"| NVIDIA-SMI {driver['library']:<22} Driver Version: {version:<14} CUDA Version: {cuda:<8} |",
        cells,
        "| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |",
        "| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |",
        "|                                         |                        |               MIG M. |",
        "|" + cells[1:-1].replace("-", "=") + "|",
    ]
    for gpu in state["gpus"]:
        given = values(state, gpu)
        on = "On" if gpu["persistence_mode"] == "Enabled" else "Off"
        shown = gpu["name"] if len(gpu["name"]) <= 27 else f"{gpu['name'][:24]}..."
        errors = str(_uncorrected(gpu)) if gpu["ecc_current"] == "Enabled" else "Off"
        draw, limit = (given.get(name, "N/A").partition(".")[0] for name in ("power_draw", "power_limit"))
        heat, state_of = given.get("temperature", "N/A").replace(" ", ""), given.get("performance_state", "N/A")
        power = f"{draw if draw == 'N/A' else draw + 'W'} / {limit if limit == 'N/A' else f'{limit:>4}W'}"
        memory = f"{'0MiB':>10} / {given['memory_total'].replace(' ', ''):>9}"
        lines += [
            f"| {gpu['index']:>3}  {shown:<31}{on:<4}|   {given['bus_id']} Off | {errors:>20} |",
            f"| N/A {heat:>5}    {state_of:<4} {power:>21} | {memory:>22} | {'0%':>7} {'Default':>12} |",
            f"|{'':41}|{'':24}| {given['mig_current']:>20} |",
            cells,
        ]
    lines += [
        "",
        wide,
        f"| Processes:{'':78}|",
        "|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |",
        "|        ID   ID                                                               Usage      |",
        "|" + "=" * 89 + "|",
        f"|  No running processes found{'':61}|",
        wide,
    ]
    return "".join(f"{line}\n" for line in lines)


def _dcgmi(state: State, words: list[str]) -> Told:
    if words in (["discovery", "-l"], ["discovery", "--list"]):
        line = "+--------+----------------------------------------------------------------------+"
        gpus = state["gpus"]
        lines = [f"{len(gpus)} GPU{'' if len(gpus) == 1 else 's'} found (Active).", line]
        lines += [f"| GPU ID | {'Device Information':<68} |", line]
        for gpu in gpus:
            bus = values(state, gpu)["bus_id"]
            facts = [f"Name: {gpu['name']}", f"PCI Bus ID: {bus}", f"Device UUID: {gpu['uuid']}"]
            for number, fact in enumerate(facts):
                lines.append(f"| {gpu['index'] if number == 0 else '':<6} | {fact:<68} |")
            lines.append(line)
        return 0, "\n".join(lines if gpus else [*lines, line]) + "\n", ""
    if words and words[0] == "health" and ("-c" in words or "--check" in words):
        return 0, _health(state), ""
    return None


def _health(state: State) -> str:
    """The tree of DcgmiOutputTree(28, 60), with all watches on; words of incidents: dcgmlib/dcgm_errors.h."""
    line = f"+{'-' * 27}+{'-' * 58}+"
    rows, worst = [], "Healthy"
    for gpu in state["gpus"]:
        for number, (system, health, told) in enumerate(_incidents(gpu)):
            if number == 0:
                rows += [(f"-> {gpu['index']}", health), ("   -> Errors", "")]
            rows.append((f"      -> {system} system", health))
            rows += [("", part) for part in textwrap.wrap(told, 54)]
            worst = max(worst, health, key=("Healthy", "Warning", "Failure").index)
    rows = [("Overall Health", worst), *([("GPU", ""), *rows] if rows else [])]
    lines = [line, f"| {'Health Monitor Report':<85}|", line.replace("-", "=")]
    lines += [f"| {left:<25} | {right:<56} |" for left, right in rows]
    return "\n".join([*lines, line]) + "\n"


def _incidents(gpu: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    index, found = gpu["index"], []
    if gpu["remap_failed"] == "Yes":
        told = f"GPU {index} had uncorrectable memory errors and row remapping failed."
        found.append(("Memory", "Failure", told))
    elif gpu["remap_pending"] == "Yes":
        found.append(("Memory", "Warning", f"GPU {index} had memory errors and row remappings are pending"))
    elif _uncorrected(gpu):
        told = f"Detected {_uncorrected(gpu)} volatile double-bit ECC error(s) in GPU {index}."
        found.append(("Memory", "Failure", told))
    down = [number for number, link in enumerate(gpu["links"]) if link == INACTIVE]
    if down:
        found.append(("NVLINK", "Failure", f"GPU {index}'s NvLink link {down[0]} is currently down"))
    return found


def _fabric_manager(state: State, words: list[str]) -> Told:
    if words == ["--version"] and state["fabric_manager"]:
        return 0, f"\n\n\n\tFabric Manager version is : {state['fabric_manager']}\n\n", ""
    return None


def _imex(state: State, words: list[str]) -> Told:
    return (0, f"IMEX version is: {state['imex']}\n", "") if words == ["--version"] else None


def _imex_ctl(state: State, words: list[str]) -> Told:
    running = state["units"]["nvidia-imex.service"]["ActiveState"] == "active"
    return (0, "READY\n" if running else "UNAVAILABLE\n", "") if words == ["-q"] else None


def files(state: State) -> dict[str, str]:
    """What a loaded driver shows below /proc and /dev.

    /proc/driver/nvidia/version: recorded with the H200.
    """
    driver = state["driver"]
    if not driver or not driver["loaded"]:
        return {}
    flavour = "NVIDIA UNIX Open Kernel Module for" if driver["open"] else "NVIDIA UNIX"
    after = "" if driver["open"] else " Kernel Module"
    version = f"NVRM version: {flavour} {state['arch']}{after}  {driver['loaded']}  Release Build  (dvs-builder@)  \n"
    found = {
        "/proc/driver/nvidia/version": f"{version}GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04) \n",
        "/dev/nvidiactl": "",
    }
    for gpu in state["gpus"]:
        found[f"/proc/driver/nvidia/gpus/{gpu['address']}/information"] = f"Model: \t\t {gpu['name']}\n"
        found[f"/dev/nvidia{gpu['index']}"] = ""
    return found


PROGRAMS = {
    "nvidia-smi": _smi,
    "dcgmi": _dcgmi,
    "nv-fabricmanager": _fabric_manager,
    "nvidia-imex": _imex,
    "nvidia-imex-ctl": _imex_ctl,
}
