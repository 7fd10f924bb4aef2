# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role nvidia_fabricmanager.

What the role says of itself under ``nvidia_fabricmanager`` in Expected: ``start``, false where services are for the
next boot alone, and ``imex_nodes``, the addresses of an IMEX domain. What a type does not need is not in Expected.
"""

from __future__ import annotations

import re

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Judgement,
    Readings,
    common,
    failed,
    passed,
    skipped,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.nvidia_driver import (
    MODULE_VERSION,
    module_version,
    service_or_enabled,
    version_in,
)

_ROLE = "nvidia_fabricmanager"
_AGAIN = f"apply role {_ROLE}"
NODES = "/etc/nvidia-imex/nodes_config.cfg"
MODULES = "/etc/modules-load.d/adt-ib-umad.conf"


def _version(readings: Readings, expected: Expected) -> Judgement:
    # "Fabric Manager version is : 580.159.03", with blank lines around it
    found = version_in(next((line for line in readings["told"].lines if "version is" in line), ""))
    driver = module_version(readings["module"])
    if not found:
        return failed("nv-fabricmanager --version tells no version", _AGAIN, limit=driver)
    if not driver:
        return failed("there is no module nvidia for the running kernel", "apply role nvidia_driver", found)
    if found != driver:
        return failed(
            f"the fabric manager is {found}, the driver {driver}, and its service exits then", _AGAIN, found, driver
        )
    return passed(found, driver)


def _fabric(readings: Readings, expected: Expected) -> Judgement:
    if not expected[_ROLE].get("start", True):
        return skipped("the fabric manager is not started here, as the role was told")
    said = readings["gpus"]
    if said.status != 0:
        return failed(f"nvidia-smi -q: {(said.err or said.out).strip()[:200]}", "apply role nvidia_driver")
    # below "Fabric" of each GPU: "State : Completed" and "Status : Success"; N/A on GPUs before Hopper, which register
    # with no fabric (NVML, nvmlDeviceGetGpuFabricInfo)
    found = re.findall(r"^ +Fabric\n +State +: (.*)\n +Status +: (.*)$", said.out, re.MULTILINE)
    states = [f"{state.strip()}, {status.strip()}" for state, status in found]
    if all(state.startswith("N/A") for state in states):
        return skipped("the GPUs tell no state of a fabric")
    other = [state for state in states if state != "Completed, Success"]
    if other:
        reason = f"{len(other)} of {len(states)} GPUs are not in the fabric: {other[0]}"
        return failed(reason, "journalctl --unit nvidia-fabricmanager", other[0], "Completed, Success")
    return passed(f"{len(states)} GPUs: Completed, Success", "Completed, Success")


def _ib_umad(readings: Readings, expected: Expected) -> Judgement:
    if "ib_umad" not in readings["boot"].lines:
        return failed(f"{MODULES} does not load ib_umad at boot", _AGAIN, limit="ib_umad")
    if expected[_ROLE].get("start", True) and not any(line.split()[0] == "ib_umad" for line in readings["now"].lines):
        return failed("module ib_umad is not loaded", "modprobe ib_umad", limit="ib_umad")
    return passed("ib_umad", "ib_umad")


def _imex_version(readings: Readings, expected: Expected) -> Judgement:
    # "IMEX version is: 580.105.08"
    found, driver = version_in(readings["told"].out), module_version(readings["module"])
    if not found or found != driver:
        return failed(
            f"nvidia-imex is {found or 'of no version'}, the driver {driver or 'is missing'}", _AGAIN, found, driver
        )
    return passed(found, driver)


def _imex_nodes(readings: Readings, expected: Expected) -> Judgement:
    wanted = [str(node) for node in expected[_ROLE]["imex_nodes"]]
    found = [line.strip() for line in readings["nodes"].lines]
    if found != wanted:
        return failed(f"{NODES} has {', '.join(found) or 'no node'}", _AGAIN, len(found), len(wanted))
    return passed(f"{len(found)} nodes", f"{len(wanted)} nodes")


def _imex_ready(readings: Readings, expected: Expected) -> Judgement:
    if not expected[_ROLE].get("start", True):
        return skipped("nvidia-imex is not started here, as the role was told")
    # states: INITIALIZING, STARTING_AUTH_SERVER, WAITING_FOR_PEERS, WAITING_FOR_RECOVERY, INIT_GPU, READY,
    # SHUTTING_DOWN, UNAVAILABLE (NVIDIA/DCGM, dcgm_fields.h)
    state = readings["state"].out.strip()
    if state != "READY":
        return failed(
            f"nvidia-imex is {state or 'silent'}", "nvidia-imex-ctl -N; journalctl --unit nvidia-imex", state, "READY"
        )
    return passed(state, "READY")


_FABRIC_MANAGER, _IMEX = "versions.nvidia_fabricmanager", "versions.nvidia_imex"
CHECKS = (
    common.packages(_ROLE, "nvidia_fabricmanager"),
    common.packages(_ROLE, "nvlsm", "nvlsm_packages"),
    common.packages(_ROLE, "ib_umad", "umad_packages"),
    common.packages(_ROLE, "nvidia_imex", "imex_packages"),
    common.repository(_ROLE, "nvidia_fabricmanager"),
    common.repository(_ROLE, "nvlsm", "nvlsm_repository"),
    common.repository(_ROLE, "nvidia_imex", "imex_repository"),
    Check(
        f"{_ROLE}.version",
        "the fabric manager has the driver's version",
        lambda expected: {"told": Command(("nv-fabricmanager", "--version")), "module": MODULE_VERSION},
        _version,
        (_FABRIC_MANAGER,),
    ),
    service_or_enabled(_ROLE, "nvidia-fabricmanager", "service", _FABRIC_MANAGER),
    Check(
        f"{_ROLE}.fabric",
        "the GPUs are in the fabric",
        lambda expected: {"gpus": Command(("nvidia-smi", "-q"), timeout_s=60)},
        _fabric,
        (_ROLE, _FABRIC_MANAGER),
    ),
    Check(
        f"{_ROLE}.ib_umad",
        "module ib_umad is loaded, now and at boot",
        lambda expected: {"boot": File(MODULES), "now": Command(("lsmod",))},
        _ib_umad,
        (_ROLE, "versions.nvlsm"),
    ),
    Check(
        f"{_ROLE}.imex_version",
        "nvidia-imex has the driver's version",
        lambda expected: {"told": Command(("nvidia-imex", "--version")), "module": MODULE_VERSION},
        _imex_version,
        (_IMEX,),
    ),
    Check(
        f"{_ROLE}.imex_nodes",
        "the IMEX domain has the nodes that were asked for",
        lambda expected: {"nodes": File(NODES)},
        _imex_nodes,
        (_IMEX, f"{_ROLE}.imex_nodes"),
    ),
    service_or_enabled(_ROLE, "nvidia-imex", "imex_service", _IMEX, f"{_ROLE}.imex_nodes"),
    Check(
        f"{_ROLE}.imex_ready",
        "nvidia-imex is ready",
        lambda expected: {"state": Command(("nvidia-imex-ctl", "-q"))},
        _imex_ready,
        (_IMEX, f"{_ROLE}.imex_nodes"),
    ),
)
