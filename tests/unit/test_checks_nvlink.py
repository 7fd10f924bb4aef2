# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of NVLink, on the forms that nvidia-smi prints."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import Probe, Reading, registry
from ansible_collections.awsome.distributed_training.tests.unit.gpu_examples import expected, linked

SPEED = "26.562 GB/s"
NAMES = ("links", "active", "errors")


def counted(**counts: int) -> str:
    """``nvidia-smi nvlink -e`` of driver 570, H100 (stas00/ml-engineering debug.md): reconstructed."""
    names = {"replay": "Replay Errors", "recovery": "Recovery Errors", "crc": "CRC Errors"}
    lines = []
    for gpu in range(8):
        lines.append(f"GPU {gpu}: NVIDIA H200 (UUID: GPU-00000000-0000-0000-0000-{gpu:012d})")
        for link in range(18):
            here = counts if (gpu, link) == (3, 5) else {}
            lines += [f"         Link {link}: {name}: {here.get(key, 0)}" for key, name in names.items()] + [""]
    return "\n".join(lines) + "\n"


# driver 595.91.07 on B300: names and order as public notes of a p6-b300.48xlarge tell them, reconstructed
NVLINK5 = """GPU 0: NVIDIA B300 SXM6 AC (UUID: GPU-00000000-0000-0000-0000-000000000000)
\t Link 0: Malformed packet Errors: 0
\t Link 0: Rx Errors: 0
\t Link 0: Link recovery successful events: {0}
\t Link 0: Link recovery failed events: {1}
\t Link 0: Effective BER: 15e-255
\t Link 0: FEC Errors - 0: 36140749276
"""
# leptonai/gpud and Azure/azurehpc-health-checks, testdata of A100: recorded, identifiers neutralised
ALL_INACTIVE = """GPU 6: NVIDIA A100-SXM4-80GB (UUID: GPU-00000000-0000-0000-0000-000000000006)
NVML: Unable to retrieve NVLink information as all links are inactive
"""


def told(name: str, out: str | Reading, held_to: dict[str, Any] | None = None) -> checks.Result:
    def read(probe: Probe) -> Reading:
        return out if isinstance(out, Reading) else Reading(0, out)

    result = checks.run(registry.CHECKS[f"nvlink.{name}"], held_to or expected(), read)
    assert (result.verdict == "fail") == bool(result.fix)
    return result


def printed(name: str) -> str:
    return counted() if name == "errors" else linked(SPEED)


@pytest.mark.parametrize("name", NAMES)
def test_links_that_are_well_pass(name: str) -> None:
    assert told(name, printed(name)).verdict == "pass"


def test_p4d_has_twelve_links() -> None:
    assert told("links", linked("25 GB/s", 12), expected("p4d.24xlarge")).verdict == "pass"
    assert told("links", linked("25 GB/s", 12)).reason.startswith("not 18 links: GPU 0 has 12, GPU 1 has 12")


def test_a_gpu_with_fewer_links_fails() -> None:
    fewer = linked(SPEED).replace("\t Link 17: 26.562 GB/s\n", "", 1)
    result = told("links", fewer)
    assert (result.verdict, result.reason, result.value) == ("fail", "not 18 links: GPU 0 has 17", "17")
    assert told("active", fewer).verdict == "pass"


def test_an_inactive_link_fails_and_is_named() -> None:
    down = linked(SPEED, changes={(3, 5): "<inactive>", (3, 6): "<inactive>"})
    result = told("active", down)
    assert (result.verdict, result.reason) == ("fail", "GPU 3 has link 5, 6 inactive")
    assert told("links", down).verdict == "pass"


def test_a_gpu_all_of_whose_links_are_inactive_fails_once() -> None:
    result = told("active", linked(SPEED, count=6) + ALL_INACTIVE)
    assert (result.verdict, result.reason) == ("fail", "GPU 6 has no active link")
    assert told("links", linked(SPEED, count=6) + ALL_INACTIVE).verdict == "pass"
    assert told("links", ALL_INACTIVE).verdict == "skip"


@pytest.mark.parametrize("name", NAMES)
def test_silence_about_links_that_the_type_has_fails(name: str) -> None:
    # recorded: H200, driver 580.159.04, loaded with NvLinkDisable
    result = told(name, "")
    assert (result.verdict, result.reason) == ("fail", "nvidia-smi nvlink names no link")


@pytest.mark.parametrize("key", ["replay", "recovery"])
def test_replays_and_recoveries_fail(key: str) -> None:
    result = told("errors", counted(**{key: 2}))
    assert (result.verdict, result.reason) == ("fail", f"GPU 3 link 5: 2 {key.title()} Errors")


def test_crc_errors_alone_pass_and_are_told() -> None:
    result = told("errors", counted(crc=4))
    assert (result.verdict, result.reason) == ("pass", "GPU 3 link 5: 4 CRC Errors")


def test_nvlink_5_counts_otherwise() -> None:
    assert told("errors", NVLINK5.format(0, 0)).verdict == "pass"
    assert told("errors", NVLINK5.format(2, 0)).reason == "GPU 0 link 0: 2 Link recovery successful events"
    assert told("errors", NVLINK5.format(0, 1)).reason == "GPU 0 link 0: 1 Link recovery failed events"


def test_output_without_counters_fails() -> None:
    assert told("errors", linked(SPEED)).reason == "nvidia-smi nvlink -e counts no errors"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("g6e.48xlarge", "g6e.48xlarge has no NVLink"),
        ("trn2.48xlarge", "trn2.48xlarge has no NVLink"),
        ("p5.4xlarge", "p5.4xlarge has one GPU, which is linked to no other"),
    ],
)
def test_a_type_without_links_is_skipped(name: str, type_: str, reason: str) -> None:
    result = told(name, "", expected(type_))
    assert (result.verdict, result.reason) == ("skip", reason)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("said", [Reading(None), Reading(9, "NVIDIA-SMI has failed because it couldn't communicate\n")])
def test_gpus_that_do_not_answer_are_no_proof(name: str, said: Reading) -> None:
    assert told(name, said).reason == "nvidia-smi does not answer: see gpu.driver"


def test_where_the_number_of_links_is_not_known_they_are_to_be_active_all_the_same() -> None:
    held_to = expected("p6-b300.48xlarge")
    held_to["instance"]["accelerator"]["nvlink"].pop("links", None)
    assert told("links", linked("53.125 GB/s"), held_to).verdict == "skip"
    assert told("active", linked("53.125 GB/s", changes={(0, 1): "<inactive>"}), held_to).verdict == "fail"
