"""Checks of role nccl, on what tools print."""

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

EXPECTED: dict[str, Any] = {"system": "debian12", "versions": {"nccl": "2.30.7"}, "nccl": {"capability": "90"}}
LIBRARY = "/opt/nccl/2.30.7/lib/libnccl.so.2.30.7"
# NCCL 2.30.7: reconstructed from its src/init.cc, VERSION_STRING
STRING = "NCCL version 2.30.7+cuda13.0\n"
# nvcc of CUDA 13.0: reconstructed from public issue reports
NVCC = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 13.0, V13.0.88\n"
# cuobjdump of CUDA 13: reconstructed from NVIDIA's guide, CUDA Binary Utilities
CODE = "ELF file    1: libnccl.1.sm_90.cubin\nELF file    2: libnccl.2.sm_90.cubin\n"
HEALTHY = {"found": f"{LIBRARY}\n", "string": STRING, "code": CODE, "nvcc": NVCC}


def told(
    name: str, changed: Mapping[str, str | Reading] | None = None, expected: Mapping[str, Any] = EXPECTED
) -> checks.Result:
    """What a check says of a healthy node on which some readings are others."""
    given = {**HEALTHY, **(changed or {})}

    def read(probe: Probe) -> Reading:
        assert isinstance(probe, Command)
        text = probe.argv[-1]
        kind = "code" if "cuobjdump" in text else "string" if "grep" in text else "found"
        answer = given["nvcc" if probe.argv[0].endswith("nvcc") else kind]
        return answer if isinstance(answer, Reading) else Reading(0, answer)

    return checks.run(registry.CHECKS[f"nccl.{name}"], expected, read)


@pytest.mark.parametrize(("name", "value"), [("library", f"2.30.7, {LIBRARY}"), ("cuda", "13.0"), ("code", "sm_90")])
def test_a_healthy_node_passes(name: str, value: str) -> None:
    result = told(name)
    assert (result.verdict, result.value) == ("pass", value)


@pytest.mark.parametrize(
    ("name", "changed", "reason", "fix"),
    [
        ("library", {"found": ""}, "there is no libnccl.so.2 on the loader's path", "apply role nccl"),
        ("library", {"string": Reading(1)}, f"{LIBRARY} states no version of NCCL", "apply role nccl"),
        (
            "library",
            {"string": STRING.replace("2.30.7", "2.29.7")},
            f"the loader takes {LIBRARY}, which is NCCL 2.29.7, not 2.30.7",
            "nccl_preinstalled: replace",
        ),
        (
            "cuda",
            {"string": STRING.replace("cuda13.0", "cuda12.9")},
            "built for CUDA 12.9, the toolkit is 13.0",
            "nccl",
        ),
        ("cuda", {"string": Reading(1)}, "the library tells no version of CUDA", "apply role nccl"),
        ("cuda", {"nvcc": Reading(-9)}, "/usr/local/cuda/bin/nvcc tells no version of CUDA", "apply role cuda"),
        ("cuda", {"nvcc": Reading(None)}, "there is no /usr/local/cuda/bin/nvcc", "apply role nccl"),
        ("code", {"code": CODE.replace("sm_90", "sm_100")}, "no code for sm_90, but for sm_100", "/opt/nccl"),
        ("code", {"code": Reading(1)}, "no code for sm_90, but for nothing", "/opt/nccl"),
    ],
)
def test_what_is_wrong_fails(name: str, changed: Mapping[str, str | Reading], reason: str, fix: str) -> None:
    result = told(name, changed)
    assert result.verdict == "fail"
    assert reason in result.reason
    assert fix in result.fix


@pytest.mark.parametrize(
    ("built", "gpu", "verdict"),
    [
        ("sm_90", "90", "pass"),
        ("sm_90a", "90", "pass"),
        ("sm_80", "86", "pass"),
        ("sm_100", "103", "pass"),
        ("sm_100a", "103", "fail"),
        ("sm_103", "100", "fail"),
        ("sm_86", "80", "fail"),
        ("sm_80", "90", "fail"),
        ("sm_90", "100", "fail"),
    ],
)
def test_code_runs_on_gpus_of_its_major_capability_that_are_not_older(built: str, gpu: str, verdict: str) -> None:
    expected = {**EXPECTED, "nccl": {"capability": gpu}}
    assert told("code", {"code": CODE.replace("sm_90", built)}, expected).verdict == verdict


@pytest.mark.parametrize("name", ["packages", "repository", "library", "code"])
def test_without_knowledge_of_the_node_it_is_skipped(name: str) -> None:
    assert told(name, {}, {"nccl": {"capability": ""}}).verdict == "skip"
