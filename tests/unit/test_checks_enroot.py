"""Checks of role enroot.

enroot's answers: reconstructed after NVIDIA/enroot 8ea147d (4.1.2), enroot.in. "getcap", unshare's
error, AppArmor's list of profiles: from memory, compared with no tool and no document.
"""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    Probe,
    Reading,
    registry,
)

EXPECTED: dict[str, Any] = {
    "versions": {"enroot": "4.1.2"},
    "enroot": {
        "dir": "/srv/enroot",
        "settings": {
            "ENROOT_DATA_PATH": "/srv/enroot/data/user-$(id -u)",
            "ENROOT_MOUNT_HOME": "no",
            "ENROOT_MAX_CONNECTIONS": 4,
            "ENROOT_CONFIG_PATH": "${HOME}/enroot",
            "NVIDIA_VISIBLE_DEVICES": "void",
        },
    },
}
CAPABLE = "/usr/bin/enroot-aufs2ovlfs cap_sys_admin,cap_mknod=ep\n/usr/bin/enroot-mksquashovlfs cap_sys_admin=ep\n"
INFO = """\
Enroot version: 4.1.2
Config file: /etc/enroot/enroot.conf

Environment variables:
  ENROOT_CONFIG_PATH=/srv/config/enroot
  ENROOT_DATA_PATH=/srv/enroot/data/user-0
  ENROOT_MAX_CONNECTIONS=4
"""
RESTRICTED = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
PROFILES = "/sys/kernel/security/apparmor/profiles"
CLONE, MOST = "/proc/sys/kernel/unprivileged_userns_clone", "/proc/sys/user/max_user_namespaces"
REFUSED = Reading(1, "", "unshare: unshare failed: Operation not permitted\n")
GOOD: dict[str, Reading] = {
    "enroot version": Reading(0, "4.1.2\n"),
    "enroot info": Reading(0, INFO),
    "id -u": Reading(0, "0\n"),
    "getcap": Reading(0, CAPABLE),
    "setpriv": Reading(0),
    "stat": Reading(0, "1777 root\n"),
    RESTRICTED: Reading(None),
    PROFILES: Reading(None),
    CLONE: Reading(None),
    MOST: Reading(0, "96365\n"),
}


def result(name: str, other: dict[str, Reading] | None = None, expected: dict[str, Any] | None = None) -> checks.Result:
    there = {**GOOD, **(other or {})}

    def read(probe: Probe) -> Reading:
        if not isinstance(probe, Command):
            return there[probe.path]
        words = " ".join(probe.argv)
        return there.get(words) or there[probe.argv[0]]

    return checks.run(registry.CHECKS[f"enroot.{name}"], EXPECTED if expected is None else expected, read)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("version", {}),
        ("capabilities", {}),
        (
            "capabilities",
            {"getcap": Reading(0, CAPABLE.replace(" cap", " = cap").replace("=ep", "+ep"))},
        ),
        ("namespace", {}),
        (
            "namespace",
            {RESTRICTED: Reading(0, "1\n"), PROFILES: Reading(0, "/usr/bin/enroot-nsenter (unconfined)\n")},
        ),
        ("namespace", {RESTRICTED: Reading(0, "0\n"), CLONE: Reading(0, "1\n")}),
        ("settings", {}),
        ("folders", {}),
    ],
)
def test_a_node_that_is_as_it_should_be_passes(name: str, other: dict[str, Reading]) -> None:
    found = result(name, other)
    assert (found.verdict, found.reason) == ("pass", "")


def test_the_namespace_is_that_of_a_user_without_rights() -> None:
    made = registry.CHECKS["enroot.namespace"].reads(EXPECTED)["made"]
    assert isinstance(made, Command)
    assert {"--reuid=65534", "--regid=65534", "--clear-groups"} <= set(made.argv)
    assert made.argv[4:] == ("enroot-nsenter", "--user", "--mount", "--remap-root", "true")


@pytest.mark.parametrize(
    ("name", "other", "reason"),
    [
        ("version", {"enroot version": Reading(0, "3.4.1\n")}, "enroot is 3.4.1, not 4.1.2"),
        (
            "version",
            {"enroot version": Reading(1, "", "Unsupported bash version: 4.1\n")},
            "enroot does not run: Unsupported bash version: 4.1",
        ),
        ("version", {"enroot version": Reading(None)}, "there is no enroot"),
        (
            "capabilities",
            {"getcap": Reading(0)},
            "/usr/bin/enroot-aufs2ovlfs has not cap_mknod, cap_sys_admin: users cannot import images",
        ),
        (
            "capabilities",
            {"getcap": Reading(0, CAPABLE.replace(",cap_mknod", ""))},
            "/usr/bin/enroot-aufs2ovlfs has not cap_mknod, cap_sys_admin: users cannot import images",
        ),
        (
            "namespace",
            {RESTRICTED: Reading(0, "1\n"), PROFILES: Reading(0, "unprivileged_userns (enforce)\n")},
            "AppArmor lets no user have a namespace, and has no profile /usr/bin/enroot-nsenter",
        ),
        ("namespace", {"setpriv": REFUSED, CLONE: Reading(0, "0\n")}, "kernel.unprivileged_userns_clone is 0"),
        ("namespace", {"setpriv": REFUSED, MOST: Reading(0, "0\n")}, "user.max_user_namespaces is 0"),
        (
            "namespace",
            {"setpriv": REFUSED},
            "an ordinary user gets no namespace: unshare: unshare failed: Operation not permitted",
        ),
        (
            "settings",
            {"enroot info": Reading(0, INFO.replace("data/user-0", "data"))},
            "enroot takes ENROOT_DATA_PATH as /srv/enroot/data, not /srv/enroot/data/user-0",
        ),
        (
            "settings",
            {"enroot info": Reading(0, INFO + "  ENROOT_MOUNT_HOME=yes\n")},
            "enroot takes ENROOT_MOUNT_HOME as yes, not no",
        ),
        (
            "settings",
            {"enroot info": Reading(0, INFO.replace("  ENROOT_MAX_CONNECTIONS=4\n", ""))},
            "enroot takes ENROOT_MAX_CONNECTIONS as nothing, not 4",
        ),
        (
            "settings",
            {"enroot info": Reading(1, "Invalid configuration file: /etc/enroot/enroot.conf\n")},
            "enroot does not tell its settings: Invalid configuration file: /etc/enroot/enroot.conf",
        ),
        ("folders", {"stat": Reading(0, "777 root\n")}, "/run/enroot is 777 root, not 1777 root"),
        (
            "folders",
            {"stat --format=%a %U /srv/enroot/data": Reading(1, "", "stat: cannot statx\n")},
            "there is no /srv/enroot/data",
        ),
    ],
)
def test_what_is_not_as_it_should_be_fails(name: str, other: dict[str, Reading], reason: str) -> None:
    found = result(name, other)
    assert (found.verdict, found.reason) == ("fail", reason)
    assert found.fix


@pytest.mark.parametrize("name", ["version", "settings", "folders"])
def test_what_is_not_known_is_skipped(name: str) -> None:
    assert result(name, expected={}).verdict == "skip"
