"""Checks of role efa, each on output of a labelled origin.

fi_info: libfabric 1.17 without a device (own), 2.1 (reconstructed). modinfo: kmod 30 (own), the g by efa_main.c. The
installer's list: efa_installer.sh, write_package_file. libibverbs: rdma-core 44.0 (own).
"""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    Probe,
    Reading,
    reading,
    registry,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import efa as efa_checks

EXPECTED: dict[str, Any] = {
    "system": "ubuntu2404",
    "kernel": "6.8.0-1057-aws",
    "versions": {"efa": "1.50.0"},
    "instance_type": "p5.48xlarge",
    "instance": {"network": {"efa": 32}},
    "efa": {
        "minimal": False,
        "kmod": True,
        "device": True,
        "bundles": {"efa_driver": "3.3.0", "aws_ofi_nccl": "1.21.1"},
    },
}
LIST = (
    "# EFA installer version: 1.50.0\n# Debug packages installed: no\n# Packages installed:\nefa_3.3.0-1.amzn1_amd64\n"
)
TWO_DEVICES = "".join(
    f"provider: efa\n    fabric: {fabric}\n    domain: rdmap{device}s0-rdm\n    version: 201.0\n"
    "    type: FI_EP_RDM\n    protocol: FI_PROTO_EFA\n"
    for device in (85, 86)
    for fabric in ("efa-direct", "efa")
)
NO_MODULE = Reading(1, "", "modinfo: ERROR: Module efa not found.\n")
LIMITS = "* - memlock unlimited\nroot - memlock unlimited\n"


def of(**changed: Any) -> dict[str, Any]:
    """What is expected, with other words of the role."""
    return {**EXPECTED, "efa": {**EXPECTED["efa"], **changed}}


def judged(name: str, given: dict[str, Reading], expected: dict[str, Any] | None = None) -> checks.Result:
    """The result where each probe is answered by the name under which the check reads it."""
    check = registry.CHECKS[f"efa.{name}"]
    wanted = EXPECTED if expected is None else expected
    probes = {probe: given[key] for key, probe in check.reads(wanted).items() if key in given}

    def read(probe: Probe) -> Reading:
        return probes.get(probe, Reading(None))

    return checks.run(check, wanted, read)


def verdict(name: str, given: dict[str, Reading], expected: dict[str, Any] | None = None) -> tuple[str, str]:
    result = judged(name, given, expected)
    assert (result.verdict == "fail") == bool(result.fix)
    return result.verdict, result.reason or result.value


def test_the_installers_version_passes() -> None:
    assert verdict("installer", {"listed": Reading(0, LIST)}) == ("pass", "1.50.0")


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        (Reading(0, LIST.replace("1.50.0", "1.5.0")), "EFA installer 1.5.0, not 1.50.0"),
        (Reading(0, ""), "/opt/amazon/efa_installed_packages names no version"),
        (Reading(None), "/opt/amazon/efa_installed_packages names no version"),
    ],
)
def test_another_installer_fails(listed: Reading, reason: str) -> None:
    assert verdict("installer", {"listed": listed}) == ("fail", reason)


@pytest.mark.parametrize("found", ["3.3.0g\n", "3.3.0\n"])
def test_the_bundled_kernel_module_passes(found: str) -> None:
    given = {"module": Reading(0, found), "loaded": Reading(0, found)}
    assert verdict("driver", given) == ("pass", found.strip())


@pytest.mark.parametrize(
    ("module", "loaded", "reason"),
    [
        (NO_MODULE, Reading(None), "there is no kernel module efa for 6.8.0-1057-aws"),
        (Reading(0, "2.6.0g\n"), Reading(None), "kernel module efa is 2.6.0g, not 3.3.0"),
        (Reading(0, "3.3.0g\n"), Reading(0, "3.1.0g\n"), "kernel module efa 3.1.0g is loaded, 3.3.0g is installed"),
    ],
)
def test_another_kernel_module_fails(module: Reading, loaded: Reading, reason: str) -> None:
    assert verdict("driver", {"module": module, "loaded": loaded}) == ("fail", reason)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"kmod": False}, "the kernel module was left out"), ({"bundles": {}}, "not known: efa.bundles.efa_driver")],
)
def test_a_kernel_module_that_nobody_promised_is_skipped(changed: dict[str, Any], reason: str) -> None:
    assert verdict("driver", {"module": NO_MODULE}, of(**changed)) == ("skip", reason)


def test_a_device_counts_once_however_many_fabrics_it_has() -> None:
    assert verdict("provider", {"info": Reading(0, TWO_DEVICES)}) == ("pass", "2")


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (Reading(61, "", "fi_getinfo: -61\n"), "fi_info finds no EFA: fi_getinfo: -61"),
        (Reading(None), "fi_info finds no EFA: there is no fi_info"),
        (Reading(0, "provider: tcp;ofi_rxm\n    domain: eth0\n"), "fi_info lists no domain of EFA"),
    ],
)
def test_no_efa_fails(info: Reading, reason: str) -> None:
    assert verdict("provider", {"info": info}) == ("fail", reason)


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        (of(minimal=True), "libfabric comes with the images"),
        (of(device=False), "no device is attached, by efa_device"),
        ({**EXPECTED, "instance_type": "g5.xlarge", "instance": {"network": {"efa": 0}}}, "g5.xlarge has no EFA"),
        ({**EXPECTED, "instance": {}}, "not known: instance"),
    ],
)
def test_a_node_that_needs_no_provider_is_skipped(expected: dict[str, Any], reason: str) -> None:
    assert verdict("provider", {"info": Reading(61)}, expected) == ("skip", reason)


BUNDLED = "/opt/amazon/ofi-nccl/lib/libnccl-net-ofi.so\n/opt/amazon/ofi-nccl/lib/libnccl-net.so\n"


def test_one_plugin_passes() -> None:
    assert verdict("plugin", {"plugins": Reading(0, BUNDLED)}) == ("pass", "/opt/amazon/ofi-nccl/lib")


def test_two_plugins_fail_and_both_are_named() -> None:
    said = verdict("plugin", {"plugins": Reading(0, f"{BUNDLED}/opt/aws-ofi-nccl/lib/libnccl-net.so\n")})
    assert said[0] == "fail"
    assert "/opt/amazon/ofi-nccl/lib and /opt/aws-ofi-nccl/lib" in said[1]


def test_no_plugin_fails_where_the_installer_brings_one() -> None:
    none = {"plugins": Reading(0, "")}
    assert verdict("plugin", none) == ("fail", "no NCCL plugin is on the loader's path")
    assert verdict("plugin", none, of(minimal=True)) == ("pass", "none")
    assert verdict("plugin", none, {**EXPECTED, "system": "debian12"}) == ("pass", "none")


def test_plugins_of_a_role_that_said_nothing_are_skipped() -> None:
    assert verdict("plugin", {"plugins": Reading(0, BUNDLED)}, {"system": "debian12"}) == ("skip", "not known: efa")


LIB = "/usr/lib/x86_64-linux-gnu"
BUILD = f"{LIB}/libibverbs.so.1.14.44.0 IBVERBS_PRIVATE_34\n{LIB}/libefa.so.1.2.44.0 IBVERBS_PRIVATE_34\n"


def test_one_build_of_libibverbs_passes() -> None:
    assert verdict("verbs", {"builds": Reading(0, BUILD)}) == ("pass", "IBVERBS_PRIVATE_34")


@pytest.mark.parametrize(
    ("builds", "reason"),
    [
        (f"{BUILD}/opt/hpcx/lib/libibverbs.so.1.15.60 IBVERBS_PRIVATE_59\n", "are of several builds"),
        (f"{LIB}/libefa.so.1.2.44.0 IBVERBS_PRIVATE_34\n", "there is no libibverbs"),
        ("", "there is no libibverbs"),
        (f"{LIB}/libibverbs.so.1.14.44.0 \n", "makes no sense"),
    ],
)
def test_several_builds_of_libibverbs_fail(builds: str, reason: str) -> None:
    said = verdict("verbs", {"builds": Reading(0, builds)})
    assert said[0] == "fail"
    assert reason in said[1]


def test_the_commands_read_the_loaders_folders() -> None:
    for command in (efa_checks._PLUGINS, efa_checks._BUILDS):
        assert isinstance(command, Command)
        assert reading.read(command).status == 0


NVIDIA = {"nvidia": Reading(0, "580.173.02\n"), "module": Reading(0, "1.2.3\n")}
MARK = "efa_nv_peermem-580.173.02-6.8.0-1057-aws\nmanifest.json\n"


def test_a_module_that_was_built_for_the_driver_passes() -> None:
    assert verdict("peermem", {**NVIDIA, "marks": Reading(0, MARK)}) == ("pass", "1.2.3 for 580.173.02")


@pytest.mark.parametrize("marks", [Reading(None), Reading(0, MARK.replace("580.173.02", "580.178.04"))])
def test_a_module_that_was_built_for_another_driver_fails(marks: Reading) -> None:
    said = verdict("peermem", {**NVIDIA, "marks": marks})
    assert said == ("fail", "efa_nv_peermem was not built for NVIDIA driver 580.173.02 and kernel 6.8.0-1057-aws")


def test_a_module_that_was_bundled_and_is_missing_fails() -> None:
    given = {**NVIDIA, "module": NO_MODULE}
    bundled = of(bundles={"efa_nv_peermem": "1.2.3"})
    assert verdict("peermem", given, bundled) == ("fail", "there is no kernel module efa_nv_peermem")
    assert verdict("peermem", given)[0] == "skip"


def test_without_a_driver_there_is_no_module_to_build() -> None:
    assert verdict("peermem", {**NVIDIA, "nvidia": NO_MODULE}) == ("skip", "there is no NVIDIA driver")


def memlock(
    manager: str = "infinity", limits: str = LIMITS, session: str = "unlimited", capabilities: str = "000001ffffffffff"
) -> tuple[str, str]:
    given = {
        "manager": Reading(0, f"DefaultLimitMEMLOCK={manager}\n"),
        "limits": Reading(0, limits),
        "session": Reading(0, f"{session}\n"),
        "init": Reading(0, f"Name:\tsystemd\nCapEff:\t{capabilities}\n"),
    }
    return verdict("memlock", given)


def test_unlimited_memory_passes() -> None:
    assert memlock() == ("pass", "unlimited")


def test_a_container_that_may_not_raise_limits_says_so() -> None:
    # Docker's default set with SYS_ADMIN: no SYS_RESOURCE
    said = memlock(session="8192", capabilities="00000000a82425fb")
    assert said == ("pass", "services; this container may not raise the limits of logins")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"manager": "8388608"}, "services may lock 8388608 bytes"),
        ({"limits": "# * - memlock unlimited\n"}, "does not let logins lock memory"),
        ({"session": "8192"}, "a login may lock 8192 KiB"),
    ],
)
def test_limited_memory_fails(changed: dict[str, str], reason: str) -> None:
    said = memlock(**changed)
    assert said[0] == "fail"
    assert reason in said[1]


def test_a_container_that_has_its_hosts_limits_is_skipped() -> None:
    given = {"manager": Reading(0, "DefaultLimitMEMLOCK=8388608\n"), "session": Reading(0, "64\n")}
    assert verdict("memlock", given, of(kmod=False)) == ("skip", "a container has its host's limits")
