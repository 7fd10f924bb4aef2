"""Checks of role gdrcopy, on what tools print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    File,
    Folder,
    Probe,
    Reading,
    registry,
)

KERNEL = "6.1.0-56-amd64"
EXPECTED: dict[str, Any] = {
    "system": "debian12",
    "arch": "x86_64",
    "kernel": KERNEL,
    "versions": {"gdrcopy": "2.5.2"},
    "gdrcopy": {"start": True},
}
LIBRARY = "/opt/gdrcopy/2.5.2/lib/libgdrapi.so.2.5"
PACKAGED = "/usr/lib/x86_64-linux-gnu/libgdrapi.so.2.5"
TOOLS = "gdrcopy_apiperf\ngdrcopy_copybw\ngdrcopy_copylat\ngdrcopy_pplat\ngdrcopy_sanity\n"
DRIVER = "580.173.02"
# systemd 252: reconstructed
RUNS = "LoadState=loaded\nActiveState=active\nSubState=exited\nUnitFileState=enabled\n"
HEALTHY: dict[str, str | Reading] = {
    "libraries": f"{LIBRARY}\n",
    "package": Reading(127, "", "sh: 1: rpm: not found\n"),
    "/opt/gdrcopy/2.5.2/bin": TOOLS,
    "/usr/bin": "make\n",
    # modinfo of kmod 30 on gdrdrv of GDRCopy 2.5.2, built with sources of driver 580.95.05 on Debian 12: recorded
    "version gdrdrv": "2.5\n",
    "srcversion gdrdrv": "628A1EE2623290E9768AEB0\n",
    "description gdrdrv": "GDRCopy kernel-mode driver built for opensource NVIDIA driver\n",
    "version nvidia": f"{DRIVER}\n",
    "license nvidia": "Dual MIT/GPL\n",
    "/sys/module/gdrdrv/srcversion": "628A1EE2623290E9768AEB0\n",
    # dkms 3.0.10: recorded
    "dkms": f"gdrdrv/2.5.2, {KERNEL}, x86_64: installed\n",
    "/var/lib/awsome-distributed-training/gdrdrv-built-for": f"{DRIVER} Dual MIT/GPL\n",
    "systemctl": RUNS,
    "/proc/devices": "Character devices:\n  1 mem\n508 gdrdrv\n\nBlock devices:\n259 blkext\n",
    # stat of coreutils 9.1: recorded
    "stat": "666 1fc\n",
}


def told(
    name: str, changed: Mapping[str, str | Reading] | None = None, expected: Mapping[str, Any] = EXPECTED
) -> checks.Result:
    """What a check says of a healthy node on which some readings are others."""
    given = {**HEALTHY, **(changed or {})}

    def read(probe: Probe) -> Reading:
        if isinstance(probe, (File, Folder)):
            key = probe.path
        elif probe.argv[0] == "sh":
            key = "package" if "dpkg-query" in probe.argv[-1] else "libraries"
        else:
            key = " ".join(probe.argv[2:]) if probe.argv[0] == "modinfo" else probe.argv[0]
        answer = given[key]
        return answer if isinstance(answer, Reading) else Reading(0, answer)

    return checks.run(registry.CHECKS[f"gdrcopy.{name}"], expected, read)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("library", f"2.5.2, {LIBRARY}"),
        ("one", "/opt/gdrcopy/2.5.2/lib"),
        ("tools", "gdrcopy_sanity, gdrcopy_copybw, gdrcopy_copylat, gdrcopy_apiperf, gdrcopy_pplat"),
        ("module", "2.5"),
        ("dkms", f"2.5.2, {KERNEL}, x86_64: installed"),
        ("driver", f"{DRIVER} Dual MIT/GPL"),
        ("service", "active, enabled"),
        ("device", "mode 666, number 508"),
    ],
)
def test_a_healthy_node_passes(name: str, value: str) -> None:
    result = told(name)
    assert (result.verdict, result.value) == ("pass", value)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        # a version that stays has its library and tools by NVIDIA's own packages
        ("library", {"libraries": PACKAGED, "package": "2.5.2\n"}),
        ("library", {"libraries": PACKAGED, "package": "2.5.2-1\n"}),
        ("tools", {"/opt/gdrcopy/2.5.2/bin": Reading(None), "/usr/bin": TOOLS}),
        ("module", {"/sys/module/gdrdrv/srcversion": Reading(None)}),
        # dkms 2.8.4: reconstructed from its man page
        ("dkms", {"dkms": f"gdrdrv, 2.5.2, {KERNEL}, x86_64: installed\n"}),
        ("driver", {"description gdrdrv": "GDRCopy kernel-mode driver\n"}),
    ],
)
def test_what_other_nodes_have_passes(name: str, changed: Mapping[str, str | Reading]) -> None:
    assert told(name, changed).verdict == "pass"


@pytest.mark.parametrize(
    ("name", "changed", "reason", "fix"),
    [
        ("library", {"libraries": ""}, "no libgdrapi.so.2 on the loader's path", "apply role gdrcopy"),
        (
            "library",
            {"libraries": LIBRARY.replace("2.5.2", "2.6")},
            "which is GDRCopy 2.6, not 2.5.2",
            "gdrcopy_preinstalled: replace",
        ),
        ("library", {"libraries": PACKAGED, "package": "2.5.1\n"}, "which is GDRCopy 2.5.1, not 2.5.2", "replace"),
        ("library", {"libraries": PACKAGED}, f"{PACKAGED}, which is GDRCopy 2.5, not 2.5.2", "replace"),
        ("one", {"libraries": ""}, "no libgdrapi.so.2 on the loader's path", "apply role gdrcopy"),
        (
            "one",
            {"libraries": f"{LIBRARY}\n{PACKAGED}\n"},
            "/opt/gdrcopy/2.5.2/lib and /usr/lib/x86_64-linux-gnu are both on the loader's path",
            "remove one of them",
        ),
        (
            "tools",
            {"/opt/gdrcopy/2.5.2/bin": TOOLS.replace("gdrcopy_sanity\n", "")},
            "there is no gdrcopy_sanity",
            "apply role gdrcopy",
        ),
        ("module", {"version gdrdrv": Reading(1)}, "no module gdrdrv for the running kernel", "apply role gdrcopy"),
        ("module", {"version gdrdrv": "2.4\n"}, "module gdrdrv is 2.4, not 2.5", "dkms status"),
        ("module", {"/sys/module/gdrdrv/srcversion": "FFFF\n"}, "another build of module gdrdrv is loaded", "reboot"),
        ("dkms", {"dkms": ""}, "it does not know it", "apply role gdrcopy"),
        ("dkms", {"dkms": "gdrdrv/2.5.2: added\n"}, "gdrdrv/2.5.2: added", "apply role gdrcopy"),
        ("dkms", {"dkms": f"gdrdrv/2.5.2, {KERNEL}, x86_64: built\n"}, "x86_64: built", "apply role gdrcopy"),
        (
            "dkms",
            {"dkms": "gdrdrv/2.5.2, 6.1.0-9-cloud-amd64, x86_64: installed\n"},
            f"has not installed module gdrdrv 2.5.2, {KERNEL}, x86_64",
            "apply role gdrcopy",
        ),
        ("driver", {"version nvidia": Reading(1)}, "no module nvidia for the running kernel", "role nvidia_driver"),
        (
            "driver",
            {"version nvidia": "580.178.04\n"},
            f"was built for {DRIVER} Dual MIT/GPL, the driver is 580.178.04 Dual MIT/GPL",
            "apply role gdrcopy",
        ),
        ("driver", {"license nvidia": "NVIDIA\n"}, f"the driver is {DRIVER} NVIDIA", "apply role gdrcopy"),
        (
            "driver",
            {"/var/lib/awsome-distributed-training/gdrdrv-built-for": Reading(None)},
            "nobody noted for which",
            "apply role gdrcopy",
        ),
        (
            "driver",
            {"description gdrdrv": "GDRCopy kernel-mode driver built for proprietary NVIDIA driver\n"},
            "built for the proprietary driver, the driver's licence is Dual MIT/GPL",
            "apply role gdrcopy",
        ),
        ("service", {"systemctl": "LoadState=not-found\n"}, "systemd has no gdrcopy.service", "apply role gdrcopy"),
        ("device", {"/proc/devices": "Character devices:\n  1 mem\n"}, "gdrdrv is not loaded", "restart gdrcopy"),
        ("device", {"stat": Reading(1)}, "there is no /dev/gdrdrv", "restart gdrcopy"),
        ("device", {"stat": "666 1fb\n"}, "/dev/gdrdrv has number 507, module gdrdrv 508", "restart gdrcopy"),
        ("device", {"stat": "600 1fc\n"}, "/dev/gdrdrv has mode 600", "restart gdrcopy"),
    ],
)
def test_what_is_wrong_fails(name: str, changed: Mapping[str, str | Reading], reason: str, fix: str) -> None:
    result = told(name, changed)
    assert result.verdict == "fail"
    assert reason in result.reason
    assert fix in result.fix


def test_without_a_gpu_the_module_is_for_the_next_boot() -> None:
    expected = {**EXPECTED, "gdrcopy": {"start": False}}
    unloaded = {
        "/proc/devices": "Character devices:\n  1 mem\n",
        "systemctl": RUNS.replace("ActiveState=active", "ActiveState=inactive"),
    }
    device = told("device", unloaded, expected)
    assert (device.verdict, device.reason) == ("skip", "gdrdrv is not loaded here, as the role was told")
    assert told("service", unloaded, expected).verdict == "pass"
    assert told("service", unloaded).verdict == "fail"


@pytest.mark.parametrize("name", ["library", "tools", "module", "dkms"])
def test_what_is_not_known_is_skipped(name: str) -> None:
    assert told(name, expected={"system": "debian12"}).verdict == "skip"
