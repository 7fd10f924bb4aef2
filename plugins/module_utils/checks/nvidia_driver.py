# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role nvidia_driver.

What the role says of itself under ``nvidia_driver`` in Expected: ``modules`` (open or proprietary), ``options`` of
module nvidia, and ``start``, false where the persistence daemon is for the next boot alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Folder,
    Judgement,
    Probe,
    Reading,
    Readings,
    common,
    failed,
    passed,
    skipped,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import RPM_SYSTEMS

LICENCES = {"open": "Dual MIT/GPL", "proprietary": "NVIDIA"}
"""What modinfo says of a flavour of module nvidia: NVIDIA's driver installation guide, chapter on kernel modules."""

_AGAIN = "apply role nvidia_driver"
_SETTINGS = "/etc/modprobe.d/adt-nvidia.conf"
_LOADED = File("/proc/driver/nvidia/version")

# Packages that are cut from the driver of one version (R02). Not among them: what has versions of its own, such as
# nvidia-driver-assistant, libnvidia-egl-wayland1 and nvidia-container-toolkit, and what the OS has of its own
# (nvidia-settings, nvidia-modprobe, nvidia-kernel-common).
_PARTS = re.compile(
    r"(nvidia-(driver(?!-assistant|-local-repo)|open|dkms|kernel-(open-)?dkms|kernel-source|persistenced"
    r"|fabric-?manager|imex|utils|compute-utils|headless)"
    r"|libnvidia-(cfg|compute|decode|encode|extra|fbc|gl|gpucomp|ml|nscq)\d*"
    r"|kmod-nvidia|cuda-drivers|libcuda1)(-.*)?"
)


def version_in(text: str) -> str:
    """The driver's version in a package's version or a tool's line."""
    match = re.search(r"\d+(\.\d+)+", text)
    return match[0] if match else ""


def module_version(reading: Reading) -> str:
    """The version of module nvidia for the running kernel, by ``modinfo -F version nvidia``; empty without one."""
    return reading.out.strip() if reading.status == 0 else ""


def loaded_version(reading: Reading) -> str:
    """The version of the loaded module, from /proc/driver/nvidia/version; empty where none is.

    ``NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build …``, or ``… x86_64 Kernel Module
    535.129.03  …`` of the proprietary one.
    """
    match = re.search(r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s", reading.out, re.MULTILINE)
    return match[1] if match else ""


MODULE_VERSION = Command(("modinfo", "-F", "version", "nvidia"))


def service_or_enabled(role: str, unit: str, name: str, *needs: str) -> Check:
    """A unit runs and starts at boot; where the role says ``start: false`` of itself, it starts at boot.

    :param needs: keys of Expected without which there is no such unit.
    """
    running = common.service(role, unit, name)

    def judge(readings: Readings, expected: Expected) -> Judgement:
        if expected[role].get("start", True):
            return running.judge(readings, expected)
        shown = dict(line.partition("=")[::2] for line in readings["unit"].lines)
        state = shown.get("UnitFileState", "")
        if state not in ("enabled", "static", "alias", "indirect"):
            return failed(f"{unit} does not start at boot", f"systemctl enable {unit}", state, "enabled")
        return passed(state, "enabled", "not started here, as the role was told")

    return Check(running.id, running.about, running.reads, judge, (role, *needs))


def _one_version(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["versions"]["nvidia_driver"]
    found = {}
    for line in readings["installed"].lines:
        fields = line.split("\t")
        if _PARTS.fullmatch(fields[0]) and (len(fields) == 2 or fields[2][1:2] == "i"):
            found[fields[0]] = version_in(fields[1])
    if not found:
        return skipped("no package of the driver is installed")
    other = [f"{name} {version}" for name, version in sorted(found.items()) if version != wanted]
    if other:
        return failed(
            f"not {wanted}: {', '.join(other)}", f"{_AGAIN}, and remove what is of another version", limit=wanted
        )
    return passed(f"{len(found)} packages of {wanted}", wanted)


def _query(expected: Expected) -> Probe:
    if expected["system"] in RPM_SYSTEMS:
        return Command(("rpm", "--query", "--all", "--queryformat", "%{NAME}\\t%{VERSION}\\n"))
    return Command(("dpkg-query", "--show", "--showformat=${Package}\\t${Version}\\t${db:Status-Abbrev}\\n"))


def _module(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["versions"]["nvidia_driver"]
    built, loaded = module_version(readings["module"]), loaded_version(readings["loaded"])
    if not built:
        return failed(
            "there is no module nvidia for the running kernel",
            "dkms autoinstall, with the kernel's headers",
            "",
            wanted,
        )
    if built != wanted:
        return failed(f"module nvidia is {built}, not {wanted}", "dkms status; dkms autoinstall", built, wanted)
    if readings["loaded"].there and loaded != wanted:
        return failed(f"module nvidia {loaded or 'of no version'} is loaded, not {wanted}", "reboot", loaded, wanted)
    return passed(built, wanted, "loaded" if loaded else "not loaded here")


def _rebuilt(readings: Readings, expected: Expected) -> Judgement:
    # dkms 3: "nvidia/580.95.05, 6.8.0-1057-aws, x86_64: installed"; dkms 2 has ", " for the slash
    wanted = f"{expected['versions']['nvidia_driver']}, {expected['kernel']}, {expected['arch']}: installed"
    of_nvidia = [line.strip() for line in readings["dkms"].lines if line.startswith("nvidia")]
    if any(re.match(rf"nvidia[a-z-]*(/|, ){re.escape(wanted)}", line) for line in of_nvidia):
        return passed(wanted, wanted)
    return failed(
        f"DKMS has not installed module nvidia: {of_nvidia[0] if of_nvidia else 'it does not know it'}",
        f"dkms autoinstall --kernelver {expected['kernel']}",
        limit=wanted,
    )


def _flavour(readings: Readings, expected: Expected) -> Judgement:
    wanted = LICENCES[expected["nvidia_driver"]["modules"]]
    found = readings["licence"].out.strip()
    if readings["licence"].status != 0:
        return failed("there is no module nvidia for the running kernel", "dkms autoinstall", "", wanted)
    if found != wanted:
        fix = f"{_AGAIN} with nvidia_driver_preinstalled: replace"
        return failed(f"module nvidia has licence {found}, not {wanted}", fix, found, wanted)
    return passed(f"{expected['nvidia_driver']['modules']} ({found})", wanted)


def _libraries(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["versions"]["nvidia_driver"]
    said = readings["nvidia-smi"]
    # "Failed to initialize NVML: Driver/library version mismatch" is what NVML says of R03
    if "version mismatch" in said.out + said.err:
        return failed("the libraries are not of the loaded module's version", "reboot", "", wanted)
    # nvidia-smi 560 to 610: "NVIDIA-SMI version  : 580.95.05"; other lines are named anew from 610 on
    line = next((line for line in said.lines if line.startswith("NVIDIA-SMI version")), "")
    found, built = version_in(line), module_version(readings["module"])
    if not found:
        return failed("nvidia-smi --version tells no version", _AGAIN, said.err.strip()[:200], wanted)
    if found != built:
        return failed(f"nvidia-smi is {found}, module nvidia {built or 'is missing'}", _AGAIN, found, built)
    return passed(found, wanted)


def _nouveau(readings: Readings, expected: Expected) -> Judgement:
    if any(line.split()[0] == "nouveau" for line in readings["modules"].lines):
        return failed("module nouveau is loaded", "reboot", "loaded", "kept out")
    if "blacklist nouveau" not in readings["settings"].lines:
        return failed(f"{_SETTINGS} does not keep nouveau out", _AGAIN, "", "blacklist nouveau")
    return passed("kept out", "kept out")


def _options(readings: Readings, expected: Expected) -> Judgement:
    wanted = {name: str(value) for name, value in expected["nvidia_driver"]["options"].items()}
    text = readings["settings"].out
    absent = [
        f"{name}={value}"
        for name, value in sorted(wanted.items())
        if not re.search(rf"^options nvidia (.* )?{re.escape(name)}={re.escape(value)}( |$)", text, re.MULTILINE)
    ]
    if absent:
        return failed(f"{_SETTINGS} lacks {', '.join(absent)}", _AGAIN)
    # /proc/driver/nvidia/params has "EnableGpuFirmware: 0", without the prefix; strings are in quotation marks
    loaded = dict(line.partition(": ")[::2] for line in readings["loaded"].lines)
    other = []
    for name, value in sorted(wanted.items()):
        is_now = loaded.get(name[len("NVreg_") :] if name.startswith("NVreg_") else name)
        if is_now is not None and _number(is_now.strip('"')) != _number(value):
            other.append(f"{name} is {is_now}, not {value}")
    if other:
        return failed(f"the loaded module has other options: {', '.join(other)}", "reboot")
    return passed(", ".join(f"{name}={value}" for name, value in sorted(wanted.items())))


def _number(text: str) -> object:
    return int(text, 0) if re.fullmatch(r"0[xX][0-9a-fA-F]+|0|[1-9]\d*", text) else text


def _headers(readings: Readings, expected: Expected) -> Judgement:
    kernel = expected["kernel"]
    if not readings["headers"].lines:
        return failed(f"there are no headers of the running kernel {kernel}", _AGAIN, limit=kernel)
    return passed(kernel, kernel)


def _settings(*others: tuple[str, Probe]) -> Mapping[str, Probe]:
    return {"settings": File(_SETTINGS), **dict(others)}


CHECKS = (
    common.packages("nvidia_driver", "nvidia_driver"),
    common.packages("nvidia_driver", "nvidia_persistenced", "persistenced_packages"),
    common.repository("nvidia_driver", "nvidia_driver"),
    common.repository("nvidia_driver", "nvidia_persistenced", "persistenced_repository"),
    Check(
        "nvidia_driver.one_version",
        "every package that is cut from the driver has its version",
        lambda expected: {"installed": _query(expected)},
        _one_version,
        ("system", "versions.nvidia_driver"),
    ),
    Check(
        "nvidia_driver.headers",
        "headers of the running kernel are there, for DKMS",
        lambda expected: {"headers": Folder(f"/lib/modules/{expected['kernel']}/build/")},
        _headers,
        ("kernel",),
    ),
    Check(
        "nvidia_driver.module",
        "module nvidia has the driver's version, on disk and where it is loaded",
        lambda expected: {"module": MODULE_VERSION, "loaded": _LOADED},
        _module,
        ("versions.nvidia_driver",),
    ),
    Check(
        "nvidia_driver.dkms",
        "DKMS built the module for the running kernel, and does for the next one",
        lambda expected: {"dkms": Command(("dkms", "status"))},
        _rebuilt,
        ("versions.nvidia_driver", "kernel", "arch"),
    ),
    Check(
        "nvidia_driver.flavour",
        "the module is open or proprietary, as asked for",
        lambda expected: {"licence": Command(("modinfo", "-F", "license", "nvidia"))},
        _flavour,
        ("nvidia_driver.modules",),
    ),
    Check(
        "nvidia_driver.libraries",
        "tools and libraries have the module's version",
        lambda expected: {"nvidia-smi": Command(("nvidia-smi", "--version")), "module": MODULE_VERSION},
        _libraries,
        ("versions.nvidia_driver",),
    ),
    Check(
        "nvidia_driver.nouveau",
        "module nouveau is kept out",
        lambda expected: _settings(("modules", File("/proc/modules"))),
        _nouveau,
    ),
    Check(
        "nvidia_driver.options",
        "module nvidia has the options that were asked for",
        lambda expected: _settings(("loaded", File("/proc/driver/nvidia/params"))),
        _options,
        ("nvidia_driver.options",),
    ),
    service_or_enabled("nvidia_driver", "nvidia-persistenced", "persistenced"),
)
