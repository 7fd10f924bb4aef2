# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role image_cleanup: what an image must not have. It says of itself: ``authorized_keys``."""

from __future__ import annotations

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Folder,
    Judgement,
    Readings,
    failed,
    passed,
    skipped,
)

_AGAIN = "apply role image_cleanup with image_cleanup_confirm: true"
_LOGS_LIMIT = 1024 * 1024
"""Bytes of logs: a node that was cleared logs some kilobytes before its image is taken, another has megabytes."""


def _find(*words: str) -> Command:
    return Command(("find", *words))


def _none(readings: Readings, what: str) -> Judgement:
    found = readings["found"].lines
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return failed(f"{what}: {', '.join(found[:3])}{more}", _AGAIN, len(found), 0)
    return passed(0, 0)


def _host_keys(readings: Readings, expected: Expected) -> Judgement:
    keys = [name for name in readings["folder"].lines if name.startswith("ssh_host_") and "_key" in name]
    if keys:
        return failed(f"the host has SSH keys: {', '.join(keys)}", _AGAIN, len(keys), 0)
    return passed(0, 0)


def _identity(readings: Readings, expected: Expected) -> Judgement:
    # machine-id(5): empty, missing, or "uninitialized" until the first boot
    for name in ("machine", "dbus"):
        found = readings[name].out.strip()
        if found not in ("", "uninitialized"):
            return failed("the machine has an identity", _AGAIN, found, "none")
    return passed("none", "none")


def _cloud_init(readings: Readings, expected: Expected) -> Judgement:
    instances, known = readings["instances"].lines, readings["known"].out.strip()
    if instances or known:
        told = ", ".join(instances) or known
        return failed(f"cloud-init knows instance {told}", _AGAIN, told, "none")
    return passed("none", "none")


def _logs(readings: Readings, expected: Expected) -> Judgement:
    sizes = [int(line) for line in readings["sizes"].lines]
    if sum(sizes) > _LOGS_LIMIT:
        return failed(f"/var/log holds {sum(sizes)} bytes", _AGAIN, sum(sizes), _LOGS_LIMIT, "bytes")
    if readings["rotated"].lines:
        return failed(
            f"/var/log has rotated logs: {readings['rotated'].lines[0]}", _AGAIN, len(readings["rotated"].lines), 0
        )
    return passed(sum(sizes), _LOGS_LIMIT, unit="bytes")


def _logins(readings: Readings, expected: Expected) -> Judgement:
    if not expected["image_cleanup"]["authorized_keys"]:
        return skipped("logins were to stay")
    return _none(readings, "keys that may log in")


CHECKS = (
    Check(
        "image_cleanup.host_keys",
        "the host has no SSH keys",
        lambda expected: {"folder": Folder("/etc/ssh")},
        _host_keys,
    ),
    Check(
        "image_cleanup.identity",
        "the machine has no identity",
        lambda expected: {"machine": File("/etc/machine-id"), "dbus": File("/var/lib/dbus/machine-id")},
        _identity,
    ),
    Check(
        "image_cleanup.cloud_init",
        "cloud-init knows no instance",
        lambda expected: {
            "instances": Folder("/var/lib/cloud/instances"),
            "known": File("/var/lib/cloud/data/instance-id"),
        },
        _cloud_init,
    ),
    Check(
        "image_cleanup.logs",
        "there are no logs",
        lambda expected: {
            "sizes": _find("/var/log", "-type", "f", "-size", "+0", "-printf", "%s\\n"),
            "rotated": _find("/var/log", "-type", "f", "(", "-name", "*.gz", "-o", "-name", "*.[0-9]", ")"),
        },
        _logs,
    ),
    Check(
        "image_cleanup.history",
        "there are no histories",
        lambda expected: {
            "found": _find("/root", "/home", "-maxdepth", "2", "-type", "f", "-name", ".*_history", "-size", "+0")
        },
        lambda readings, expected: _none(readings, "histories"),
    ),
    Check(
        "image_cleanup.caches",
        "there are no package lists or packages",
        lambda expected: {
            "found": Command(
                (
                    "sh",
                    "-c",
                    "for folder in /var/lib/apt/lists /var/cache/apt/archives /var/cache/dnf; do"
                    ' if [ -d "$folder" ]; then find "$folder" -type f ! -name lock; fi; done',
                )
            )
        },
        lambda readings, expected: _none(readings, "caches"),
    ),
    Check(
        "image_cleanup.logins",
        "no key may log in",
        lambda expected: {
            "found": _find("/root", "/home", "-maxdepth", "3", "-name", "authorized_keys", "-size", "+0")
        },
        _logins,
        ("image_cleanup",),
    ),
)
