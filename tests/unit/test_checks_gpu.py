# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of GPUs, on a recorded H200 and on what is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    Probe,
    Reading,
    registry,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import gpu as gpu_checks
from ansible_collections.awsome.distributed_training.tests.unit import gpu_examples
from ansible_collections.awsome.distributed_training.tests.unit.gpu_examples import ALL, expected, queried, recorded

OF_GPU = [name.partition(".")[2] for name in registry.CHECKS if name.startswith("gpu.")]
QUERY = "nvidia-smi"
# own form of dmesg 2.38 --time-format=iso
LOG = "2026-11-28T05:06:00,000000+00:00 Linux version 6.8.0-1057-aws (buildd@) #1 SMP\n"
# lspci 3.10 -Dn: own form; 10de:2335 is an H200 (recorded /sys/bus/pci), 10de:22a3 an NVSwitch
ON_BUS = "".join(f"0000:{0x50 + index:x}:00.0 0302: 10de:2335 (rev a1)\n" for index in ALL)
SWITCHES = "0000:80:00.0 0680: 10de:22a3 (rev a1)\n"
HEALTHY = {QUERY: queried(), "dmesg": LOG, "lspci": ON_BUS + SWITCHES}


def told(
    name: str, changed: Mapping[str, Reading | str] | None = None, held_to: Mapping[str, Any] | None = None
) -> checks.Result:
    """What a check says of a healthy p5en.48xlarge on which some readings are others."""
    given = {**HEALTHY, **(changed or {})}

    def read(probe: Probe) -> Reading:
        assert isinstance(probe, Command)
        reading = given.get(probe.argv[0], Reading(None))
        return Reading(0, reading) if isinstance(reading, str) else reading

    result = checks.run(registry.CHECKS[f"gpu.{name}"], held_to or expected(), read)
    assert (result.verdict == "fail") == bool(result.fix)
    return result


def test_every_part_reads_the_same_call_once() -> None:
    asked: Counter[Probe] = Counter()

    def read(probe: Probe) -> Reading:
        asked[probe] += 1
        return Reading(None)

    checks.run_all(registry.select(["gpu"]), expected(), read)
    assert asked[gpu_checks.QUERY] == 1
    assert {probe.argv[0] for probe in asked if isinstance(probe, Command)} == {QUERY, "dmesg", "lspci"}


@pytest.mark.parametrize("name", sorted({*OF_GPU} - {"retired_pages"}))
def test_a_healthy_node_passes(name: str) -> None:
    assert told(name).verdict == "pass"


@pytest.mark.parametrize("recording", ["h200-idle.xml", "h200-loaded.xml"])
def test_the_recorded_gpu_passes_idle_and_under_load(recording: str) -> None:
    held_to = expected()
    held_to["instance"]["accelerator"]["count"] = 1
    given: dict[str, Reading | str] = {
        QUERY: recorded(recording),
        "dmesg": recorded("h200-dmesg.txt"),
        "lspci": Reading(None),
    }
    found = {name: told(name, given, held_to) for name in OF_GPU}
    assert {name for name, result in found.items() if result.verdict == "skip"} == {"fabric", "retired_pages"}
    assert {name for name, result in found.items() if result.verdict == "fail"} == set()
    assert (found["memory"].value, found["pcie_width"].value, found["driver"].value) == (
        "140.4",
        "16",
        "driver 580.159.04",
    )


PAGES = {"retired_pages/pending_retirement": "No", "retired_pages/pending_blacklist": "No"}


def test_pages_that_do_not_wait_pass() -> None:
    assert told("retired_pages", {QUERY: queried(PAGES, ALL)}).verdict == "pass"


@pytest.mark.parametrize(
    ("name", "changes", "reason", "fix"),
    [
        (
            "product",
            {"product_name": "NVIDIA H100 80GB HBM3"},
            "1 of 8 GPUs: 0000:53:00 NVIDIA H100",
            "adt_instance_type",
        ),
        ("memory", {"fb_memory_usage/total": "122880 MiB"}, "0000:53:00 120.0 GiB", "reboot"),
        ("memory", {"fb_memory_usage/total": None}, "tells no memory of 0000:53:00", "by hand"),
        ("persistence", {"persistence_mode": "Disabled"}, "0000:53:00 Disabled", "nvidia-persistenced"),
        ("mig", {"mig_mode/current_mig": "Enabled"}, "MIG: 1 of 8 GPUs: 0000:53:00 Enabled", "nvidia-smi -mig 0"),
        ("mig", {"mig_mode/pending_mig": "Enabled"}, "MIG at the next reset", "nvidia-smi -mig 0"),
        ("compute_mode", {"compute_mode": "Prohibited"}, "0000:53:00 Prohibited", "--compute-mode=DEFAULT"),
        ("ecc_mode", {"ecc_mode/current_ecc": "Disabled"}, "ECC: 1 of 8 GPUs", "--ecc-config=1"),
        ("ecc_mode", {"ecc_mode/current_ecc": "N/A"}, "tells no ECC of 0000:53:00", "by hand"),
        ("ecc_errors", {"ecc_errors/volatile/dram_uncorrectable": "2"}, "0000:53:00 2 dram_uncorrectable", "reboot"),
        ("ecc_errors", {"ecc_errors/volatile/sram_uncorrectable_parity": "1"}, "1 sram_uncorrectable_parity", "reboot"),
        (
            "ecc_errors",
            {"ecc_errors/volatile/dram_uncorrectable": "Unknown Error"},
            "counts no memory errors",
            "by hand",
        ),
        ("ecc_errors", {"ecc_errors/volatile": None}, "counts no memory errors of 0000:53:00", "by hand"),
        ("ecc_repair", {"ecc_errors/aggregate/sram_threshold_exceeded": "Yes"}, "more SRAM errors", "replace"),
        ("ecc_repair", {"ecc_errors/unrepairable_memory": "Yes"}, "cannot be repaired", "replace"),
        ("ecc_repair", {"ecc_errors/channel_repair_pending": "Yes"}, "repairs a memory channel", "reboot"),
        ("ecc_repair", {"ecc_errors/channel_repair_pending": None}, "nothing of repairs of 0000:53:00", "by hand"),
        ("row_remap", {"remapped_rows/remapped_row_pending": "Yes"}, "0000:53:00 remaps a memory row", "reboot"),
        ("row_remap", {"remapped_rows/remapped_row_failure": "Yes"}, "could not remap", "replace the instance"),
        ("recovery", {"gpu_recovery_action": "Reboot"}, "recovery action: 1 of 8 GPUs: 0000:53:00 Reboot", "reboot"),
        (
            "clocks",
            {"clocks_event_reasons/clocks_event_reason_hw_thermal_slowdown": "Active"},
            "0000:53:00 is slowed down by its hardware, for it is hot",
            "replace the instance",
        ),
        ("clocks", {"clocks_event_reasons/clocks_event_reason_hw_slowdown": "Active"}, "by its hardware", "replace"),
        ("clocks", {"clocks_event_reasons/clocks_event_reason_sw_thermal_slowdown": "Active"}, "driver", "replace"),
        ("clocks", {"clocks_event_reasons/clocks_event_reason_hw_power_brake_slowdown": "Active"}, "brake", "replace"),
        ("clocks", {"clocks_event_reasons": None}, "no reasons for clocks of 0000:53:00", "by hand"),
        ("pcie_width", {"pci/pci_gpu_link_info/link_widths/current_link_width": "8x"}, "has 8 of 16 lanes", "replace"),
        ("fabric", {"fabric/state": "In Progress", "fabric/status": "N/A"}, "0000:53:00 In Progress, N/A", "restart"),
        ("fabric", {"fabric/status": "Insufficient Resources"}, "Completed, Insufficient Resources", "journalctl"),
        ("fabric", {"fabric/state": "N/A", "fabric/status": "N/A"}, "0000:53:00 N/A, N/A", "nvidia-fabricmanager"),
        ("fabric", {"fabric/health/summary": "Unhealthy"}, "0000:53:00 is Unhealthy", "nvidia-fabricmanager"),
    ],
)
def test_one_gpu_of_eight_that_is_not_well_fails_and_is_named(
    name: str, changes: gpu_examples.Changes, reason: str, fix: str
) -> None:
    result = told(name, {QUERY: queried(changes)})
    assert result.verdict == "fail"
    assert reason in result.reason
    assert fix in result.fix


@pytest.mark.parametrize("path", PAGES)
def test_pages_that_wait_to_be_retired_fail(path: str) -> None:
    result = told("retired_pages", {QUERY: queried({**PAGES, path: "Yes"}, ALL)})
    assert (result.verdict, result.value) == ("fail", "8")
    assert "retires a memory page at its reset" in result.reason


CLOCKS = "clocks_event_reasons/clocks_event_reason_"


@pytest.mark.parametrize("name", ["sw_power_cap", "gpu_idle", "applications_clocks_setting", "sync_boost"])
def test_lower_clocks_that_are_meant_pass(name: str) -> None:
    assert told("clocks", {QUERY: queried({f"{CLOCKS}{name}": "Active"}, ALL)}).verdict == "pass"


LOWER = {"pci/pci_gpu_link_info/pcie_gen/current_link_gen": "1"}


def test_a_lower_generation_is_no_proof_on_an_idle_gpu_and_a_fault_on_a_busy_one() -> None:
    idle = told("pcie_generation", {QUERY: queried(LOWER)})
    assert (idle.verdict, idle.reason) == ("skip", "1 GPUs are idle, and an idle GPU may run a lower generation")
    busy = told("pcie_generation", {QUERY: queried({**LOWER, f"{CLOCKS}gpu_idle": "Not Active"})})
    assert busy.verdict == "fail"
    assert "0000:53:00 runs generation 1 of 5" in busy.reason


def test_names_of_drivers_before_535_are_read_too() -> None:
    old = queried().replace("clocks_event_reason", "clocks_throttle_reason")
    slow = old.replace("reason_sw_thermal_slowdown>Not Active<", "reason_sw_thermal_slowdown>Active<", 1)
    assert told("clocks", {QUERY: old}).verdict == "pass"
    assert told("clocks", {QUERY: slow}).verdict == "fail"


@pytest.mark.parametrize(
    ("count", "pci", "reason", "fix"),
    [
        (7, ON_BUS + SWITCHES, "7 of 8 GPUs answer, 8 are on the PCI bus", "reboot"),
        (7, "\n".join(ON_BUS.splitlines()[1:]), "7 of 8 GPUs answer, 7 are on the PCI bus", "replace the instance"),
        (7, Reading(None), "7 of 8 GPUs answer", "reboot"),
        (9, ON_BUS, "9 GPUs; p5en.48xlarge has 8", "adt_instance_type"),
    ],
)
def test_another_number_of_gpus_fails(count: int, pci: Reading | str, reason: str, fix: str) -> None:
    result = told("count", {QUERY: queried(count=count), "lspci": pci})
    assert (result.verdict, result.reason, result.value, result.limit) == ("fail", reason, str(count), "8")
    assert fix in result.fix


# NVML's and nvidia-smi's own words, well known: reconstructed
SILENT = [
    (Reading(None), "there is no nvidia-smi", "apply role nvidia_driver"),
    (
        Reading(18, "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95\n"),
        "Driver/library version mismatch",
        "reboot: the loaded module",
    ),
    (
        Reading(9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"),
        "couldn't communicate",
        "modprobe nvidia",
    ),
    (Reading(6, "No devices were found\n"), "No devices were found", "reboot"),
    (
        Reading(15, "Unable to determine the device handle for GPU0000:53:00.0: GPU is lost.\n"),
        "GPU is lost",
        "replace the instance",
    ),
    (Reading(124, "", "no answer within 60 s"), "ends with 124: no answer within 60 s", "by hand"),
    (Reading(0, ""), "it names no GPU", "by hand"),
    (Reading(14, f"WARNING: infoROM is corrupted at gpu 0000:53:00.0\n{queried()}"), "infoROM is corrupted", "by hand"),
]


@pytest.mark.parametrize(("said", "reason", "fix"), SILENT)
def test_a_driver_that_does_not_answer_fails_with_what_it_says(said: Reading, reason: str, fix: str) -> None:
    result = told("driver", {QUERY: said})
    assert result.verdict == "fail"
    assert reason in result.reason
    assert fix in result.fix


def test_gpus_that_do_not_answer_are_one_failure_and_nothing_passes() -> None:
    given = {QUERY: SILENT[1][0]}
    verdicts = {name: told(name, given).verdict for name in OF_GPU}
    assert {name for name, verdict in verdicts.items() if verdict == "fail"} == {"driver"}
    assert {name for name, verdict in verdicts.items() if verdict == "pass"} == {"xids"}


def test_what_nvidia_smi_leaves_out_never_passes() -> None:
    bare = '<nvidia_smi_log><gpu id="00000000:50:00.0"></gpu></nvidia_smi_log>'
    held_to = expected("p5en.48xlarge")
    held_to["instance"]["accelerator"]["count"] = 2
    verdicts = {name: told(name, {QUERY: bare}, held_to).verdict for name in OF_GPU}
    assert {name for name, verdict in verdicts.items() if verdict == "pass"} == {"driver", "xids"}
    assert {name for name, verdict in verdicts.items() if verdict == "skip"} == {"recovery", "ecc_repair"}


def test_what_a_gpu_has_not_is_skipped_with_its_name() -> None:
    without: dict[str, gpu_examples.Changes] = {
        "persistence": {"persistence_mode": "N/A"},
        "mig": {"mig_mode/current_mig": "N/A", "mig_mode/pending_mig": "N/A"},
        "compute_mode": {"compute_mode": "N/A"},
        "memory": {"fb_memory_usage/total": "N/A"},
        "ecc_mode": {"ecc_mode/current_ecc": "N/A"},
        "ecc_errors": {
            f"ecc_errors/volatile/{name}_uncorrectable{kind}": "N/A"
            for name, kind in (("dram", ""), ("sram", "_parity"), ("sram", "_secded"))
        },
        "row_remap": {"remapped_rows/remapped_row_pending": "N/A", "remapped_rows/remapped_row_failure": "N/A"},
        "recovery": {"gpu_recovery_action": None},
        "clocks": {
            f"{CLOCKS}{name}": "N/A"
            for name in ("hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown")
        },
        "pcie_width": {"pci/pci_gpu_link_info/link_widths/max_link_width": "N/A"},
        "pcie_generation": {"pci/pci_gpu_link_info/pcie_gen/max_link_gen": "N/A"},
    }
    found = {name: told(name, {QUERY: queried(changes, ALL)}) for name, changes in without.items()}
    assert {result.verdict for result in found.values()} == {"skip"}
    assert all("these GPUs" in result.reason or "this driver" in result.reason for result in found.values())


@pytest.mark.parametrize("name", OF_GPU)
def test_a_type_without_nvidia_gpus_is_skipped(name: str) -> None:
    result = told(name, {QUERY: Reading(None), "dmesg": Reading(None)}, expected("trn2.48xlarge"))
    assert result.verdict == "skip"
    assert "trn2.48xlarge has no NVIDIA GPU" in result.reason or "not known" in result.reason


def test_without_an_ec2_type_the_gpus_are_judged_by_themselves() -> None:
    verdicts = {name: told(name, held_to={"xids": gpu_examples.XIDS}).verdict for name in OF_GPU}
    skipped = {name for name, verdict in verdicts.items() if verdict == "skip"}
    assert skipped == {"count", "product", "memory", "fabric", "retired_pages"}


@pytest.mark.parametrize("type_", ["p4d.24xlarge", "p5.4xlarge", "g6e.48xlarge"])
def test_gpus_that_register_with_no_fabric_are_skipped(type_: str) -> None:
    assert told("fabric", held_to=expected(type_)).verdict == "skip"


def test_mig_and_compute_mode_that_were_asked_for() -> None:
    asked = expected(gpu={"mig": True, "compute_mode": "Exclusive_Process"})
    on = queried(
        {"mig_mode/current_mig": "Enabled", "mig_mode/pending_mig": "Enabled", "compute_mode": "Exclusive_Process"}, ALL
    )
    none = queried({"mig_mode/current_mig": "N/A", "mig_mode/pending_mig": "N/A"}, ALL)
    assert [told(name, {QUERY: on}, asked).verdict for name in ("mig", "compute_mode")] == ["pass", "pass"]
    assert [told(name, {}, asked).verdict for name in ("mig", "compute_mode")] == ["fail", "fail"]
    result = told("mig", {QUERY: none}, asked)
    assert (result.verdict, result.reason) == ("fail", "these GPUs have no MIG")


def line(code: int, message: str, where: str = "PCI:0000:53:00") -> str:
    """A line of the driver as its source writes it (kernel_rc.c of 595.45.04)."""
    return f"2026-11-28T06:00:00,000000+00:00 NVRM: Xid ({where}): {code}, {message}\n"


@pytest.mark.parametrize(
    ("lines", "value", "reason", "fix"),
    [
        (
            line(79, "pid='<unknown>', name=<unknown>, GPU has fallen off the bus."),
            "79 RESTART_BM",
            "XID 79 on 0000:53:00: the GPU does not answer on PCI Express any more",
            "reboot the node; if it comes again, replace the instance",
        ),
        (
            line(48, "pid=7, name=python3, DBE"),
            "48 WORKFLOW_XID_48",
            "uncorrectable error of two bits",
            "resets the GPU",
        ),
        (line(95, "pid=7, name=python, Uncontained: LTC TAG", "PCI:0000:53:00 GPU-I:05"), "95 RESET_GPU", "XID 95", ""),
        (line(74, "NVLink: fatal error detected on link 6(0x0, 0x0)"), "74 WORKFLOW_NVLINK_ERR", "XID 74", "resets"),
        (
            line(154, "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)"),
            "154 XID_154",
            "to 0x2 (Node Reboot Required))",
            "reboot the node",
        ),
        (
            line(149, "NETIR_LINK_EVT  Fatal   XC0 i0 Link 01 (0x021425c6 0x00000000)")
            + line(149, "NETIR_BER_EVENT Nonfatal XC0 i0 Link 01 (0x00000000 0x00000000)"),
            "149 WORKFLOW_NVLINK5_ERR",
            "XID 149 on 0000:53:00: NVLink 5",
            "resets the GPU",
        ),
        (line(171, "DRAM"), "171 unverified", "comes with XID 48", "no source states an action"),
        (
            line(999, "something new"),
            "999 unknown",
            "XID 999 on 0000:53:00: it is not in the catalogue",
            "data/xids.yml",
        ),
        (line(14, "x", "0000:03:00") + line(62, "x", "0000:03:00"), "62 RESET_GPU", "XID 62 on 0000:03:00", "reboot"),
    ],
)
def test_an_xid_that_asks_for_the_nodes_repair_fails_with_its_action(
    lines: str, value: str, reason: str, fix: str
) -> None:
    result = told("xids", {"dmesg": LOG + lines})
    assert (result.verdict, result.value) == ("fail", value)
    assert reason in result.reason
    assert fix in result.fix


def test_several_gpus_and_xids_are_told_together() -> None:
    lines = "".join(line(79, "x", f"PCI:0000:5{index}:00") for index in range(3)) + line(31, "x") + line(62, "x")
    result = told("xids", {"dmesg": LOG + lines})
    assert result.value == "79 RESTART_BM, 62 RESET_GPU"
    assert "XID 79 on 0000:50:00, 0000:51:00, 0000:52:00:" in result.reason


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ("", "none"),
        (line(31, "pid=7, name=python3, MMU Fault") + line(13, "Graphics Exception"), "13 RESTART_APP, 31 RESTART_APP"),
        (
            line(45, "pid=7, name=python3, Ch 00000001 caused by previous Xid 94") + line(94, "x"),
            "45 WORKFLOW_XID_45, 94",
        ),
        (line(63, "Row Remapper: New row marked for remapping, reset gpu to activate."), "63 IGNORE"),
        (line(149, "NETIR_BER_EVENT Nonfatal XC0 i0 Link 01 (0x0 0x0)"), "149 WORKFLOW_NVLINK5_ERR"),
        (
            line(154, "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)")
            + line(154, "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"),
            "154 XID_154",
        ),
        ("2026-11-28T06:00:00,000000+00:00 app: the log said Xid 79 once\n", "none"),
    ],
)
def test_xids_of_applications_pass_and_are_told(lines: str, value: str) -> None:
    result = told("xids", {"dmesg": LOG + lines})
    assert result.verdict == "pass"
    assert result.value.startswith(value)


def test_a_log_that_has_lost_the_boot_says_so() -> None:
    assert told("xids", {"dmesg": line(31, "x")}).reason == "the log no longer begins with the boot"
    assert told("xids").reason == ""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (Reading(1, "", "dmesg: read kernel buffer failed: Operation not permitted\n"), "Operation not permitted"),
        (Reading(None), "there is none"),
    ],
)
def test_a_log_that_cannot_be_read_fails(log: Reading, reason: str) -> None:
    result = told("xids", {"dmesg": log})
    assert result.verdict == "fail"
    assert reason in result.reason


def test_an_empty_log_and_unknown_xids_are_no_proof() -> None:
    assert told("xids", {"dmesg": ""}).reason == "the kernel's log is empty, as in a container"
    assert told("xids", held_to={**expected(), "xids": {}}).reason == "not known: xids"
