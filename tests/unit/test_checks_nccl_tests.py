"""Checks of role nccl_tests, on what tools print."""

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

MPI = "/opt/amazon/openmpi"
SAID = {"programs": ["all_reduce", "sendrecv"], "capability": "90", "mpi": MPI}
EXPECTED: dict[str, Any] = {"versions": {"nccl_tests": "2.19.6"}, "nccl_tests": SAID}
WITHOUT_MPI = {**EXPECTED, "nccl_tests": {**SAID, "mpi": ""}}
LIBRARY = "/opt/nccl/2.30.7/lib/libnccl.so.2.30.7"
HEALTHY: dict[str, str | Reading] = {
    "/opt/nccl-tests/bin": "all_reduce_perf\nall_reduce_perf_mpi\nsendrecv_perf\nsendrecv_perf_mpi\n",
    # what the shell's line finds in a program of v2.19.6: reconstructed from src/common.h, NCCL_TESTS_VERSION
    "stated": "2.19.6\n",
    "libnccl": "libnccl.so.2\n",
    "libmpi": "libmpi.so.40\n",
    "found": f"{LIBRARY}\n",
    # NCCL 2.30.7: reconstructed from its src/init.cc, VERSION_STRING
    "string": "NCCL version 2.30.7+cuda13.0\n",
    "/opt/nccl-tests/built-with": f"version=2.19.6\nnccl=2.30.7 cuda=13 capabilities=90 mpi={MPI}\n",
    # cuobjdump of CUDA 13: reconstructed from NVIDIA's guide, CUDA Binary Utilities
    "code": "ELF file    1: all_reduce.1.sm_90.cubin\nELF file    2: verifiable.2.sm_90.cubin\n",
    f"{MPI}/lib": "libmpi.so\nlibmpi.so.40\n",
    f"{MPI}/lib64": Reading(None),
}


def told(
    name: str, changed: Mapping[str, str | Reading] | None = None, expected: Mapping[str, Any] = EXPECTED
) -> checks.Result:
    """What a check says of a healthy node on which some readings are others."""
    given = {**HEALTHY, **(changed or {})}

    def read(probe: Probe) -> Reading:
        if not isinstance(probe, Command):
            key = probe.path
        elif probe.argv[0].endswith("cuobjdump"):
            key = "code"
        else:
            marks = {"tr ": "stated", "libmpi": "libmpi", "NCCL version": "string", "ldconfig": "found"}
            text = probe.argv[-1]
            key = next((name for mark, name in marks.items() if mark in text), "libnccl")
        answer = given[key]
        return answer if isinstance(answer, Reading) else Reading(0, answer)

    return checks.run(registry.CHECKS[f"nccl_tests.{name}"], expected, read)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("programs", "4 programs"),
        ("version", "2.19.6"),
        ("nccl", f"2.30.7, {LIBRARY}"),
        ("code", "sm_90"),
        ("mpi", f"libmpi.so.40 of {MPI}"),
    ],
)
def test_a_healthy_node_passes(name: str, value: str) -> None:
    result = told(name)
    assert (result.verdict, result.value) == ("pass", value)


def test_without_mpi_the_second_set_is_not_asked_for() -> None:
    plain = {"/opt/nccl-tests/bin": "all_reduce_perf\nsendrecv_perf\n"}
    assert told("programs", plain, WITHOUT_MPI).value == "2 programs"
    assert told("mpi", expected=WITHOUT_MPI).verdict == "skip"


@pytest.mark.parametrize(
    ("changed", "reads"),
    [
        # Open MPI of Amazon Linux has lib64
        ({f"{MPI}/lib": Reading(None), f"{MPI}/lib64": "libmpi.so.40\n"}, "mpi"),
        # other texts of three numbers are no harm
        ({"stated": "1.0.0\n2.19.6\n"}, "version"),
        # code for 8.0 runs on 8.6
        ({"code": "ELF file    1: a.1.sm_80.cubin\n"}, "code"),
    ],
)
def test_what_other_nodes_have_passes(changed: Mapping[str, str | Reading], reads: str) -> None:
    expected = {**EXPECTED, "nccl_tests": {**SAID, "capability": "86"}} if reads == "code" else EXPECTED
    assert told(reads, changed, expected).verdict == "pass"


@pytest.mark.parametrize(
    ("name", "changed", "reason", "fix"),
    [
        ("programs", {"/opt/nccl-tests/bin": Reading(None)}, "lacks all_reduce_perf, all_reduce_perf_mpi", "apply"),
        (
            "programs",
            {"/opt/nccl-tests/bin": "all_reduce_perf\nsendrecv_perf\n"},
            "lacks all_reduce_perf_mpi, sendrecv_perf_mpi",
            "apply role nccl_tests",
        ),
        ("version", {"stated": Reading(1)}, "states no version, not 2.19.6", "nccl_tests_preinstalled: replace"),
        ("version", {"stated": "2.17.6\n"}, "states 2.17.6, not 2.19.6", "nccl_tests_preinstalled: replace"),
        ("nccl", {"libnccl": Reading(1)}, "all_reduce_perf is not linked with libnccl", "apply role nccl_tests"),
        ("nccl", {"found": ""}, "there is no libnccl.so.2 on the loader's path", "apply role nccl"),
        (
            "nccl",
            {"string": "NCCL version 2.29.7+cuda13.0\n"},
            f"built with NCCL 2.30.7, the loader takes {LIBRARY}, which is 2.29.7",
            "apply role nccl_tests",
        ),
        ("nccl", {"string": Reading(1)}, "which is no NCCL", "after role nccl"),
        ("nccl", {"/opt/nccl-tests/built-with": Reading(None)}, "built with NCCL nobody knows which", "apply role"),
        (
            "code",
            {"code": "ELF file    1: a.1.sm_100.cubin\n"},
            "no code for sm_90, but for sm_100",
            "built-with, and apply",
        ),
        ("code", {"code": "ELF file    1: a.1.sm_80.cubin\n"}, "no code for sm_90, but for sm_80", "built-with"),
        ("code", {"code": Reading(1)}, "no code for sm_90, but for nothing", "built-with"),
        ("mpi", {"libmpi": Reading(1)}, "all_reduce_perf_mpi is not linked with libmpi", "apply role nccl_tests"),
        ("mpi", {f"{MPI}/lib": "libmpi.so.80\n"}, f"{MPI} has no libmpi.so.40", "nccl_tests_mpi"),
    ],
)
def test_what_is_wrong_fails(name: str, changed: Mapping[str, str | Reading], reason: str, fix: str) -> None:
    result = told(name, changed)
    assert result.verdict == "fail"
    assert reason in result.reason
    assert fix in result.fix


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("version", {}),
        ("programs", {}),
        ("mpi", {}),
        # a type that is not known
        ("code", {**EXPECTED, "nccl_tests": {**SAID, "capability": ""}}),
    ],
)
def test_what_is_not_known_is_skipped(name: str, expected: Mapping[str, Any]) -> None:
    assert told(name, expected=expected).verdict == "skip"
