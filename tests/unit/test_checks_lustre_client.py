"""Checks of role lustre_client; "lctl --version" in the form that programs read ("lctl %f", reconstructed)."""

from __future__ import annotations

from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import Probe, Reading, registry

KERNEL = "6.8.0-1057-aws"
EXPECTED: dict[str, Any] = {
    "system": "ubuntu2404",
    "kernel": KERNEL,
    "versions": {"lustre_client": "2.15.6"},
    "packages": {"lustre_client": {"lustre-client-utils": "2.15.6-*"}},
    "lustre_client": {"kernel": KERNEL, "hold": True},
}


def verdict(name: str, given: dict[str, Reading], expected: dict[str, Any] | None = None) -> tuple[str, str]:
    """Verdict and reason where each probe is answered by the name under which the check reads it."""
    check, wanted = registry.CHECKS[f"lustre_client.{name}"], EXPECTED if expected is None else expected
    probes = {probe: given[key] for key, probe in check.reads(wanted).items() if key in given} if wanted else {}

    def read(probe: Probe) -> Reading:
        return probes.get(probe, Reading(None))

    result = checks.run(check, wanted, read)
    assert (result.verdict == "fail") == bool(result.fix)
    return result.verdict, result.reason or result.value


def test_a_module_of_the_kernel_passes() -> None:
    path = f"/lib/modules/{KERNEL}/updates/kernel/fs/lustre/lustre.ko\n"
    assert verdict("module", {"modules": Reading(0, path)}) == ("pass", path.strip())


def test_the_module_is_looked_for_in_the_kernel_that_the_node_will_run() -> None:
    other = {**EXPECTED, "lustre_client": {"kernel": "6.8.0-1066-aws", "hold": True}}
    (probe,) = registry.CHECKS["lustre_client.module"].reads(other).values()
    assert "/lib/modules/6.8.0-1066-aws/" in str(probe)


def test_a_kernel_without_a_module_fails() -> None:
    gone = Reading(1, "", f"find: '/lib/modules/{KERNEL}/': No such file or directory\n")
    for reading in (Reading(0, ""), gone):
        assert verdict("module", {"modules": reading}) == ("fail", f"kernel {KERNEL} has no module lustre")


def tools(lctl: str = "lctl 2.15.6\n", mount: str = "/usr/sbin/mount.lustre\n") -> tuple[str, str]:
    return verdict("tools", {"lctl": Reading(0, lctl), "mount": Reading(0 if mount else 1, mount)})


def test_the_tools() -> None:
    assert tools() == ("pass", "2.15.6")
    assert tools("lctl 2.15.6_134_g0f2ae32\n") == ("pass", "2.15.6_134_g0f2ae32")
    assert tools("lctl 2.12.8\n") == ("fail", "lctl is 2.12.8, not 2.15.6")
    assert tools("") == ("fail", "lctl tells no version")
    assert tools(mount="") == ("fail", "there is no mount.lustre")
    assert verdict("tools", {}) == ("fail", "lctl tells no version")


def test_a_kernel_that_stays() -> None:
    pins = Reading(0, "Package: linux-aws linux-image-aws\nPin: version *\nPin-Priority: -1\n")
    nothing = Reading(0, "0 upgraded\n")
    assert verdict("kernel", {"pins": pins, "upgrade": nothing}) == ("pass", KERNEL)
    assert verdict("kernel", {"upgrade": nothing}) == ("fail", "apt takes a newer kernel")
    loose = {**EXPECTED, "lustre_client": {"kernel": KERNEL, "hold": False}}
    assert verdict("kernel", {"upgrade": nothing}, loose) == ("skip", "it was left out")


def test_packages() -> None:
    there = Reading(0, "lustre-client-utils\t2.15.6-1fsx25\tii \n")
    assert verdict("packages", {"installed": there}) == ("pass", "lustre-client-utils 2.15.6-1fsx25")
    assert verdict("packages", {"installed": Reading(1)}) == ("fail", "not installed: lustre-client-utils")


def test_nothing_passes_for_want_of_data() -> None:
    for name in ("packages", "repository", "module", "tools", "kernel"):
        assert verdict(name, {}, {})[0] == "skip"
