# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the NVLinks between a node's GPUs: ``nvidia-smi nvlink``.

No link may be inactive: NVIDIA Health Validation, ``nvlink_active``, tolerates 0. Errors: DCGM (modules/health,
72fa3fea) fails a GPU at one replay or recovery in a minute (DCGM_LIMIT_MAX_NVLINK_ERROR 1), and so it does at one of
the errors that NVLink 5 counts; facebookresearch/gcm tolerates 0 of those since the counters began, which is what
nvidia-smi tells. CRC errors matter at 100 a second (DCGM_LIMIT_MAX_NVLINK_CRC_ERROR), recoveries that succeeded are a
warning: both are told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    Judgement,
    Readings,
    failed,
    passed,
    skipped,
)

STATUS = Command(("nvidia-smi", "nvlink", "-s"), timeout_s=60, may_lack=True)
ERRORS = Command(("nvidia-smi", "nvlink", "-e"), timeout_s=60, may_lack=True)

_RESET = "reboot the node, which resets the links; if it comes again, replace the instance"
_BY_HAND = "nvidia-smi nvlink -s by hand; systemctl status nvidia-fabricmanager"


@dataclass
class _Links:
    """What is said of one GPU's links.

    :param told: link, and what stands behind it.
    :param all_inactive: nvidia-smi says so in place of a list.
    """

    told: list[tuple[int, str]] = field(default_factory=list)
    all_inactive: bool = False


def _links(out: str) -> dict[str, _Links]:
    """Index of each GPU, and its links.

    ``GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-…)``, below it ``Link 0: 26.562 GB/s`` or ``Link 0: <inactive>``, with
    ``-e`` ``Link 0: Replay Errors: 0``; or ``NVML: Unable to retrieve NVLink information as all links are inactive``.
    """
    found: dict[str, _Links] = {}
    for line in out.splitlines():
        gpu = re.match(r"GPU (\d+):", line)
        link = re.match(r"\s+Link (\d+): (.*\S)", line)
        if gpu:
            found[gpu[1]] = _Links()
        elif found and link:
            found[list(found)[-1]].told.append((int(link[1]), link[2]))
        elif found and "all links are inactive" in line:
            found[list(found)[-1]].all_inactive = True
    return found


def _nothing(readings: Readings, expected: Expected, links: Mapping[str, _Links]) -> Judgement | None:
    """A skip where GPUs have no links or do not answer; a failure where nothing is said of links that there are."""
    accelerator, name = expected["instance"]["accelerator"], expected.get("instance_type", "the type")
    if "nvlink" not in accelerator:
        return skipped(f"{name} has no NVLink")
    if accelerator["count"] == 1 and "domain" not in accelerator["nvlink"]:
        return skipped(f"{name} has one GPU, which is linked to no other")
    said = readings["links"]
    if said.status != 0:
        return skipped("nvidia-smi does not answer: see gpu.driver")
    if not any(one.told or one.all_inactive for one in links.values()):
        wanted = accelerator["nvlink"].get("links", "some")
        return failed("nvidia-smi nvlink names no link", _BY_HAND, 0, wanted, "links")
    return None


def _count(readings: Readings, expected: Expected) -> Judgement:
    links = _links(readings["links"].out)
    nothing = _nothing(readings, expected, links)
    if nothing:
        return nothing
    wanted = expected["instance"]["accelerator"]["nvlink"].get("links")
    if wanted is None:
        return skipped("how many links the type's GPUs have is not known")
    listed = {gpu: len(one.told) for gpu, one in links.items() if not one.all_inactive}
    if not listed:
        return skipped("no GPU lists its links: see nvlink.active")
    odd = {gpu: count for gpu, count in listed.items() if count != wanted}
    if odd:
        told = ", ".join(f"GPU {gpu} has {count}" for gpu, count in odd.items())
        return failed(f"not {wanted} links: {told}", _RESET, min(listed.values()), wanted, "links")
    return passed(wanted, wanted, unit="links")


def _active(readings: Readings, expected: Expected) -> Judgement:
    links = _links(readings["links"].out)
    nothing = _nothing(readings, expected, links)
    if nothing:
        return nothing
    odd = {}
    for gpu, one in links.items():
        down = [str(link) for link, said in one.told if "inactive" in said]
        if one.all_inactive or not one.told:
            odd[gpu] = "has no active link"
        elif down:
            odd[gpu] = f"has link {', '.join(down)} inactive"
    if odd:
        told = "; ".join(f"GPU {gpu} {what}" for gpu, what in odd.items())
        return failed(told, _RESET, len(odd), 0, "GPUs")
    return passed(sum(len(one.told) for one in links.values()), unit="active links")


# driver 570: what NVLink 3 and 4 count; driver 595 on B300: what NVLink 5 counts
_GRAVE = {
    "Replay Errors",
    "Recovery Errors",
    "Malformed packet Errors",
    "Buffer overrun Errors",
    "Rx Errors",
    "Rx remote Errors",
    "Rx General Errors",
    "Local link integrity Errors",
    "Tx discards",
    "Link recovery failed events",
    "Effective Errors",
    "Symbol Errors",
}
_TOLD = ("CRC Errors", "CRC Flit Errors", "CRC Data Errors", "Link recovery successful events")


def _errors(readings: Readings, expected: Expected) -> Judgement:
    links = _links(readings["links"].out)
    nothing = _nothing(readings, expected, links)
    if nothing:
        return nothing
    grave: list[str] = []
    told: list[str] = []
    counters = 0
    for gpu, one in links.items():
        for link, said in one.told:
            name, _, count = said.rpartition(": ")
            if name not in _GRAVE and name not in _TOLD or not count.isdigit():
                continue
            counters += name in _GRAVE
            if int(count):
                (grave if name in _GRAVE else told).append(f"GPU {gpu} link {link}: {count} {name}")
    if grave:
        return failed("; ".join(grave[:8]), _RESET, len(grave), 0, "counters")
    if not counters:
        return failed("nvidia-smi nvlink -e counts no errors", "run it by hand, and report what it prints")
    return passed(0, 0, "; ".join(told[:8]), "errors")


CHECKS = (
    Check(
        "nvlink.links",
        "each GPU has the links of its type",
        lambda expected: {"links": STATUS},
        _count,
        ("instance",),
        "nvidia_driver",
    ),
    Check(
        "nvlink.active",
        "no link is inactive",
        lambda expected: {"links": STATUS},
        _active,
        ("instance",),
        "nvidia_driver",
    ),
    Check(
        "nvlink.errors",
        "no link had to replay or to recover, and none failed to",
        lambda expected: {"links": ERRORS},
        _errors,
        ("instance",),
        "nvidia_driver",
    ),
)
