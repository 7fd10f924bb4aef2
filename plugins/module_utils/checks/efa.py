# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role efa. It says of itself: ``minimal``, ``kmod``, ``device``, and ``bundles`` {component: version}."""

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
    Readings,
    common,
    failed,
    passed,
    skipped,
)

_LISTED = "/opt/amazon/efa_installed_packages"
_LIMITS = "/etc/security/limits.d/90-adt-efa.conf"
_MARKS = "/var/lib/awsome-distributed-training"
_FI_INFO = Command(("/opt/amazon/efa/bin/fi_info", "-p", "efa", "-t", "FI_EP_RDM"), may_lack=True)

# glibc 2.34 and 2.36: "/usr/local/lib: (from /etc/ld.so.conf.d/libc.conf:2)", then the libraries, indented
_FOLDERS = "ldconfig -N -X -v 2>/dev/null | sed -n 's,^\\(/[^:]*\\):.*,\\1,p'"
_PLUGINS = Command(
    (
        "sh",
        "-c",
        f'for folder in $({_FOLDERS}); do for file in "$folder"/libnccl-net*.so*; do'
        ' if [ -e "$file" ]; then readlink -f "$file"; fi; done; done',
    )
)
# the version node of what libibverbs shares with its providers alone: rdma-core libibverbs.map.in; seen in 44.0
_BUILDS = Command(
    (
        "sh",
        "-c",
        f"for folder in $({_FOLDERS}) /usr/lib64 /usr/lib/*-linux-gnu; do"
        ' for file in "$folder"/libibverbs.so.1 "$folder"/libefa.so.1 "$folder"/libibverbs/libefa-*.so; do'
        ' if [ -e "$file" ]; then'
        ' readlink -f "$file" | tr "\\n" " "; grep -aoE "IBVERBS_PRIVATE_[0-9]+" "$file" | head -n 1; fi;'
        " done; done",
    )
)


def _installer(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["versions"]["efa"]
    found = re.search(r"^# EFA installer version: (\S+)", readings["listed"].out, re.MULTILINE)
    if not found:
        return failed(f"{_LISTED} names no version", "apply role efa", limit=wanted)
    return common.judge_version(found[1], wanted, "EFA installer {}", "efa")


def _driver(readings: Readings, expected: Expected) -> Judgement:
    if not expected["efa"]["kmod"]:
        return skipped("the kernel module was left out")
    wanted = expected["efa"]["bundles"]["efa_driver"]
    # 3.1.0g: amzn/amzn-drivers efa_main.c puts a g behind its version
    found = readings["module"].out.strip()
    if readings["module"].status != 0 or not found:
        return failed(
            f"there is no kernel module efa for {expected.get('kernel', 'this kernel')}",
            "dkms status; see that the kernel's headers are there, and apply role efa",
            limit=wanted,
        )
    if found.removesuffix("g") != wanted:
        return failed(f"kernel module efa is {found}, not {wanted}", "dkms status; apply role efa", found, wanted)
    loaded = readings["loaded"].out.strip()
    if loaded and loaded != found:
        return failed(f"kernel module efa {loaded} is loaded, {found} is installed", "reboot", loaded, found)
    return passed(found, wanted)


def _provider(readings: Readings, expected: Expected) -> Judgement:
    if expected["efa"]["minimal"]:
        return skipped("libfabric comes with the images")
    if not expected["efa"]["device"]:
        return skipped("no device is attached, by efa_device")
    if not expected["instance"].get("network", {}).get("efa"):
        return skipped(f"{expected.get('instance_type', 'the type')} has no EFA")
    info = readings["info"]
    # libfabric 1.17 without a device: "fi_getinfo: -61", status 61
    if info.status != 0:
        said = (info.err or info.out).strip().splitlines() or ["there is no fi_info"]
        return failed(
            f"fi_info finds no EFA: {said[0]}",
            "lspci -n | grep 1d0f:efa; an EFA is attached when an instance is launched",
            limit="at least 1",
        )
    # libfabric 2 lists a device under fabric efa and under efa-direct
    domains = sorted(set(re.findall(r"^\s*domain: (\S+)-rdm$", info.out, re.MULTILINE)))
    if not domains:
        return failed("fi_info lists no domain of EFA", f"{' '.join(_FI_INFO.argv)}", 0, "at least 1", "devices")
    return passed(len(domains), "at least 1", unit="devices")


def _plugin(readings: Readings, expected: Expected) -> Judgement:
    folders = sorted({line.rpartition("/")[0] for line in readings["plugins"].lines})
    told = ", ".join(folders)
    if len(folders) > 1:
        return failed(
            f"NCCL plugins in {' and '.join(folders)} are both on the loader's path",
            "remove one of them from /etc/ld.so.conf.d, and run ldconfig",
            told,
            "one folder",
        )
    bundled = "aws_ofi_nccl" in expected["efa"]["bundles"] and not expected["efa"]["minimal"]
    # no installer up to 1.51.0 has one for Debian 12: its list of systems, EC2 User Guide
    if not folders and bundled and expected["system"] != "debian12":
        return failed("no NCCL plugin is on the loader's path", "apply role efa", "", "one folder")
    return passed(told or "none", "at most one folder")


def _verbs(readings: Readings, expected: Expected) -> Judgement:
    builds: dict[str, list[str]] = {}
    for line in readings["builds"].lines:
        path, _, build = line.strip().partition(" ")
        if not build:
            raise ValueError(f"{path} states no IBVERBS_PRIVATE")
        builds.setdefault(build, []).append(path)
    if not any(path.rpartition("/")[2].startswith("libibverbs.so") for paths in builds.values() for path in paths):
        return failed("there is no libibverbs on the loader's path", "apply role efa", "", "one build")
    if len(builds) > 1:
        told = "; ".join(f"{build}: {', '.join(sorted(set(paths)))}" for build, paths in sorted(builds.items()))
        return failed(
            f"libibverbs and its providers are of several builds: {told}",
            "remove the one that is not of the EFA installer, such as /opt/hpcx, from the loader's path",
            ", ".join(sorted(builds)),
            "one build",
        )
    return passed(next(iter(builds)), "one build")


def _peermem(readings: Readings, expected: Expected) -> Judgement:
    nvidia = readings["nvidia"].out.strip()
    if not expected["efa"]["kmod"] or readings["nvidia"].status != 0:
        return skipped("there is no NVIDIA driver")
    if readings["module"].status != 0:
        if "efa_nv_peermem" in expected["efa"]["bundles"]:
            return failed("there is no kernel module efa_nv_peermem", "apply role efa", limit=nvidia)
        return skipped("this version of the installer brought no efa_nv_peermem")
    mark = f"efa_nv_peermem-{nvidia}-{expected['kernel']}"
    if mark not in readings["marks"].lines:
        built = [name for name in readings["marks"].lines if name.startswith("efa_nv_peermem-")]
        return failed(
            f"efa_nv_peermem was not built for NVIDIA driver {nvidia} and kernel {expected['kernel']}",
            "apply role efa",
            ", ".join(built),
            mark,
        )
    return passed(f"{readings['module'].out.strip()} for {nvidia}", nvidia)


_SYS_RESOURCE = 24
"""The capability that lets a process raise a limit: linux/capability.h."""


def _memlock(readings: Readings, expected: Expected) -> Judgement:
    wanted = "unlimited"
    if not expected["efa"]["kmod"]:
        return skipped("a container has its host's limits")
    manager = readings["manager"].out.strip().partition("=")[2]
    if manager != "infinity":
        return failed(
            f"services may lock {manager or 'nobody knows how many'} bytes", "apply role efa", manager, wanted
        )
    if not re.search(r"^\*\s+-\s+memlock\s+unlimited$", readings["limits"].out, re.MULTILINE):
        return failed(f"{_LIMITS} does not let logins lock memory", "apply role efa", limit=wanted)
    session = readings["session"].out.strip()
    capabilities = re.search(r"^CapEff:\s+([0-9a-f]+)$", readings["init"].out, re.MULTILINE)
    if session != "unlimited" and capabilities and not int(capabilities[1], 16) >> _SYS_RESOURCE & 1:
        return passed(manager, wanted, "services; this container may not raise the limits of logins")
    if session != "unlimited":
        fix = "look for a later file in /etc/security/limits.d, and for pam_limits in /etc/pam.d/su"
        return failed(f"a login may lock {session or 'nobody knows how many'} KiB", fix, session, wanted)
    return passed("unlimited", wanted)


def _modinfo(name: str) -> Command:
    return Command(("modinfo", "-F", "version", name), may_lack=True)


def _memlock_probes(expected: Expected) -> Mapping[str, Probe]:
    return {
        "manager": Command(("systemctl", "show", "--property=DefaultLimitMEMLOCK")),
        "limits": File(_LIMITS),
        "session": Command(("su", "-s", "/bin/sh", "-c", "ulimit -l", "nobody")),
        "init": File("/proc/1/status"),
    }


def _peermem_probes(expected: Expected) -> Mapping[str, Probe]:
    return {"nvidia": _modinfo("nvidia"), "module": _modinfo("efa_nv_peermem"), "marks": Folder(_MARKS)}


CHECKS = (
    Check(
        "efa.installer",
        "the installer's version is the stack's",
        lambda expected: {"listed": File(_LISTED)},
        _installer,
        ("versions.efa",),
    ),
    Check(
        "efa.driver",
        "the kernel module is the one that the installer bundles, and no other is loaded",
        lambda expected: {"module": _modinfo("efa"), "loaded": File("/sys/module/efa/version")},
        _driver,
        ("efa.bundles.efa_driver",),
    ),
    Check(
        "efa.provider",
        "libfabric finds EFA devices",
        lambda expected: {"info": _FI_INFO},
        _provider,
        ("efa", "instance"),
    ),
    Check(
        "efa.plugin",
        "one NCCL plugin alone is on the loader's path",
        lambda expected: {"plugins": _PLUGINS},
        _plugin,
        ("efa", "system"),
    ),
    Check(
        "efa.verbs",
        "libibverbs and its providers are of one build",
        lambda expected: {"builds": _BUILDS},
        _verbs,
    ),
    Check(
        "efa.peermem",
        "the module for NVIDIA's memory was built for the driver that the node has",
        _peermem_probes,
        _peermem,
        ("efa", "kernel"),
    ),
    Check("efa.memlock", "services and logins may lock memory without limit", _memlock_probes, _memlock, ("efa",)),
)
