"""Checks of role image_cleanup, on what find of findutils 4.9 and the files themselves tell (own, Debian 12)."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import Probe, Reading, registry

EXPECTED: dict[str, Any] = {"image_cleanup": {"authorized_keys": True}}
NOTHING = Reading(0, "")


def verdict(name: str, given: dict[str, Reading], expected: dict[str, Any] | None = None) -> tuple[str, str]:
    """Verdict and reason where each probe is answered by the name under which the check reads it."""
    check, wanted = registry.CHECKS[f"image_cleanup.{name}"], EXPECTED if expected is None else expected
    probes = {probe: given[key] for key, probe in check.reads(wanted).items() if key in given}

    def read(probe: Probe) -> Reading:
        return probes.get(probe, Reading(None))

    result = checks.run(check, wanted, read)
    assert (result.verdict == "fail") == bool(result.fix)
    return result.verdict, result.reason or result.value


def test_host_keys() -> None:
    assert verdict("host_keys", {"folder": Reading(0, "moduli\nssh_config\n")}) == ("pass", "0")
    assert verdict("host_keys", {}) == ("pass", "0")
    there = Reading(0, "ssh_config\nssh_host_ed25519_key\nssh_host_ed25519_key.pub\n")
    said = verdict("host_keys", {"folder": there})
    assert said == ("fail", "the host has SSH keys: ssh_host_ed25519_key, ssh_host_ed25519_key.pub")


@pytest.mark.parametrize("machine", [Reading(None), NOTHING, Reading(0, "uninitialized\n")])
def test_a_machine_before_its_first_boot_passes(machine: Reading) -> None:
    assert verdict("identity", {"machine": machine}) == ("pass", "none")


@pytest.mark.parametrize("where", ["machine", "dbus"])
def test_an_identity_fails(where: str) -> None:
    given = {"machine": NOTHING, where: Reading(0, "0123456789abcdef0123456789abcdef\n")}
    assert verdict("identity", given) == ("fail", "the machine has an identity")


def test_cloud_init() -> None:
    assert verdict("cloud_init", {}) == ("pass", "none")
    instance = Reading(0, "i-0123456789abcdef0\n")
    for where in ("instances", "known"):
        assert verdict("cloud_init", {where: instance}) == ("fail", "cloud-init knows instance i-0123456789abcdef0")


def test_logs() -> None:
    assert verdict("logs", {"sizes": Reading(0, "100\n200\n"), "rotated": NOTHING}) == ("pass", "300")
    large = {"sizes": Reading(0, "2097152\n1\n"), "rotated": NOTHING}
    assert verdict("logs", large) == ("fail", "/var/log holds 2097153 bytes")
    rotated = {"sizes": NOTHING, "rotated": Reading(0, "/var/log/syslog.1\n")}
    assert verdict("logs", rotated) == ("fail", "/var/log has rotated logs: /var/log/syslog.1")


@pytest.mark.parametrize(
    ("name", "what"), [("history", "histories"), ("caches", "caches"), ("logins", "keys that may log in")]
)
def test_files_that_must_not_be_there(name: str, what: str) -> None:
    assert verdict(name, {"found": NOTHING}) == ("pass", "0")
    found = Reading(0, "".join(f"/var/cache/dnf/{number}\n" for number in range(5)))
    said = verdict(name, {"found": found})
    assert said == ("fail", f"{what}: /var/cache/dnf/0, /var/cache/dnf/1, /var/cache/dnf/2 and 2 more")


def test_logins_that_were_to_stay_are_skipped() -> None:
    there = {"found": Reading(0, "/root/.ssh/authorized_keys\n")}
    assert verdict("logins", there, {"image_cleanup": {"authorized_keys": False}}) == ("skip", "logins were to stay")
    assert verdict("logins", there, {}) == ("skip", "not known: image_cleanup")
