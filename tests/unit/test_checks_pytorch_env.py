"""Checks of an environment with PyTorch, on what the probe told on a CPU with PyTorch 2.13.0, and on that changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    Probe,
    Reading,
    registry,
)

CPU: dict[str, Any] = {
    "torch": "2.13.0+cu130",
    "cuda": "13.0",
    "nccl": None,
    "architectures": ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"],
    "devices": [],
    "products": {"cpu, float32": 7.765069558636055e-09, "cpu, bfloat16": 5.1970475952781614e-05},
    "all_reduce": {"ranks": 2, "backend": "gloo", "problems": []},
}
"""Recorded on 2026-11-28."""
H100 = {"name": "NVIDIA H100 80GB HBM3", "capability": [9, 0]}
GPUS = {**CPU, "nccl": "2.29.7", "devices": [H100] * 8, "all_reduce": {"ranks": 8, "backend": "nccl", "problems": []}}
"""Reconstructed from it."""
P5: dict[str, Any] = {
    "pytorch_env": {"python": "/opt/env/bin/python"},
    "instance_type": "p5.48xlarge",
    "instance": {"accelerator": {"kind": "cuda", "count": 8, "device_names": ["NVIDIA H100 80GB HBM3"]}},
}


def said(name: str, told: Any, expected: Any = P5, status: int | None = 0) -> checks.Result:
    def read(probe: Probe) -> Reading:
        assert isinstance(probe, Command)
        assert probe.argv[0] == "/opt/env/bin/python"
        return Reading(status, json.dumps(told), "ImportError: libcudart.so.13" if status else "")

    return checks.run(registry.CHECKS[f"pytorch_env.{name}"], expected, read)


@pytest.mark.parametrize("name", ["torch", "devices", "architectures", "products", "all_reduce"])
def test_a_node_with_all_its_gpus_passes(name: str) -> None:
    assert said(name, GPUS).verdict == "pass"


@pytest.mark.parametrize(
    ("name", "changed", "reason"),
    [
        ("devices", {"devices": [H100] * 7}, "PyTorch sees 7 GPUs, not 8"),
        ("devices", {"devices": [{"name": "NVIDIA L4", "capability": [8, 9]}] * 8}, "PyTorch sees NVIDIA L4"),
        ("architectures", {"architectures": ["sm_75", "sm_80"]}, "PyTorch is not built for sm_90"),
        ("architectures", {"architectures": ["sm_100a", "compute_100a"]}, "PyTorch is not built for sm_90"),
        ("products", {"products": {"cuda:3, bfloat16": 0.01}}, "products are wrong: cuda:3, bfloat16 1.0e-02"),
        ("products", {"products": {"cuda:3, float32": float("nan")}}, "products are wrong: cuda:3, float32 nan"),
        (
            "all_reduce",
            {"all_reduce": {"ranks": 8, "backend": "nccl", "problems": ["rank 3: no answer within 120 s"]}},
            "all-reduce over 8 ranks: rank 3: no answer within 120 s",
        ),
    ],
)
def test_what_is_wrong_is_named(name: str, changed: dict[str, Any], reason: str) -> None:
    result = said(name, {**GPUS, **changed})
    assert (result.verdict, result.reason) == ("fail", reason)
    assert result.fix


@pytest.mark.parametrize(
    ("built", "verdict"),
    [
        (["sm_90"], "pass"),
        (["compute_80"], "pass"),
        (["compute_100"], "fail"),
        (["sm_90a"], "pass"),
        (["sm_80", "sm_86"], "fail"),
    ],
)
def test_code_that_runs_on_a_gpu(built: list[str], verdict: str) -> None:
    assert said("architectures", {**GPUS, "architectures": built}).verdict == verdict


def test_a_pytorch_that_does_not_run_fails_once() -> None:
    result = said("torch", {}, status=1)
    assert (result.verdict, result.reason) == (
        "fail",
        "PyTorch does not run under /opt/env/bin/python: ImportError: libcudart.so.13",
    )
    assert said("torch", {}, status=None).reason == "there is no /opt/env/bin/python"
    assert {said(name, {}, status=1).verdict for name in ("devices", "architectures", "products", "all_reduce")} == {
        "skip"
    }


def test_what_a_node_does_not_have_is_skipped() -> None:
    neuron = {**P5, "instance_type": "trn2.48xlarge", "instance": {"accelerator": {"kind": "neuron", "count": 16}}}
    assert said("devices", CPU, neuron).reason == "trn2.48xlarge has no GPUs"
    assert said("devices", CPU, {"pytorch_env": P5["pytorch_env"]}).verdict == "skip"
    assert said("architectures", CPU).verdict == "skip"
    assert {said(name, GPUS, {}).verdict for name in ("torch", "products", "all_reduce")} == {"skip"}
    assert said("all_reduce", CPU, {"pytorch_env": P5["pytorch_env"]}).value == "2 ranks, gloo"
