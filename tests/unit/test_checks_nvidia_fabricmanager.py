"""Checks of role nvidia_fabricmanager, on what tools print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    Probe,
    Reading,
    registry,
)

VERSION = "580.173.02"
NODES = "/etc/nvidia-imex/nodes_config.cfg"
MODULES = "/etc/modules-load.d/adt-ib-umad.conf"
FABRIC: dict[str, Any] = {
    "system": "ubuntu2404",
    "versions": {"nvidia_fabricmanager": VERSION, "nvlsm": "2025.10.14"},
    "packages": {"ib_umad": {"libibumad3": "*", "infiniband-diags": "*"}},
    "nvidia_fabricmanager": {"start": True, "imex_nodes": []},
}
"""A node of B200."""
IMEX: dict[str, Any] = {
    "system": "ubuntu2404",
    "versions": {"nvidia_imex": VERSION},
    "nvidia_fabricmanager": {"start": True, "imex_nodes": ["10.0.0.1", "10.0.0.2"]},
}
"""A node of GB200."""
# Fabric Manager 535.161.08: recorded in a public test, with its blank lines; the version is ours
MANAGER = "\n\n\n\tFabric Manager version is : {0}\n\n"
# nvidia-imex 580.105.08: reconstructed from public scripts that read it
IMEX_TOLD = "IMEX version is: {0}\n"
# lsmod of kmod 30: own form, with a module that was not loaded there
LSMOD = (
    "Module                  Size  Used by\nib_umad                40960  0\nib_core               450560  1 ib_umad\n"
)
RUNS = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n"


def gpu(state: str, status: str) -> str:
    """A GPU of ``nvidia-smi -q``, driver 580.95.05: reconstructed (samples/nvidia-smi-q-fabric-completed-b200.txt)."""
    return f"""GPU 00000000:51:00.0
    Product Name                               : NVIDIA B200
    Fabric
        State                                  : {state}
        Status                                 : {status}
        CliqueId                               : 0
    ECC Errors
        Aggregate
            DRAM Uncorrectable                 : 0
"""


HEALTHY: dict[str, Reading] = {
    "dpkg-query": Reading(0, "libibumad3\t50.0-2build2\tii \ninfiniband-diags\t50.0-2build2\tii \n"),
    "modinfo": Reading(0, f"{VERSION}\n"),
    "nv-fabricmanager": Reading(0, MANAGER.format(VERSION)),
    "nvidia-imex": Reading(0, IMEX_TOLD.format(VERSION)),
    # nvidia-imex-ctl 580: reconstructed from public scripts that compare it with READY
    "nvidia-imex-ctl": Reading(0, "READY\n"),
    "nvidia-smi": Reading(0, "==============NVSMI LOG==============\n" + 8 * gpu("Completed", "Success")),
    "lsmod": Reading(0, LSMOD),
    MODULES: Reading(0, "# a comment\nib_umad\n"),
    NODES: Reading(0, "10.0.0.1\n10.0.0.2\n"),
    "systemctl": Reading(0, RUNS),
}


def told(
    name: str, changed: Mapping[str, Reading] | None = None, expected: Mapping[str, Any] | None = None
) -> checks.Result:
    """What a check says of a healthy node on which some readings are others."""
    given = {**HEALTHY, **(changed or {})}

    def read(probe: Probe) -> Reading:
        return given.get(probe.argv[0] if isinstance(probe, Command) else probe.path, Reading(None))

    there = expected or (IMEX if name.startswith("imex") else FABRIC)
    return checks.run(registry.CHECKS[f"nvidia_fabricmanager.{name}"], there, read)


OWN = ("version", "service", "fabric", "ib_umad", "umad_packages")
OF_IMEX = ("imex_version", "imex_nodes", "imex_service", "imex_ready")


@pytest.mark.parametrize("name", [*OWN, *OF_IMEX])
def test_a_healthy_node_passes(name: str) -> None:
    assert told(name).verdict == "pass"


@pytest.mark.parametrize("name", [*OWN, *OF_IMEX])
def test_what_a_type_does_not_need_is_skipped(name: str) -> None:
    assert told(name, expected=FABRIC if name in OF_IMEX else IMEX).verdict == "skip"


@pytest.mark.parametrize(
    ("name", "changed", "reason", "fix"),
    [
        ("version", {"nv-fabricmanager": MANAGER.format("590.48.01")}, "is 590.48.01, the driver 580.173.02", "apply"),
        ("version", {"nv-fabricmanager": "usage: nv-fabricmanager\n"}, "tells no version", "apply role"),
        ("version", {"nv-fabricmanager": Reading(None)}, "there is no nv-fabricmanager", "apply role"),
        ("version", {"modinfo": Reading(1)}, "no module nvidia", "apply role nvidia_driver"),
        ("service", {"systemctl": RUNS.replace("=active", "=failed")}, "is failed", "journalctl"),
        (
            "fabric",
            {"nvidia-smi": 7 * gpu("Completed", "Success") + gpu("In Progress", "N/A")},
            "1 of 8 GPUs are not in the fabric: In Progress, N/A",
            "journalctl",
        ),
        ("fabric", {"nvidia-smi": gpu("Completed", "Insufficient Resources")}, "Insufficient", "journalctl"),
        # nvidia-smi without a driver: reconstructed (samples/nvidia-smi-no-devices.txt)
        ("fabric", {"nvidia-smi": Reading(9, "NVIDIA-SMI has failed because it")}, "has failed", "nvidia_driver"),
        ("ib_umad", {"lsmod": LSMOD.replace("ib_umad  ", "ib_uverbs")}, "is not loaded", "modprobe ib_umad"),
        ("ib_umad", {MODULES: Reading(None)}, "does not load ib_umad at boot", "apply role"),
        ("umad_packages", {"dpkg-query": "libibumad3\t50.0-2build2\tii \n"}, "infiniband-diags", "apply role"),
        ("imex_version", {"nvidia-imex": IMEX_TOLD.format("570.124.06")}, "570.124.06, the driver 580", "apply"),
        ("imex_version", {"nvidia-imex": "\n"}, "is of no version", "apply role"),
        ("imex_version", {"modinfo": Reading(1)}, "the driver is missing", "apply role"),
        ("imex_nodes", {NODES: "10.0.0.1\n"}, "has 10.0.0.1", "apply role"),
        ("imex_nodes", {NODES: Reading(None)}, "has no node", "apply role"),
        ("imex_service", {"systemctl": RUNS.replace("=enabled", "=disabled")}, "at boot", "systemctl enable"),
        ("imex_ready", {"nvidia-imex-ctl": "WAITING_FOR_PEERS\n"}, "is WAITING_FOR_PEERS", "nvidia-imex-ctl -N"),
        ("imex_ready", {"nvidia-imex-ctl": Reading(1, "")}, "is silent", "journalctl"),
    ],
)
def test_what_is_wrong_fails_and_is_told(name: str, changed: dict[str, Reading | str], reason: str, fix: str) -> None:
    given = {key: Reading(0, value) if isinstance(value, str) else value for key, value in changed.items()}
    result = told(name, given)
    assert result.verdict == "fail"
    assert reason in result.reason
    assert fix in result.fix


@pytest.mark.parametrize("output", [gpu("N/A", "N/A"), "==============NVSMI LOG==============\n"])
def test_gpus_that_register_with_no_fabric_are_no_proof(output: str) -> None:
    assert told("fabric", {"nvidia-smi": Reading(0, output)}).verdict == "skip"


@pytest.mark.parametrize("name", ["fabric", "imex_ready"])
def test_what_was_not_to_be_started_is_not_judged(name: str) -> None:
    there = IMEX if name == "imex_ready" else FABRIC
    expected = {**there, "nvidia_fabricmanager": {**there["nvidia_fabricmanager"], "start": False}}
    assert told(name, {"nvidia-smi": Reading(9), "nvidia-imex-ctl": Reading(1)}, expected).verdict == "skip"


def test_ib_umad_need_not_be_loaded_where_an_image_is_built() -> None:
    expected = {**FABRIC, "nvidia_fabricmanager": {"start": False, "imex_nodes": []}}
    assert told("ib_umad", {"lsmod": Reading(0, "Module  Size  Used by\n")}, expected).verdict == "pass"


def test_without_nodes_imex_is_left_to_others() -> None:
    expected = {**IMEX, "nvidia_fabricmanager": {"start": True, "imex_nodes": []}}
    verdicts = {told(name, {"systemctl": Reading(0, "")}, expected).verdict for name in OF_IMEX[1:]}
    assert verdicts == {"skip"}
