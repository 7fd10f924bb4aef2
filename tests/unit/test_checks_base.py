"""Checks of role base, on files of /proc (proc(5)), "systemctl show" of systemd 252 and apt 2.6 (own, Debian 12)."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import Probe, Reading, registry

KERNEL = "6.8.0-1057-aws"
EXPECTED: dict[str, Any] = {
    "system": "ubuntu2404",
    "kernel": KERNEL,
    "base": {
        "sysctl": {"net.core.somaxconn": 5000, "net.ipv4.tcp_rmem": "4096 131072 1073741824"},
        "huge_pages": 5128,
        "limits": {"memlock": "unlimited", "nofile": 1048576},
        "headers": True,
        "hold": True,
    },
}
AMAZON = {**EXPECTED, "system": "amazon2023", "kernel": "6.12.110-135.202.amzn2023.x86_64"}


def of(**changed: Any) -> dict[str, Any]:
    """What is expected, with other words of the role."""
    return {**EXPECTED, "base": {**EXPECTED["base"], **changed}}


def verdict(name: str, given: dict[str, Reading], expected: dict[str, Any] | None = None) -> tuple[str, str]:
    """Verdict and reason where each probe is answered by the name under which the check reads it."""
    check, wanted = registry.CHECKS[f"base.{name}"], EXPECTED if expected is None else expected
    probes = (
        {probe: given[key] for key, probe in check.reads(wanted).items() if key in given} if "base" in wanted else {}
    )

    def read(probe: Probe) -> Reading:
        return probes.get(probe, Reading(None))

    result = checks.run(check, wanted, read)
    assert (result.verdict == "fail") == bool(result.fix)
    return result.verdict, result.reason or result.value


LIVE = {"net.core.somaxconn": Reading(0, "5000\n"), "net.ipv4.tcp_rmem": Reading(0, "4096\t131072\t1073741824\n")}


def test_parameters_with_their_values_pass() -> None:
    assert verdict("sysctl", LIVE) == ("pass", "2 parameters")


def test_a_parameter_that_is_another_fails() -> None:
    other = {**LIVE, "net.core.somaxconn": Reading(0, "4096\n")}
    assert verdict("sysctl", other) == ("fail", "net.core.somaxconn is 4096, not 5000")


def test_a_parameter_that_the_kernel_lacks_is_told() -> None:
    some = {"net.core.somaxconn": Reading(0, "5000\n")}
    assert verdict("sysctl", some) == ("pass", "not in this kernel: net.ipv4.tcp_rmem")
    assert verdict("sysctl", {}) == ("skip", "this kernel has none of the parameters")


def memory(pages: int) -> dict[str, Reading]:
    return {"memory": Reading(0, f"MemTotal:  1024 kB\nHugePages_Total:    {pages}\nHugePages_Free:     0\n")}


def test_huge_pages_that_are_reserved_pass() -> None:
    assert verdict("huge_pages", memory(5128)) == ("pass", "5128")
    assert verdict("huge_pages", memory(0), of(huge_pages=0)) == ("skip", "none were asked for")


def test_fewer_huge_pages_fail() -> None:
    assert verdict("huge_pages", memory(5000)) == ("fail", "5000 huge pages are reserved, not 5128")


FILE = "* - memlock unlimited\nroot - memlock unlimited\n* - nofile 1048576\n"


def limits(
    file: str = FILE, session: str = "unlimited\n1048576\n", capabilities: str = "000001ffffffffff"
) -> tuple[str, str]:
    init = Reading(0, f"Name:\tsystemd\nCapEff:\t{capabilities}\n")
    return verdict("limits", {"file": Reading(0, file), "session": Reading(0, session), "init": init})


def test_limits_of_a_login_pass() -> None:
    assert limits() == ("pass", "memlock unlimited, nofile 1048576")


def test_a_container_that_may_not_raise_limits_says_so() -> None:
    # Docker's default set with SYS_ADMIN: no SYS_RESOURCE
    said = limits(session="8192\n1048576\n", capabilities="00000000a82425fb")
    assert said == ("pass", "this container may not raise the limits of logins")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"file": "* - memlock unlimited\n"}, "does not set nofile to 1048576"),
        ({"session": "8192\n1048576\n"}, "in a login memlock is 8192, not unlimited"),
        ({"session": ""}, "memlock is not told, not unlimited; nofile is not told"),
    ],
)
def test_other_limits_of_a_login_fail(changed: dict[str, str], reason: str) -> None:
    said = limits(**changed)
    assert said[0] == "fail"
    assert reason in said[1]


def manager(memlock: str) -> tuple[str, str]:
    return verdict("manager", {"manager": Reading(0, f"DefaultLimitMEMLOCK={memlock}\nDefaultLimitNOFILE=1048576\n")})


def test_limits_of_services() -> None:
    assert manager("infinity")[0] == "pass"
    assert manager("8388608") == ("fail", "services have memlock 8388608, not infinity")
    assert verdict("manager", {"manager": Reading(1)}) == ("fail", "services have memlock not told, not infinity")


def test_headers_of_the_kernel() -> None:
    assert verdict("headers", {"build": Reading(0, "Makefile\n")}) == ("pass", KERNEL)
    assert verdict("headers", {}) == ("fail", f"there are no headers of kernel {KERNEL}")
    assert verdict("headers", {}, of(headers=False)) == ("skip", "they were left out")


PINS = "Package: linux-aws linux-image-aws linux-image-generic*\nPin: version *\nPin-Priority: -1\n"
NOTHING = "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n"


def held(pins: str = PINS, upgrade: str = NOTHING, **changed: Any) -> tuple[str, str]:
    return verdict("kernel", {"pins": Reading(0, pins), "upgrade": Reading(0, upgrade)}, of(**changed))


def test_a_kernel_that_apt_keeps_passes() -> None:
    assert held() == ("pass", KERNEL)
    assert held(pins="", hold=False) == ("skip", "it was left out")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"pins": ""}, "apt takes a newer kernel"),
        ({"pins": PINS.replace("-1", "500")}, "apt takes a newer kernel"),
        (
            {"upgrade": "Inst linux-image-6.8.0-1066-aws (6.8.0-1066.69 Ubuntu:24.04/noble-updates [amd64])\n"},
            "an upgrade would install linux-image-6.8.0-1066-aws",
        ),
    ],
)
def test_a_kernel_that_apt_would_replace_fails(changed: dict[str, str], reason: str) -> None:
    assert held(**changed) == ("fail", reason)


def test_a_kernel_that_dnf_locks_passes() -> None:
    lock = "kernel6.12-0:6.12.110-135.202.amzn2023.*\n"
    assert verdict("kernel", {"locks": Reading(0, lock)}, AMAZON) == ("pass", lock.strip())
    other = {"locks": Reading(0, "docker-0:25.0.16-1.*\n")}
    assert verdict("kernel", other, AMAZON) == ("fail", f"dnf has no lock on kernel {AMAZON['kernel']}")


def test_a_role_that_said_nothing_is_skipped() -> None:
    for name in ("sysctl", "huge_pages", "limits", "manager", "headers", "kernel"):
        assert verdict(name, {}, {"kernel": KERNEL, "system": "debian12"})[0] == "skip"
