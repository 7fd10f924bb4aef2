# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role gdrcopy.

What the role says of itself under ``gdrcopy`` in Expected: ``start``, false where the module is loaded at boot alone.
"""

from __future__ import annotations

import re

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Folder,
    Judgement,
    Reading,
    Readings,
    failed,
    passed,
    skipped,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.cuda import on_loaders_path
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.nvidia_driver import (
    LICENCES,
    service_or_enabled,
)

_AGAIN = "apply role gdrcopy"
_REPLACED = f"{_AGAIN} with gdrcopy_preinstalled: replace"
_RELOADED = "systemctl restart gdrcopy; journalctl --unit gdrcopy"
_OWN = "/opt/gdrcopy/"
_NOTE = "/var/lib/awsome-distributed-training/gdrdrv-built-for"
_LIBRARIES = on_loaders_path("libgdrapi.so.2")
# where no folder of this role tells the version: NVIDIA/gdrcopy packages/debian-lib and packages/gdrcopy.spec
_PACKAGE = Command(
    (
        "sh",
        "-c",
        "dpkg-query --show --showformat='${Version}\\n' libgdrapi 2>/dev/null"
        " || rpm --query --queryformat '%{VERSION}\\n' gdrcopy 2>/dev/null",
    )
)
# names since 2.4: NVIDIA/gdrcopy CHANGELOG
_TOOLS = ("gdrcopy_sanity", "gdrcopy_copybw", "gdrcopy_copylat", "gdrcopy_apiperf", "gdrcopy_pplat")
_DEVICE = "/dev/gdrdrv"
_MODE = "666"


def _library(readings: Readings, expected: Expected) -> Judgement:
    wanted, files = expected["versions"]["gdrcopy"], readings["libraries"].lines
    if not files:
        return failed("there is no libgdrapi.so.2 on the loader's path", _AGAIN, "", wanted)
    found = _version(files[0], readings["package"])
    if found != wanted:
        return failed(f"the loader takes {files[0]}, which is GDRCopy {found}, not {wanted}", _REPLACED, found, wanted)
    return passed(f"{found}, {files[0]}", wanted)


def _version(path: str, package: Reading) -> str:
    """By the folder, else the package; the file's name has two parts of it: libgdrapi.so.2.5."""
    if path.startswith(_OWN):
        return path[len(_OWN) :].partition("/")[0]
    if package.status == 0 and package.lines:
        return package.lines[0].partition("-")[0]
    return path.rpartition(".so.")[2]


def _one(readings: Readings, expected: Expected) -> Judgement:
    folders = sorted({line.rpartition("/")[0] for line in readings["libraries"].lines})
    told = ", ".join(folders)
    if not folders:
        return failed("there is no libgdrapi.so.2 on the loader's path", _AGAIN, "", "one folder")
    if len(folders) > 1:
        return failed(
            f"libgdrapi in {' and '.join(folders)} are both on the loader's path",
            "remove one of them from /etc/ld.so.conf.d, and run ldconfig",
            told,
            "one folder",
        )
    return passed(told, "one folder")


def _tools(readings: Readings, expected: Expected) -> Judgement:
    there = {*readings["own"].lines, *readings["packaged"].lines}
    absent = [name for name in _TOOLS if name not in there]
    if absent:
        return failed(f"there is no {', '.join(absent)}", _AGAIN, ", ".join(there & set(_TOOLS)), ", ".join(_TOOLS))
    return passed(", ".join(_TOOLS))


def _module(readings: Readings, expected: Expected) -> Judgement:
    # gdrdrv states two parts of the version: NVIDIA/gdrcopy v2.5.2, src/gdrdrv/gdrdrv.h
    wanted = ".".join(expected["versions"]["gdrcopy"].split(".")[:2])
    found = readings["version"].out.strip()
    if readings["version"].status != 0 or not found:
        return failed("there is no module gdrdrv for the running kernel", _AGAIN, "", wanted)
    if found != wanted:
        return failed(f"module gdrdrv is {found}, not {wanted}", f"dkms status -m gdrdrv; {_AGAIN}", found, wanted)
    loaded, built = readings["loaded"].out.strip(), readings["source"].out.strip()
    if loaded and loaded != built:
        return failed(
            "another build of module gdrdrv is loaded than the one that is installed", "reboot", loaded, built
        )
    return passed(found, wanted)


def _dkms(readings: Readings, expected: Expected) -> Judgement:
    # dkms 3: "gdrdrv/2.5.2, 6.8.0-1057-aws, x86_64: installed"; dkms 2 has ", " for the slash
    wanted = f"{expected['versions']['gdrcopy']}, {expected['kernel']}, {expected['arch']}: installed"
    known = [line.strip() for line in readings["dkms"].lines if line.startswith("gdrdrv")]
    if any(re.match(rf"gdrdrv(/|, ){re.escape(wanted)}", line) for line in known):
        return passed(wanted, wanted)
    told = known[0] if known else "it does not know it"
    return failed(f"DKMS has not installed module gdrdrv {wanted.rpartition(':')[0]}: {told}", _AGAIN, limit=wanted)


def _driver(readings: Readings, expected: Expected) -> Judgement:
    licence = readings["licence"].out.strip()
    wanted = f"{readings['driver'].out.strip()} {licence}"
    if readings["driver"].status != 0:
        return failed("there is no module nvidia for the running kernel", "apply role nvidia_driver")
    built_for = readings["note"].out.strip()
    if built_for != wanted:
        told = f"for {built_for}" if built_for else "nobody noted for which"
        return failed(f"gdrdrv was built {told}, the driver is {wanted}", _AGAIN, built_for, wanted)
    # gdrdrv of the open driver's source is not taken beside a proprietary one: README of NVIDIA/gdrcopy, "Notes"
    flavour = re.search(r"built for (\w+) NVIDIA driver", readings["description"].out)
    if flavour and (flavour[1] == "opensource") != (licence == LICENCES["open"]):
        return failed(f"gdrdrv is built for the {flavour[1]} driver, the driver's licence is {licence}", _AGAIN)
    return passed(wanted, wanted)


def _device(readings: Readings, expected: Expected) -> Judgement:
    wanted = f"mode {_MODE}"
    major = next((line.split()[0] for line in readings["devices"].lines if line.split()[1:] == ["gdrdrv"]), "")
    if not major and not expected["gdrcopy"]["start"]:
        return skipped("gdrdrv is not loaded here, as the role was told")
    if not major:
        return failed("module gdrdrv is not loaded", _RELOADED, limit=wanted)
    if readings["device"].status != 0:
        return failed(f"there is no {_DEVICE}", _RELOADED, limit=wanted)
    # stat --format="%a %t": "666 1fc"; the number is hexadecimal
    mode, number = readings["device"].out.split()
    if int(number, 16) != int(major):
        return failed(f"{_DEVICE} has number {int(number, 16)}, module gdrdrv {major}", _RELOADED, limit=wanted)
    if mode != _MODE:
        return failed(f"{_DEVICE} has mode {mode}, so not every user may copy", _RELOADED, f"mode {mode}", wanted)
    return passed(f"mode {mode}, number {major}", wanted)


def _modinfo(field: str, module: str = "gdrdrv") -> Command:
    return Command(("modinfo", "-F", field, module))


CHECKS = (
    Check(
        "gdrcopy.library",
        "the loader takes libgdrapi at its version",
        lambda expected: {"libraries": _LIBRARIES, "package": _PACKAGE},
        _library,
        ("versions.gdrcopy",),
    ),
    Check(
        "gdrcopy.one", "one libgdrapi alone is on the loader's path", lambda expected: {"libraries": _LIBRARIES}, _one
    ),
    Check(
        "gdrcopy.tools",
        "the tools are there",
        lambda expected: {
            "own": Folder(f"{_OWN}{expected['versions']['gdrcopy']}/bin"),
            "packaged": Folder("/usr/bin"),
        },
        _tools,
        ("versions.gdrcopy",),
    ),
    Check(
        "gdrcopy.module",
        "module gdrdrv has the library's version, on disk and where it is loaded",
        lambda expected: {
            "version": _modinfo("version"),
            "source": _modinfo("srcversion"),
            "loaded": File("/sys/module/gdrdrv/srcversion"),
        },
        _module,
        ("versions.gdrcopy",),
    ),
    Check(
        "gdrcopy.dkms",
        "DKMS built the module for the running kernel, and does for the next one",
        lambda expected: {"dkms": Command(("dkms", "status", "-m", "gdrdrv"))},
        _dkms,
        ("versions.gdrcopy", "kernel", "arch"),
    ),
    Check(
        "gdrcopy.driver",
        "the module was built for the driver that the node has",
        lambda expected: {
            "driver": _modinfo("version", "nvidia"),
            "licence": _modinfo("license", "nvidia"),
            "description": _modinfo("description"),
            "note": File(_NOTE),
        },
        _driver,
    ),
    service_or_enabled("gdrcopy", "gdrcopy", "service"),
    Check(
        "gdrcopy.device",
        "the module is loaded, and every user may use its device",
        lambda expected: {
            "devices": File("/proc/devices"),
            "device": Command(("stat", "--format=%a %t", _DEVICE)),
        },
        _device,
        ("gdrcopy",),
    ),
)
