# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role neuron.

Of the role itself Expected has under ``packages`` ``neuron``: all packages of its components.
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

COMPONENTS = ("neuron_dkms", "neuron_runtime", "neuron_collectives", "neuron_tools")
MODELS = ("Trainium", "Inferentia")
"""What the names of Neuron accelerators in data/instance_types.yml begin with."""

_MODULE = Command(("modinfo", "-F", "version", "neuron"))
_LOADED = File("/sys/module/neuron/version")
_LIST = Command(("/opt/aws/neuron/bin/neuron-ls",))
_FOUND = Command(("sh", "-l", "-c", "command -v neuron-ls"))
# a row of neuron-ls begins with the device's number; rows of processes and the head have none (Neuron LS User Guide)
_ROW = re.compile(r"^\|\s*(\d+)\s*\|", re.MULTILINE)


def _module(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["versions"]["neuron_dkms"]
    built, loaded = readings["built"].out.strip(), readings["loaded"].out.strip()
    if readings["built"].status != 0 or not built:
        fix = "dkms status; apply role neuron, which brings the headers of the running kernel"
        return failed("there is no module neuron for the running kernel", fix, limit=wanted)
    if built != wanted:
        fix = "apply role neuron with neuron_preinstalled: replace"
        return failed(f"module neuron is {built}, not {wanted}", fix, built, wanted)
    if readings["loaded"].there and loaded != wanted:
        return failed(f"module neuron {loaded} is loaded, not {wanted}", "reboot", loaded, wanted)
    return passed(f"{built}{', loaded' if readings['loaded'].there else ''}", wanted)


def _devices(readings: Readings, expected: Expected) -> Judgement:
    accelerator = expected["instance"].get("accelerator") or {}
    if not str(accelerator.get("model", "")).startswith(MODELS):
        return skipped(f"{expected['instance_type']} has no Neuron devices")
    wanted, told = accelerator["count"], readings["list"]
    found = _ROW.findall(told.out)
    fix = "dmesg | grep -i neuron; modprobe neuron"
    if told.status != 0:
        return failed(f"neuron-ls: {common.said(told)}", fix, limit=wanted, unit="devices")
    if len(found) != wanted:
        return failed(f"neuron-ls shows {len(found)} devices, not {wanted}", fix, len(found), wanted, "devices")
    return passed(wanted, wanted, unit="devices")


def _path(readings: Readings, expected: Expected) -> Judgement:
    if readings["found"].status != 0:
        return failed("a login does not find neuron-ls", "apply role neuron", limit=_LIST.argv[0])
    return passed(readings["found"].out.strip(), _LIST.argv[0])


CHECKS = (
    common.packages("neuron", "neuron"),
    *(common.repository("neuron", component, f"repository_{component[7:]}") for component in COMPONENTS),
    Check(
        "neuron.module",
        "the module for the running kernel, and the loaded one, have the driver's version",
        lambda expected: {"built": _MODULE, "loaded": _LOADED},
        _module,
        needs=("versions.neuron_dkms",),
    ),
    Check(
        "neuron.devices",
        "neuron-ls shows every device of the EC2 type",
        lambda expected: {"list": _LIST},
        _devices,
        needs=("instance_type", "instance"),
    ),
    Check("neuron.path", "a login finds the tools", lambda expected: {"found": _FOUND}, _path),
)
