# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role lustre_client. It says of itself: ``kernel``, for which a module has to be there, and ``hold``."""

from __future__ import annotations

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    Judgement,
    Readings,
    base,
    common,
    failed,
    passed,
)

_MODULE = "lustre.ko*"


def _module(readings: Readings, expected: Expected) -> Judgement:
    kernel = expected["lustre_client"]["kernel"]
    found = readings["modules"].lines
    if not found:
        fix = "apply role lustre_client, or boot a kernel for which FSx publishes a module"
        return failed(f"kernel {kernel} has no module lustre", fix, "", kernel)
    return passed(found[0], kernel)


def _tools(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["versions"]["lustre_client"]
    # Lustre 2: "lctl 2.15.6"
    found = readings["lctl"].out.partition("lctl ")[2].strip()
    if readings["lctl"].status != 0 or not found:
        return failed("lctl tells no version", "apply role lustre_client", limit=wanted)
    if not found.startswith(wanted):
        again = "apply role lustre_client with lustre_client_preinstalled: replace"
        return failed(f"lctl is {found}, not {wanted}", again, found, wanted)
    if not readings["mount"].lines:
        return failed("there is no mount.lustre", "apply role lustre_client", limit=wanted)
    return passed(found, wanted)


def _kernel(readings: Readings, expected: Expected) -> Judgement:
    return base.judge_kernel(readings, {**expected, "base": {"hold": expected["lustre_client"]["hold"]}})


CHECKS = (
    common.packages("lustre_client", "lustre_client"),
    common.repository("lustre_client", "lustre_client"),
    Check(
        "lustre_client.module",
        "the kernel has a module of Lustre",
        lambda expected: {
            "modules": Command(("find", f"/lib/modules/{expected['lustre_client']['kernel']}/", "-name", _MODULE))
        },
        _module,
        ("lustre_client.kernel",),
    ),
    Check(
        "lustre_client.tools",
        "the client's tools are there",
        lambda expected: {
            "lctl": Command(("lctl", "--version"), may_lack=True),
            "mount": Command(("sh", "-c", "command -v mount.lustre"), may_lack=True),
        },
        _tools,
        ("versions.lustre_client",),
    ),
    Check(
        "lustre_client.kernel",
        "no update brings another kernel",
        base.kernel_probes,
        _kernel,
        ("lustre_client", "kernel", "system"),
    ),
)
