# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role base. It says of itself: ``sysctl``, ``huge_pages``, ``limits``, ``headers`` and ``hold``."""

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
    failed,
    passed,
    skipped,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import RPM_SYSTEMS

_AGAIN = "apply role base"
_LIMITS = "/etc/security/limits.d/90-adt-base.conf"
_PREFERENCES = "/etc/apt/preferences.d/adt-kernel.pref"
# ulimit of dash and bash; the names are those of limits.conf(5)
_ULIMIT = {"core": "-c", "memlock": "-l", "nofile": "-n", "nproc": "-u", "stack": "-s"}
_SYS_RESOURCE = 24
"""The capability that lets a process raise a limit: linux/capability.h."""


def _sysctl_probes(expected: Expected) -> Mapping[str, Probe]:
    return {name: File(f"/proc/sys/{name.replace('.', '/')}") for name in expected["base"]["sysctl"]}


def _sysctl(readings: Readings, expected: Expected) -> Judgement:
    wanted = {name: " ".join(str(value).split()) for name, value in expected["base"]["sysctl"].items()}
    live = {name: " ".join(readings[name].out.split()) for name in wanted if readings[name].there}
    if not live:
        return skipped("this kernel has none of the parameters")
    other = [f"{name} is {live[name]}, not {wanted[name]}" for name in sorted(live) if live[name] != wanted[name]]
    if other:
        return failed("; ".join(other), f"{_AGAIN}; sysctl --system tells which file sets it last")
    absent = sorted(set(wanted) - set(live))
    told = f"not in this kernel: {', '.join(absent)}" if absent else ""
    return passed(f"{len(live)} parameters", f"{len(wanted)} parameters", told)


def _huge_pages(readings: Readings, expected: Expected) -> Judgement:
    wanted = int(expected["base"]["huge_pages"])
    if not wanted:
        return skipped("none were asked for")
    # proc_meminfo(5)
    found = int(re.findall(r"^HugePages_Total:\s+(\d+)$", readings["memory"].out, re.MULTILINE)[0])
    if found < wanted:
        fix = f"{_AGAIN} soon after boot, while memory is whole, or ask for fewer"
        return failed(f"{found} huge pages are reserved, not {wanted}", fix, found, wanted, "pages")
    return passed(found, wanted, unit="pages")


def _limits(readings: Readings, expected: Expected) -> Judgement:
    limits = {name: str(value) for name, value in sorted(expected["base"]["limits"].items())}
    for name, value in limits.items():
        if not re.search(rf"^\*\s+-\s+{name}\s+{value}$", readings["file"].out, re.MULTILINE):
            return failed(f"{_LIMITS} does not set {name} to {value}", _AGAIN, limit=value)
    found = dict(zip(limits, readings["session"].lines))
    other = [
        f"{name} is {found.get(name, 'not told')}, not {limits[name]}"
        for name in limits
        if found.get(name) != limits[name]
    ]
    if other and _may_not_raise(readings["init"].out):
        return passed("written", ", ".join(limits.values()), "this container may not raise the limits of logins")
    if other:
        fix = "look for a later file in /etc/security/limits.d, and for pam_limits in /etc/pam.d/su"
        return failed(f"in a login {'; '.join(other)}", fix, ", ".join(found.values()), ", ".join(limits.values()))
    return passed(", ".join(f"{name} {value}" for name, value in limits.items()))


def _may_not_raise(status: str) -> bool:
    """Whether a container withholds the right to raise limits, by /proc/1/status."""
    capabilities = re.search(r"^CapEff:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return bool(capabilities) and not int(capabilities[1] if capabilities else "0", 16) >> _SYS_RESOURCE & 1


def _manager_probes(expected: Expected) -> Mapping[str, Probe]:
    names = ",".join(f"DefaultLimit{name.upper()}" for name in sorted(expected["base"]["limits"]))
    return {"manager": Command(("systemctl", "show", f"--property={names}"))}


def _manager(readings: Readings, expected: Expected) -> Judgement:
    shown = dict(line.partition("=")[::2] for line in readings["manager"].lines)
    for name, value in sorted(expected["base"]["limits"].items()):
        wanted = "infinity" if str(value) == "unlimited" else str(value)
        found = shown.get(f"DefaultLimit{name.upper()}", "")
        if found != wanted:
            return failed(f"services have {name} {found or 'not told'}, not {wanted}", _AGAIN, found, wanted)
    return passed(", ".join(readings["manager"].lines))


def _headers(readings: Readings, expected: Expected) -> Judgement:
    kernel = expected["kernel"]
    if not expected["base"]["headers"]:
        return skipped("they were left out")
    if not readings["build"].there:
        return failed(
            f"there are no headers of kernel {kernel}", f"{_AGAIN}; a kernel that is newer needs a boot", "", kernel
        )
    return passed(kernel, kernel)


def kernel_probes(expected: Expected) -> Mapping[str, Probe]:
    """What tells whether an update would bring another kernel."""
    if expected["system"] in RPM_SYSTEMS:
        return {"locks": Command(("dnf", "--quiet", "--cacheonly", "versionlock", "list"), timeout_s=60)}
    return {
        "pins": File(_PREFERENCES),
        "upgrade": Command(("apt-get", "--simulate", "--quiet", "dist-upgrade"), timeout_s=60),
    }


def judge_kernel(readings: Readings, expected: Expected) -> Judgement:
    """Whether the kernel stays; ``base.hold`` of what is expected says whether it should."""
    kernel = expected["kernel"]
    if not expected["base"]["hold"]:
        return skipped("it was left out")
    if "locks" in readings:
        release = re.sub(r"\.(x86_64|aarch64)$", "", kernel)
        locks = [line for line in readings["locks"].lines if line.startswith("kernel") and release in line]
        if not locks:
            return failed(f"dnf has no lock on kernel {kernel}", f"{_AGAIN}; dnf needs its plugin versionlock")
        return passed(locks[0], kernel)
    if not re.search(
        r"^Package: .*linux-image-.*\nPin: version \*\nPin-Priority: -1$", readings["pins"].out, re.MULTILINE
    ):
        return failed("apt takes a newer kernel", _AGAIN, "", kernel)
    # apt 2.6: "Inst linux-image-6.1.0-41-cloud-amd64 (6.1.158-1 Debian-Security:12/stable-security [amd64])"
    newer = re.findall(r"^Inst (linux-image-\S+)", readings["upgrade"].out, re.MULTILINE)
    if newer:
        fix = f"add what brings it to {_PREFERENCES}, or base_kernel_hold: false"
        return failed(f"an upgrade would install {', '.join(newer)}", fix, ", ".join(newer), kernel)
    return passed(kernel, kernel)


def _limits_probes(expected: Expected) -> Mapping[str, Probe]:
    asked = "; ".join(f"ulimit -H {_ULIMIT[name]}" for name in sorted(expected["base"]["limits"]))
    return {
        "file": File(_LIMITS),
        "session": Command(("su", "-s", "/bin/sh", "-c", asked, "nobody")),
        "init": File("/proc/1/status"),
    }


CHECKS = (
    Check("base.sysctl", "kernel parameters have their values", _sysctl_probes, _sysctl, ("base.sysctl",)),
    Check(
        "base.huge_pages",
        "huge pages are reserved",
        lambda expected: {"memory": File("/proc/meminfo", may_lack=False)},
        _huge_pages,
        ("base",),
    ),
    Check("base.limits", "logins have their limits", _limits_probes, _limits, ("base.limits",)),
    Check("base.manager", "services have their limits", _manager_probes, _manager, ("base.limits",)),
    Check(
        "base.headers",
        "the headers of the running kernel are there",
        lambda expected: {"build": Folder(f"/lib/modules/{expected['kernel']}/build/")},
        _headers,
        ("base", "kernel"),
    ),
    Check("base.kernel", "no update brings another kernel", kernel_probes, judge_kernel, ("base", "kernel", "system")),
)
