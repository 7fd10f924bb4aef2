"""Checks of role cuda, on what tools print."""

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

EXPECTED: dict[str, Any] = {"system": "debian12", "versions": {"cuda": "13.0.2"}}
# nvcc of CUDA 13.0: reconstructed from public issue reports
NVCC = """\
nvcc: NVIDIA (R) Cuda compiler driver
Copyright (c) 2005-2025 NVIDIA Corporation
Built on Wed_Aug_20_01:58:59_PM_PDT_2025
Cuda compilation tools, release 13.0, V13.0.88
Build cuda_13.0.r13.0/compiler.36424714_0
"""
LIBRARY = "/usr/local/cuda-13.0/targets/x86_64-linux/lib/libcudart.so.13.0.96\n"
# the check's own lines
LOGIN = "PRELOAD=\nNVCC=/usr/local/cuda/bin/nvcc\n"
HEALTHY = {
    "/usr/local/cuda/bin/nvcc": NVCC,
    "env": LOGIN,
    "readlink": "/usr/local/cuda-13.0\n",
    "sh": LIBRARY,
}


def told(
    name: str, changed: Mapping[str, str | Reading] | None = None, expected: Mapping[str, Any] = EXPECTED
) -> checks.Result:
    """What a check says of a healthy node on which some commands say something else."""
    given = {**HEALTHY, **(changed or {})}

    def read(probe: Probe) -> Reading:
        assert isinstance(probe, Command)
        answer = given[probe.argv[0]]
        return answer if isinstance(answer, Reading) else Reading(0, answer)

    return checks.run(registry.CHECKS[f"cuda.{name}"], expected, read)


@pytest.mark.parametrize(
    ("name", "value"),
    [("compiler", "13.0"), ("login", "/usr/local/cuda/bin/nvcc"), ("loader", LIBRARY.strip())],
)
def test_a_healthy_node_passes(name: str, value: str) -> None:
    result = told(name)
    assert (result.verdict, result.value) == ("pass", value)


@pytest.mark.parametrize(
    ("name", "changed", "reason", "fix"),
    [
        (
            "compiler",
            {"/usr/local/cuda/bin/nvcc": NVCC.replace("release 13.0", "release 12.9")},
            "/usr/local/cuda leads to CUDA 12.9, not 13.0",
            "apply role cuda",
        ),
        (
            "compiler",
            {"/usr/local/cuda/bin/nvcc": Reading(None)},
            "there is no /usr/local/cuda/bin/nvcc",
            "apply role cuda",
        ),
        ("compiler", {"/usr/local/cuda/bin/nvcc": Reading(-9)}, "tells no release", "apply role cuda"),
        ("login", {"env": "PRELOAD=\nNVCC=\n"}, "a login finds no nvcc, not /usr/local/cuda/bin/nvcc", "apply role"),
        ("login", {"env": "PRELOAD=\nNVCC=/usr/bin/nvcc\n"}, "a login finds /usr/bin/nvcc", "apply role cuda"),
        (
            "login",
            {"env": LOGIN.replace("PRELOAD=", "PRELOAD=/opt/nccl/build/lib/libnccl.so")},
            "logins have LD_PRELOAD=/opt/nccl/build/lib/libnccl.so",
            "/etc/profile.d",
        ),
        ("login", {"env": Reading(2, "", "sh: cannot read")}, "makes no sense", "by hand"),
        ("loader", {"sh": ""}, "there is no libcudart.so.13 on the loader's path", "apply role cuda"),
        (
            "loader",
            {"sh": f"/opt/other/libcudart.so.13\n{LIBRARY}"},
            "the loader takes /opt/other/libcudart.so.13, not that of /usr/local/cuda-13.0",
            "ldconfig",
        ),
        # a folder whose name only begins alike
        ("loader", {"readlink": "/usr/local/cuda-13\n"}, "not that of /usr/local/cuda-13", "ldconfig"),
    ],
)
def test_what_is_wrong_fails(name: str, changed: Mapping[str, str | Reading], reason: str, fix: str) -> None:
    result = told(name, changed)
    assert result.verdict == "fail"
    assert reason in result.reason
    assert fix in result.fix


@pytest.mark.parametrize("name", ["packages", "repository", "compiler", "loader"])
def test_without_knowledge_of_the_stack_it_is_skipped(name: str) -> None:
    assert told(name, {}, {}).verdict == "skip"
