# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role enroot.

Expected has ``enroot``: ``dir``, under which each user's images and containers lie, and ``settings``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Judgement,
    Probe,
    Readings,
    common,
    failed,
    passed,
)

_MAIN = "/etc/enroot/enroot.conf"
_OFF = r"no?|N[oO]?|[fF](alse)?|FALSE"
_SYSCTL = "/etc/sysctl.d/90-adt-enroot.conf"
_PROFILE = "/usr/bin/enroot-nsenter"
"""The profile's name, which is the program that it is for: NVIDIA/enroot conf/apparmor.profile."""

_CAPABILITIES = {
    "/usr/bin/enroot-mksquashovlfs": {"cap_sys_admin"},
    "/usr/bin/enroot-aufs2ovlfs": {"cap_sys_admin", "cap_mknod"},
}
"""NVIDIA/enroot pkg/deb/PACKAGE+caps.postinst."""

_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
_NAMESPACE = Command((*_NOBODY, "enroot-nsenter", "--user", "--mount", "--remap-root", "true"))
"""As enroot itself starts a container (src/docker.sh), for a user without rights."""


def _version(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["versions"]["enroot"]
    return common.judge_program(readings["version"], r"\A\s*([0-9][0-9.]*)\s*\Z", "enroot", wanted, "enroot")


def _capabilities(readings: Readings, expected: Expected) -> Judgement:
    found = {}
    for line in readings["capabilities"].lines:
        # "PATH cap_sys_admin=ep", or "PATH = cap_sys_admin+ep" of an older libcap: both from memory
        match = re.match(r"(\S+) (?:= )?(cap_[a-z_,]+)[=+]ep$", line.strip())
        if match:
            found[match[1]] = set(match[2].split(","))
    for program, wanted in sorted(_CAPABILITIES.items()):
        if not wanted <= found.get(program, set()):
            return failed(
                f"{program} has not {', '.join(sorted(wanted))}: users cannot import images",
                "apply role enroot; it installs enroot+caps",
                ", ".join(sorted(found.get(program, ()))),
                ", ".join(sorted(wanted)),
            )
    return passed(", ".join(sorted(found)))


def _namespace(readings: Readings, expected: Expected) -> Judgement:
    made, restricted = readings["made"], readings["restricted"].out.strip() == "1"
    profiles = [line.split(" ")[0] for line in readings["profiles"].lines]
    if restricted and _PROFILE not in profiles:
        return failed(
            f"AppArmor lets no user have a namespace, and has no profile {_PROFILE}",
            "apparmor_parser --replace /etc/apparmor.d/enroot; without that file: enroot_preinstalled: replace",
        )
    if made.status != 0:
        sysctls = {name: readings[name].out.strip() for name in ("clone", "most") if readings[name].there}
        if sysctls.get("clone") == "0":
            return failed("kernel.unprivileged_userns_clone is 0", f"systemctl restart systemd-sysctl; see {_SYSCTL}")
        if sysctls.get("most") in ("0", "1"):
            return failed(
                f"user.max_user_namespaces is {sysctls['most']}",
                "set it above 1 where /etc/sysctl.d says otherwise",
                sysctls["most"],
                "more than 1",
            )
        return failed(f"an ordinary user gets no namespace: {common.said(made)}", "apply role enroot; see R69")
    return passed("AppArmor by enroot's profile" if restricted else "")


def _settings(readings: Readings, expected: Expected) -> Judgement:
    settings, info = expected["enroot"]["settings"], readings["info"]
    if info.status != 0:
        return failed(
            f"enroot does not tell its settings: {common.said(info)}",
            "bash -n on the files of /etc/enroot; an enroot without it is too old: enroot_preinstalled: replace",
        )
    # NVIDIA/enroot 8ea147d enroot.in, enroot::info: "  NAME=value", the shell's expansions done
    told = dict(re.findall(r"^  (\w+)=(.*)$", info.out, re.MULTILINE))
    user = readings["user"].out.strip()
    for name, value in settings.items():
        wanted = str(value).replace("$(id -u)", user)
        if "$" in wanted or not name.startswith("ENROOT_"):
            continue
        found = told.get(name, "")
        # config::fini takes away what is switched off
        if found != ("" if re.fullmatch(_OFF, wanted) else wanted):
            return failed(
                f"enroot takes {name} as {found or 'nothing'}, not {wanted}",
                f"apply role enroot; what {_MAIN} itself sets comes first",
                found,
                wanted,
            )
    return passed(f"{len(settings)} settings")


def _open(expected: Expected) -> tuple[str, ...]:
    folder = expected["enroot"]["dir"]
    return ("/run/enroot", f"{folder}/cache", f"{folder}/data", f"{folder}/tmp")


def _folder_probes(expected: Expected) -> Mapping[str, Probe]:
    return {path: Command(("stat", "--format=%a %U", path)) for path in _open(expected)}


def _folders(readings: Readings, expected: Expected) -> Judgement:
    wanted = "1777 root"
    for path in _open(expected):
        found = readings[path].out.strip()
        if readings[path].status != 0:
            return failed(f"there is no {path}", "systemd-tmpfiles --create; or apply role enroot", limit=wanted)
        if found != wanted:
            return failed(
                f"{path} is {found}, not {wanted}", "systemd-tmpfiles --create; or apply role enroot", found, wanted
            )
    return passed(wanted, wanted)


CHECKS = (
    Check(
        "enroot.version",
        "enroot runs, and has its version",
        lambda expected: {"version": Command(("enroot", "version"))},
        _version,
        needs=("versions.enroot",),
    ),
    Check(
        "enroot.capabilities",
        "users can import images",
        lambda expected: {"capabilities": Command(("getcap", *sorted(_CAPABILITIES)))},
        _capabilities,
    ),
    Check(
        "enroot.namespace",
        "an ordinary user gets a namespace through enroot",
        lambda expected: {
            "made": _NAMESPACE,
            "restricted": File("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            "profiles": File("/sys/kernel/security/apparmor/profiles"),
            "clone": File("/proc/sys/kernel/unprivileged_userns_clone"),
            "most": File("/proc/sys/user/max_user_namespaces"),
        },
        _namespace,
    ),
    Check(
        "enroot.settings",
        "enroot takes the settings of the role",
        lambda expected: {"info": Command(("enroot", "info")), "user": Command(("id", "-u"))},
        _settings,
        needs=("enroot.settings",),
    ),
    Check(
        "enroot.folders",
        "every user can write to the folders, and not to each other's",
        _folder_probes,
        _folders,
        needs=("enroot.dir",),
    ),
)
