"""Checks of role nvidia_driver, on what tools print."""

from __future__ import annotations

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
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.nvidia_driver import loaded_version

VERSION = "580.173.02"
KERNEL = "6.8.0-1057-aws"
EXPECTED: dict[str, Any] = {
    "system": "ubuntu2404",
    "arch": "x86_64",
    "kernel": KERNEL,
    "versions": {"nvidia_driver": VERSION},
    "nvidia_driver": {"modules": "open", "options": {"NVreg_EnableGpuFirmware": 0}, "start": True},
}
SETTINGS = "# a comment\nblacklist nouveau\noptions nouveau modeset=0\noptions nvidia NVreg_EnableGpuFirmware=0\n"
# driver 580.95.05, open, and 535.129.03, proprietary: reconstructed from the driver's README, "/proc/driver/nvidia"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build  (root@builder)\nGCC:\n"
PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Thu Oct 19 18:56:32 UTC 2023\nGCC version:\n"
# nvidia-smi 580.95.05: reconstructed from public issue reports
SMI = (
    "NVIDIA-SMI version  : {0}\nNVML version        : 580.173\nDRIVER version      : {0}\nCUDA Version        : 13.0\n"
)
# nvidia-smi 610.88: reconstructed from a public test, whose lines are named anew
SMI_610 = 'NVIDIA-SMI version  : 610.88\nDRIVER version      : Deprecated, see "KMD version" instead\n'
# dkms 3.0.10 and 2.8.7: reconstructed from dkms(8)
DKMS = f"efa/3.3.0, {KERNEL}, x86_64: installed\nnvidia/{VERSION}, {KERNEL}, x86_64: installed\n"
# kmod 30: own
NO_MODULE = Reading(1, "", "modinfo: ERROR: Module nvidia not found.\n")
PACKAGES = f"nvidia-open\t{VERSION}-1ubuntu1\tii \nlibnvidia-compute-580\t{VERSION}-1ubuntu1\tii \n"
RUNS = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n"

HEALTHY: dict[str, Reading] = {
    "dpkg-query": Reading(0, PACKAGES),
    "modinfo version": Reading(0, f"{VERSION}\n"),
    "modinfo license": Reading(0, "Dual MIT/GPL\n"),
    "/proc/driver/nvidia/version": Reading(0, OPEN.format(version=VERSION)),
    "/proc/driver/nvidia/params": Reading(0, 'EnableGpuFirmware: 0\nCoherentGPUMemoryMode: ""\n'),
    "dkms": Reading(0, DKMS),
    "nvidia-smi": Reading(0, SMI.format(VERSION)),
    "/proc/modules": Reading(0, "nvidia 14376960 0 - Live 0x0\n"),
    "/etc/modprobe.d/adt-nvidia.conf": Reading(0, SETTINGS),
    f"/lib/modules/{KERNEL}/build/": Reading(0, "Makefile\n"),
    "systemctl": Reading(0, RUNS),
}


def told(
    name: str, changed: Mapping[str, Reading] | None = None, expected: Mapping[str, Any] = EXPECTED
) -> checks.Result:
    """What a check says of a healthy node on which some readings are others."""
    given = {**HEALTHY, **(changed or {})}

    def read(probe: Probe) -> Reading:
        if not isinstance(probe, Command):
            return given.get(probe.path, Reading(None))
        key = f"modinfo {probe.argv[2]}" if probe.argv[0] == "modinfo" else probe.argv[0]
        return given.get(key, Reading(None))

    return checks.run(registry.CHECKS[f"nvidia_driver.{name}"], expected, read)


OWN = ("one_version", "headers", "module", "dkms", "flavour", "libraries", "nouveau", "options", "persistenced")


@pytest.mark.parametrize("name", OWN)
def test_a_healthy_node_passes(name: str) -> None:
    assert told(name).verdict == "pass"


@pytest.mark.parametrize(
    ("name", "changed", "reason", "fix"),
    [
        (
            "one_version",
            {"dpkg-query": PACKAGES + "nvidia-imex\t580.178.04-1\tii \n"},
            "nvidia-imex 580.178.04",
            "apply",
        ),
        ("one_version", {"dpkg-query": "nvidia-open\t595.91.07-1\thi \n"}, "nvidia-open 595.91.07", "apply role"),
        ("headers", {f"/lib/modules/{KERNEL}/build/": Reading(None)}, KERNEL, "apply role"),
        ("module", {"modinfo version": NO_MODULE}, "there is no module nvidia", "dkms autoinstall"),
        ("module", {"modinfo version": "580.178.04\n"}, "module nvidia is 580.178.04", "dkms"),
        ("module", {"/proc/driver/nvidia/version": OPEN.format(version="580.95.05")}, "580.95.05 is loaded", "reboot"),
        ("module", {"/proc/driver/nvidia/version": "nothing known\n"}, "of no version is loaded", "reboot"),
        ("dkms", {"dkms": f"nvidia/{VERSION}: added\n"}, "nvidia/580.173.02: added", f"--kernelver {KERNEL}"),
        ("dkms", {"dkms": DKMS.replace(KERNEL, "6.8.0-1001-aws")}, "6.8.0-1001-aws", "dkms autoinstall"),
        ("dkms", {"dkms": ""}, "does not know it", "dkms autoinstall"),
        ("dkms", {"dkms": Reading(None)}, "there is no dkms", "apply role"),
        ("flavour", {"modinfo license": "NVIDIA\n"}, "licence NVIDIA, not Dual MIT/GPL", "replace"),
        ("flavour", {"modinfo license": NO_MODULE}, "there is no module nvidia", "dkms autoinstall"),
        ("libraries", {"nvidia-smi": SMI.format("580.178.04")}, "nvidia-smi is 580.178.04", "apply role"),
        ("libraries", {"nvidia-smi": SMI_610}, "nvidia-smi is 610.88", "apply role"),
        ("libraries", {"nvidia-smi": Reading(None)}, "there is no nvidia-smi", "apply role"),
        ("libraries", {"nvidia-smi": Reading(127, "", "libnvidia-ml.so: no such file")}, "tells no version", "apply"),
        ("libraries", {"modinfo version": NO_MODULE}, "module nvidia is missing", "apply role"),
        (
            "libraries",
            # NVML 580: reconstructed from NVIDIA-Ubuntu-Driver-Guide#4
            {"nvidia-smi": Reading(18, "Failed to initialize NVML: Driver/library version mismatch\n")},
            "not of the loaded module's version",
            "reboot",
        ),
        ("nouveau", {"/proc/modules": "nouveau 2400256 0 - Live 0x0\n"}, "nouveau is loaded", "reboot"),
        ("nouveau", {"/etc/modprobe.d/adt-nvidia.conf": Reading(None)}, "does not keep nouveau out", "apply role"),
        ("nouveau", {"/etc/modprobe.d/adt-nvidia.conf": "#blacklist nouveau\n"}, "does not keep", "apply role"),
        ("options", {"/etc/modprobe.d/adt-nvidia.conf": "blacklist nouveau\n"}, "lacks NVreg_EnableGpuF", "apply"),
        ("options", {"/proc/driver/nvidia/params": "EnableGpuFirmware: 18\n"}, "is 18, not 0", "reboot"),
        ("persistenced", {"systemctl": RUNS.replace("=active", "=failed")}, "is failed", "journalctl"),
        ("persistenced", {"systemctl": RUNS.replace("=enabled", "=disabled")}, "at boot", "systemctl enable"),
    ],
)
def test_what_is_wrong_fails_and_is_told(name: str, changed: dict[str, Reading | str], reason: str, fix: str) -> None:
    given = {key: Reading(0, value) if isinstance(value, str) else value for key, value in changed.items()}
    result = told(name, given)
    assert result.verdict == "fail"
    assert reason in result.reason
    assert fix in result.fix


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("one_version", "versions"),
        ("headers", "kernel"),
        ("module", "versions"),
        ("dkms", "arch"),
        ("flavour", "nvidia_driver"),
        ("libraries", "versions"),
        ("options", "nvidia_driver"),
        ("persistenced", "nvidia_driver"),
    ],
)
def test_what_is_not_known_is_skipped(name: str, without: str) -> None:
    expected = {key: value for key, value in EXPECTED.items() if key != without}
    assert told(name, expected=expected).verdict == "skip"


def test_no_package_of_the_driver_is_no_proof() -> None:
    others = "nvidia-container-toolkit\t1.20.1-1\tii \nnvidia-open\t570.1-1\trc \n"
    assert told("one_version", {"dpkg-query": Reading(0, others)}).verdict == "skip"


def test_packages_with_versions_of_their_own_do_not_count() -> None:
    # names and versions of NVIDIA's repository and of Ubuntu 24.04: reconstructed
    own = "".join(
        f"{name}\t{version}\tii \n"
        for name, version in {
            "nvidia-driver-assistant": "0.21.57.08-1",
            "libnvidia-egl-wayland1": "1:1.1.13-1build1",
            "libnvidia-container1": "1.20.1-1",
            "nvidia-settings": "510.47.03-0ubuntu4",
            "nvidia-kernel-common": "20240109+1",
            "nvlsm": "2025.10.14-1",
        }.items()
    )
    assert told("one_version", {"dpkg-query": Reading(0, PACKAGES + own)}).verdict == "pass"


def test_rpm_is_asked_on_amazon_linux() -> None:
    rpms = Reading(0, f"kmod-nvidia-open-dkms\t{VERSION}\nnvidia-driver\t{VERSION}\nnvidia-driver-cuda\t580.159.03\n")
    result = told("one_version", {"rpm": rpms, "dpkg-query": Reading(None)}, {**EXPECTED, "system": "amazon2023"})
    assert (result.verdict, "nvidia-driver-cuda 580.159.03" in result.reason) == ("fail", True)


def test_a_module_that_is_not_loaded_is_judged_by_its_file() -> None:
    result = told("module", {"/proc/driver/nvidia/version": Reading(None)})
    assert (result.verdict, result.reason) == ("pass", "not loaded here")


@pytest.mark.parametrize("text", [OPEN, PROPRIETARY])
@pytest.mark.parametrize("version", ["535.129.03", "580.142"])
def test_the_loaded_version_is_read_of_both_flavours(text: str, version: str) -> None:
    assert loaded_version(Reading(0, text.format(version=version))) == version


def test_dkms_2_is_read_too() -> None:
    line = f"nvidia, {VERSION}, {KERNEL}, x86_64: installed (original_module exists)\n"
    assert told("dkms", {"dkms": Reading(0, line)}).verdict == "pass"


def test_the_proprietary_flavour_passes_where_it_is_asked_for() -> None:
    expected = {**EXPECTED, "nvidia_driver": {"modules": "proprietary", "options": {}}}
    assert told("flavour", {"modinfo license": Reading(0, "NVIDIA\n")}, expected).verdict == "pass"
    assert told("flavour", expected=expected).verdict == "fail"


def test_options_are_compared_as_numbers_and_without_quotation_marks() -> None:
    options = {"NVreg_CoherentGPUMemoryMode": "driver", "NVreg_EnableGpuFirmware": "0x10"}
    expected = {**EXPECTED, "nvidia_driver": {"modules": "open", "options": options}}
    settings = "options nvidia NVreg_CoherentGPUMemoryMode=driver\noptions nvidia NVreg_EnableGpuFirmware=0x10\n"
    params = 'EnableGpuFirmware: 16\nCoherentGPUMemoryMode: "driver"\n'
    files = {"/etc/modprobe.d/adt-nvidia.conf": settings, "/proc/driver/nvidia/params": params}
    assert told("options", {path: Reading(0, text) for path, text in files.items()}, expected).verdict == "pass"


def test_a_daemon_that_was_not_to_be_started_has_to_start_at_boot() -> None:
    expected = {**EXPECTED, "nvidia_driver": {"modules": "open", "options": {}, "start": False}}
    stopped = RUNS.replace("=active", "=inactive")
    assert told("persistenced", {"systemctl": Reading(0, stopped)}, expected).verdict == "pass"
    disabled = Reading(0, stopped.replace("=enabled", "=disabled"))
    assert told("persistenced", {"systemctl": disabled}, expected).verdict == "fail"
