# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of a node's NVIDIA GPUs: one call of ``nvidia-smi -q -x``, and the kernel's log.

Under ``gpu`` in Expected, where it differs: ``mig`` (true: MIG is on) and ``compute_mode`` (Default). What the EC2 type
has is ``instance``; what an XID means is ``xids``.

No number is a threshold of ours. Uncorrectable errors of this boot, a GPU that asks to be recovered, a failed
remapping and a link below its width are faults by NVIDIA's word ("Xid Errors", "GPU Memory Error Management"). By the
latter a pending remapping harms no job; it fails all the same, as in Azure/azurehpc-health-checks and
facebookresearch/gcm, for it ends with a reset. Reasons for lower clocks: NVML, NvmlClocksEventReasons; idle, the
power cap and chosen clocks are no faults: an H200 under full load is at its power cap (tests/recorded/gpu).
"""

from __future__ import annotations

import functools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Callable

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    PASS,
    SKIP,
    Check,
    Command,
    Expected,
    Judgement,
    Probe,
    Readings,
    expected_value,
    failed,
    passed,
    skipped,
)

QUERY = Command(("nvidia-smi", "-q", "-x"), timeout_s=60, may_lack=True)
KERNEL_LOG = Command(("dmesg", "--time-format=iso"), may_lack=True)
_PCI = Command(("lspci", "-Dn"), may_lack=True)

_REBOOT = "reboot the node; if it comes again, replace the instance"
_RESET = "reboot the node, which resets the GPU; if it comes again, replace the instance"
_REPLACE = "replace the instance, and open a case with what nvidia-bug-report.sh writes"
_BY_HAND = "run nvidia-smi -q -x by hand, and report what it prints"


@dataclass(frozen=True)
class Gpu:
    """A GPU as nvidia-smi describes it; tags are those of driver 535 to 595."""

    name: str
    described: ElementTree.Element

    def text(self, path: str) -> str:
        """The text of an element; empty without one, N/A where the GPU has no such part."""
        return (self.described.findtext(path) or "").strip()


_XML = re.compile(r"(<\?xml.*)?(?P<log><nvidia_smi_log>.*</nvidia_smi_log>)", re.DOTALL)


@functools.lru_cache(maxsize=4)
def gpus_in(out: str) -> tuple[Gpu, ...]:
    """The GPUs of ``nvidia-smi -q -x``, which every check reads; none where it printed something else."""
    found = _XML.search(out)
    if not found:
        return ()
    try:
        log = ElementTree.fromstring(found["log"])
    except ElementTree.ParseError as error:
        raise ValueError(f"nvidia-smi -q -x: {error}") from None
    return tuple(Gpu(bus_of(gpu.get("id", "")), gpu) for gpu in log.iter("gpu"))


def bus_of(text: str) -> str:
    """A PCI address as the kernel's log has it: 0000:64:00 of 00000000:64:00.0."""
    domain, bus, device = [*text.lower().split(":"), "", ""][:3]
    return f"{domain[-4:]}:{bus}:{device.partition('.')[0]}"


Of = Callable[[Sequence[Gpu], Expected], Judgement]


def _no_gpus(expected: Expected) -> Judgement | None:
    """A skip on a type without NVIDIA GPUs."""
    if expected_value(expected, "instance.accelerator.kind") in (None, "cuda"):
        return None
    return skipped(f"{expected.get('instance_type', 'the type')} has no NVIDIA GPU")


def _of_gpus(judge: Of) -> Callable[[Readings, Expected], Judgement]:
    """What is judged GPU by GPU; without GPUs nothing is, and ``gpu.driver`` says why."""

    def judged(readings: Readings, expected: Expected) -> Judgement:
        gpus = gpus_in(readings["gpus"].out)
        return _no_gpus(expected) or (judge(gpus, expected) if gpus else skipped("no GPU answers: see gpu.driver"))

    return judged


def _absent(gpus: Sequence[Gpu], path: str, what: str) -> Judgement | None:
    """A skip where no GPU has a part, a failure where it is not told; None where all tell it."""
    said = {gpu.name: gpu.text(path) for gpu in gpus}
    if all(text == "N/A" for text in said.values()):
        return skipped(f"these GPUs have no {what}")
    silent = [name for name, text in said.items() if text in ("", "N/A")]
    return failed(f"nvidia-smi tells no {what} of {', '.join(silent)}", _BY_HAND) if silent else None


def _told(odd: Mapping[str, str], gpus: Sequence[Gpu]) -> str:
    return f"{len(odd)} of {len(gpus)} GPUs: {'; '.join(f'{name} {what}' for name, what in odd.items())}"


def _all_are(path: str, what: str, wanted: str, fix: str) -> Of:
    """Every GPU says the same word."""

    def judge(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
        odd = {gpu.name: gpu.text(path) for gpu in gpus if gpu.text(path) != wanted}
        absent = _absent(gpus, path, what)
        if absent:
            return absent
        if odd:
            return failed(f"{what}: {_told(odd, gpus)}", fix, ", ".join(sorted(set(odd.values()))), wanted)
        return passed(wanted, wanted)

    return judge


_SAID = (
    ("version mismatch", "reboot: the loaded module is of another version than the libraries"),
    ("communicate with the NVIDIA driver", "modprobe nvidia; if that fails, apply role nvidia_driver"),
    ("No devices were found", _REBOOT),
    ("Unable to determine the device handle", _REBOOT),
)
"""What NVML and nvidia-smi say (nvmlErrorString, well known), and what helps."""


def _driver(readings: Readings, expected: Expected) -> Judgement:
    said = readings["gpus"]
    without = _no_gpus(expected)
    if without:
        return without
    if not said.there:
        return failed("there is no nvidia-smi", "apply role nvidia_driver")
    gpus = gpus_in(said.out)
    if said.status == 0 and gpus:
        version = re.search(r"<driver_version>(.*?)</driver_version>", said.out)
        return passed(f"driver {version[1]}" if version else f"{len(gpus)} GPUs")
    # a GPU that warns has its words around the XML
    text = f"{re.sub(_XML, '', said.out)} {said.err}".strip()
    fix = next((fix for words, fix in _SAID if words in text), _BY_HAND)
    return failed(f"nvidia-smi -q -x ends with {said.status}: {text[:200] or 'it names no GPU'}", fix, said.status, 0)


def _count(readings: Readings, expected: Expected) -> Judgement:
    gpus, wanted = gpus_in(readings["gpus"].out), expected["instance"]["accelerator"]["count"]
    without = _no_gpus(expected) or (None if gpus else skipped("no GPU answers: see gpu.driver"))
    if without:
        return without
    if len(gpus) == wanted:
        return passed(len(gpus), wanted, unit="GPUs")
    if len(gpus) > wanted:
        reason = f"{len(gpus)} GPUs; {expected.get('instance_type', 'the type')} has {wanted}"
        return failed(reason, "adt_instance_type says what the node is", len(gpus), wanted, "GPUs")
    # lspci -Dn: "0000:00:06.0 0302: 10de:2335 (rev a1)"; 0300 and 0302 are display and 3D controllers (pci.ids)
    on_bus = len(re.findall(r"^\S+ 030[02]: 10de:", readings["pci"].out, re.MULTILINE))
    where = f", {on_bus} are on the PCI bus" if readings["pci"].status == 0 else ""
    return failed(f"{len(gpus)} of {wanted} GPUs answer{where}", _REBOOT, len(gpus), wanted, "GPUs")


def _product(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
    names = expected["instance"]["accelerator"]["device_names"]
    odd = {gpu.name: gpu.text("product_name") or "has no name" for gpu in gpus if gpu.text("product_name") not in names}
    wanted = " or ".join(names)
    if odd:
        return failed(f"no {wanted}: {_told(odd, gpus)}", "adt_instance_type says what the node is", limit=wanted)
    return passed(", ".join(sorted({gpu.text("product_name") for gpu in gpus})), wanted)


_KEPT_GIB = 1.0
"""What types state is rounded, to a GiB at most, and the driver keeps some for itself: an H200 of 141 GiB says 140.4
(tests/recorded/gpu), an H100 of 80 says 79.6 (81559 MiB, driver 570.133.20, reconstructed).
"""


def _memory(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
    wanted = float(expected["instance"]["accelerator"]["memory_gib"])
    absent = _absent(gpus, "fb_memory_usage/total", "memory")
    if absent:
        return absent
    found = {gpu.name: round(int(gpu.text("fb_memory_usage/total").split()[0]) / 1024, 1) for gpu in gpus}
    odd = {name: f"{gib} GiB" for name, gib in found.items() if gib < wanted - _KEPT_GIB}
    if odd:
        return failed(f"memory: {_told(odd, gpus)}", _REBOOT, min(found.values()), wanted, "GiB")
    return passed(min(found.values()), wanted, unit="GiB")


def _ecc_errors(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
    odd, silent, without = {}, [], []
    for gpu in gpus:
        parts = gpu.described.findall("ecc_errors/volatile/*")
        counted = {part.tag: (part.text or "").strip() for part in parts if "uncorrectable" in part.tag}
        found = {tag: int(text) for tag, text in counted.items() if text.isdigit() and int(text)}
        if counted and all(text == "N/A" for text in counted.values()):
            without.append(gpu.name)
        elif not counted or not all(text.isdigit() or text == "N/A" for text in counted.values()):
            silent.append(gpu.name)
        elif found:
            odd[gpu.name] = ", ".join(f"{count} {tag}" for tag, count in found.items())
    if odd:
        return failed(f"uncorrectable memory errors: {_told(odd, gpus)}", _RESET, len(odd), 0, "GPUs")
    if silent or 0 < len(without) < len(gpus):
        return failed(f"nvidia-smi counts no memory errors of {', '.join(silent or without)}", _BY_HAND)
    if without:
        return skipped("these GPUs count no memory errors: see gpu.ecc_mode")
    return passed(0, 0, "uncorrectable errors since the driver was loaded")


_REPAIRS = {
    "ecc_errors/aggregate/sram_threshold_exceeded": ("has more SRAM errors than NVIDIA allows", _REPLACE),
    "ecc_errors/unrepairable_memory": ("has memory that cannot be repaired", _REPLACE),
    "ecc_errors/channel_repair_pending": ("repairs a memory channel at its reset", _RESET),
    "ecc_errors/tpc_repair_pending": ("repairs a processing cluster at its reset", _RESET),
}
"""Flags for life and their meaning: nvmlEccSramErrorStatus_v1_t; Xid catalogue, WORKFLOW_XID_48."""


def _flags(flags: Mapping[str, tuple[str, str]], what: str, new: bool = False) -> Of:
    """No GPU raises one of some flags.

    :param new: not every driver that is in use tells them.
    """

    def judge(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
        there = [path for path in flags if any(gpu.text(path) in ("Yes", "No") for gpu in gpus)]
        if not there:
            if new or any(gpu.text(path) == "N/A" for gpu in gpus for path in flags):
                return skipped(f"these GPUs, or their driver, have no {what}")
            return failed(f"nvidia-smi tells nothing of {what}", _BY_HAND)
        silent = sorted({gpu.name for gpu in gpus for path in there if gpu.text(path) not in ("Yes", "No")})
        if silent:
            return failed(f"nvidia-smi tells nothing of {what} of {', '.join(silent)}", _BY_HAND)
        for path in there:
            about, fix = flags[path]
            odd = {gpu.name: about for gpu in gpus if gpu.text(path) == "Yes"}
            if odd:
                return failed(_told(odd, gpus), fix, len(odd), 0, "GPUs")
        return passed("none", "none", f"asked for: {', '.join(path.rpartition('/')[2] for path in there)}")

    return judge


def _recovery(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
    # None, Reset, Reboot, Drain P2P, Drain and Reset: NVIDIA, GPU Memory Error Management, "Recovery action flag"
    if not any(gpu.text("gpu_recovery_action") for gpu in gpus):
        return skipped("this driver tells no recovery action; 580 does")
    return _all_are("gpu_recovery_action", "recovery action", "None", _RESET)(gpus, expected)


_SLOW = {
    "hw_slowdown": "is slowed down by its hardware",
    "hw_thermal_slowdown": "is slowed down by its hardware, for it is hot",
    "hw_power_brake_slowdown": "is slowed down by the power brake",
    "sw_thermal_slowdown": "is slowed down by the driver, for it is hot",
}


def _reason(gpu: Gpu, name: str) -> str:
    """Whether a reason for lower clocks is Active; drivers before 535 call it a throttle reason."""
    return gpu.text(f"clocks_event_reasons/clocks_event_reason_{name}") or gpu.text(
        f"clocks_throttle_reasons/clocks_throttle_reason_{name}"
    )


def _clocks(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
    silent = [gpu.name for gpu in gpus if not any(_reason(gpu, name) for name in _SLOW)]
    if silent:
        return failed(f"nvidia-smi tells no reasons for clocks of {', '.join(silent)}", _BY_HAND)
    if all(_reason(gpu, name) == "N/A" for gpu in gpus for name in _SLOW):
        return skipped("these GPUs tell no reasons for clocks")
    odd = {}
    for gpu in gpus:
        active = [about for name, about in _SLOW.items() if _reason(gpu, name) == "Active"]
        if active:
            odd[gpu.name] = ", ".join(active)
    if odd:
        fix = "look again in a minute; if it stays, replace the instance"
        return failed(_told(odd, gpus), fix, len(odd), 0, "GPUs")
    return passed("not slowed down")


_LINK = "pci/pci_gpu_link_info"


def _pcie_width(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
    widths = (f"{_LINK}/link_widths/current_link_width", f"{_LINK}/link_widths/max_link_width")
    for path in widths:
        absent = _absent(gpus, path, "width of PCI Express")
        if absent:
            return absent
    found = {gpu.name: tuple(int(gpu.text(path).rstrip("x")) for path in widths) for gpu in gpus}
    odd = {name: f"has {now} of {most} lanes" for name, (now, most) in found.items() if now < most}
    least, most = (min(column) for column in zip(*found.values()))
    if odd:
        fix = "look again under load; if it stays, stop and start the instance, or replace it"
        return failed(f"PCI Express: {_told(odd, gpus)}", fix, least, most, "lanes")
    return passed(least, most, unit="lanes")


def _pcie_generation(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
    generations = (f"{_LINK}/pcie_gen/current_link_gen", f"{_LINK}/pcie_gen/max_link_gen")
    for path in generations:
        absent = _absent(gpus, path, "generation of PCI Express")
        if absent:
            return absent
    lower = [gpu for gpu in gpus if int(gpu.text(generations[0])) < int(gpu.text(generations[1]))]
    busy = {
        gpu.name: f"runs generation {gpu.text(generations[0])} of {gpu.text(generations[1])}"
        for gpu in lower
        if _reason(gpu, "gpu_idle") != "Active"
    }
    if busy:
        return failed(f"PCI Express: {_told(busy, gpus)}", "stop and start the instance, or replace it")
    if lower:
        return skipped(f"{len(lower)} GPUs are idle, and an idle GPU may run a lower generation")
    return passed(f"generation {min(int(gpu.text(generations[0])) for gpu in gpus)}")


def _mig(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
    on = bool(expected_value(expected, "gpu.mig"))
    wanted, fix = "Enabled" if on else "Disabled", f"nvidia-smi -mig {int(on)}, and reboot the node"
    judgement = _all_are("mig_mode/current_mig", "MIG", wanted, fix)(gpus, expected)
    if judgement.verdict == PASS:
        return _all_are("mig_mode/pending_mig", "MIG at the next reset", wanted, fix)(gpus, expected)
    if judgement.verdict == SKIP and on:
        return failed(judgement.reason, "leave gpu.mig out of what is expected", "N/A", wanted)
    return judgement


def _compute_mode(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
    wanted = expected_value(expected, "gpu.compute_mode") or "Default"
    return _all_are("compute_mode", "compute mode", wanted, f"nvidia-smi --compute-mode={wanted.upper()}")(
        gpus, expected
    )


_HOPPER = 4
"""NVLink's generation from which GPUs register with a fabric: nvmlDeviceGetGpuFabricInfo, "Hopper or newer"."""


def _fabric(gpus: Sequence[Gpu], expected: Expected) -> Judgement:
    accelerator = expected["instance"]["accelerator"]
    if accelerator.get("nvlink", {}).get("generation", 0) < _HOPPER or accelerator["count"] == 1:
        return skipped(f"GPUs of {expected.get('instance_type', 'the type')} register with no fabric")
    wanted = "Completed, Success"
    found = {gpu.name: f"{gpu.text('fabric/state')}, {gpu.text('fabric/status')}" for gpu in gpus}
    odd = {name: state for name, state in found.items() if state != wanted}
    # NVML_GPU_FABRIC_HEALTH_SUMMARY_*: not supported (N/A), healthy, unhealthy, limited capacity
    odd.update(
        (gpu.name, f"is {gpu.text('fabric/health/summary')}")
        for gpu in gpus
        if gpu.text("fabric/health/summary") in ("Unhealthy", "Limited Capacity")
    )
    if odd:
        fix = "systemctl restart nvidia-fabricmanager; journalctl --unit nvidia-fabricmanager"
        return failed(f"fabric: {_told(odd, gpus)}", fix, next(iter(odd.values())), wanted)
    return passed(f"{len(gpus)} GPUs: {wanted}", wanted)


FIXES = {
    "BOOT_REATTEMPT_OR_ENABLE_ECC": "nvidia-smi --ecc-config=1, and reboot the node",
    "CHECK_MECHANICALS": _REPLACE,
    "CHECK_UVM": _RESET,
    "CONTACT_SUPPORT": _REPLACE,
    "RESET_GPU": _RESET,
    "RESTART_BM": _REBOOT,
    "RESTART_VM": _REBOOT,
    "UPDATE_SWFW": "make solve tells which versions of driver and firmware go together; then reboot the node",
    "WORKFLOW_NVLINK5_ERR": _RESET,
    "WORKFLOW_NVLINK_ERR": _RESET,
    "WORKFLOW_XID_48": _RESET,
    "XID_154": _RESET,
    "unknown": "look it up in NVIDIA's Xid catalogue, and add it to data/xids.yml; until then, replace the instance",
    "unverified": "no source states an action: reboot the node; if it comes again, replace the instance",
}
"""What to do about an action of data/xids.yml. A reset alone leaves the line in the log of this boot, so reboot."""

# "NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=7194, name=python, Contained: …": NVIDIA/open-gpu-kernel-modules
# 595.45.04, kernel_rc.c; older drivers leave out "PCI:"
_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)[^)]*\): (\d+)(?:, (.*))?$", re.MULTILINE)


FATAL = "fatal"
"""The severity of data/xids.yml that fails a node."""

_UNKNOWN = {"severity": FATAL, "action": "unknown", "meaning": "it is not in the catalogue"}


def _known(code: str, xids: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    return xids.get(code, _UNKNOWN)


def _severity(code: str, message: str, xids: Mapping[str, Mapping[str, str]]) -> str:
    known = _known(code, xids)
    # "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)": gpu.c of the same
    if known["action"] == "XID_154" and not message.endswith("(None)"):
        return FATAL
    # "149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x004505c6 …)": Xid catalogue, WORKFLOW_NVLINK5_ERR
    if known["action"] == "WORKFLOW_NVLINK5_ERR" and re.search(r"\bNon-?fatal\b", message, re.IGNORECASE):
        return "warn"
    return known["severity"]


def _xids(readings: Readings, expected: Expected) -> Judgement:
    log, xids = readings["log"], expected["xids"]
    without = _no_gpus(expected)
    if without:
        return without
    if log.status != 0:
        said = (log.err or log.out).strip()[:200]
        return failed(f"dmesg: {said or 'there is none'}", "run it as root; dmesg comes with package util-linux")
    if not log.lines:
        return skipped("the kernel's log is empty, as in a container")
    found: dict[tuple[str, str], str] = {}
    for where, code, message in _XID.findall(log.out):
        key = (code, bus_of(where))
        # of several messages the gravest counts; 154 tells what holds from then on
        if code == "154" or key not in found or _severity(code, found[key], xids) != FATAL:
            found[key] = message
    grave: dict[str, list[str]] = {}
    for (code, where), message in found.items():
        if _severity(code, message, xids) == FATAL:
            grave.setdefault(code, []).append(f"{where} ({message})" if code == "154" else where)
    if grave:
        text = [f"XID {code} on {', '.join(on)}: {_known(code, xids)['meaning']}" for code, on in grave.items()]
        fixes = dict.fromkeys(FIXES[_known(code, xids)["action"]] for code in grave)
        value = ", ".join(f"{code} {_known(code, xids)['action']}" for code in grave)
        return failed("; ".join(text), "; ".join(fixes), value, "none that is fatal")
    others = sorted({code for code, _where in found}, key=int)
    told = ", ".join(f"{code} {xids[code]['action']}" for code in others)
    # the first line of a boot; a ring that is full has lost it
    whole = "" if "Linux version" in log.out else "the log no longer begins with the boot"
    return passed(told or "none", "none that is fatal", whole)


def _check(name: str, about: str, judge: Of, *needs: str) -> Check:
    def reads(expected: Expected) -> Mapping[str, Probe]:
        return {"gpus": QUERY}

    return Check(f"gpu.{name}", about, reads, _of_gpus(judge), needs, "nvidia_driver")


CHECKS = (
    Check("gpu.driver", "nvidia-smi reaches every GPU", lambda expected: {"gpus": QUERY}, _driver, (), "nvidia_driver"),
    Check(
        "gpu.count",
        "the GPUs of the type are there",
        lambda expected: {"gpus": QUERY, "pci": _PCI},
        _count,
        ("instance.accelerator.count",),
        "nvidia_driver",
    ),
    _check("product", "the GPUs are those of the type", _product, "instance.accelerator.device_names"),
    _check("memory", "the GPUs have all their memory", _memory, "instance.accelerator.memory_gib"),
    _check(
        "persistence",
        "the driver keeps the GPUs initialised",
        _all_are("persistence_mode", "persistence", "Enabled", "systemctl enable --now nvidia-persistenced"),
    ),
    _check("mig", "MIG is off, or on where it was asked for", _mig),
    _check("compute_mode", "the compute mode is the one that was asked for", _compute_mode),
    _check(
        "ecc_mode",
        "memory errors are corrected",
        _all_are("ecc_mode/current_ecc", "ECC", "Enabled", "nvidia-smi --ecc-config=1, and reboot the node"),
    ),
    _check("ecc_errors", "no uncorrectable memory error since the driver was loaded", _ecc_errors),
    _check("ecc_repair", "no GPU has to be repaired after memory errors", _flags(_REPAIRS, "repairs", new=True)),
    _check(
        "row_remap",
        "no memory row waits to be remapped, and none could not be",
        _flags(
            {
                "remapped_rows/remapped_row_failure": ("could not remap a memory row", _REPLACE),
                "remapped_rows/remapped_row_pending": ("remaps a memory row at its reset", _RESET),
            },
            "row remapping",
        ),
    ),
    _check(
        "retired_pages",
        "no memory page waits to be retired",
        _flags(
            {
                "retired_pages/pending_retirement": ("retires a memory page at its reset", _RESET),
                "retired_pages/pending_blacklist": ("retires a memory page at its reset", _RESET),
            },
            "page retirement",
        ),
    ),
    _check("recovery", "no GPU asks to be recovered", _recovery),
    _check("clocks", "neither heat nor power slows a GPU down", _clocks),
    _check("pcie_width", "PCI Express has all its lanes", _pcie_width),
    _check("pcie_generation", "PCI Express runs its generation under load", _pcie_generation),
    _check("fabric", "the GPUs are in the fabric of NVSwitches", _fabric, "instance.accelerator.count"),
    Check(
        "gpu.xids",
        "the kernel's log of this boot has no XID that asks for the node's repair",
        lambda expected: {"log": KERNEL_LOG},
        _xids,
        ("xids",),
        "nvidia_driver",
    ),
)
