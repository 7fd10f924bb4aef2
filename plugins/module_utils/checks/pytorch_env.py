# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of a Python environment with PyTorch: versions, GPUs, a product and an all-reduce that are really computed.

Under ``pytorch_env`` in Expected: ``python``, the environment's interpreter.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    Judgement,
    Probe,
    Reading,
    Readings,
    failed,
    passed,
    pytorch_probe,
    skipped,
)

TIMEOUT_S = 300.0

LIMITS = {"float32": 1024 * 2.0**-24, "bfloat16": 2.0**-8}
"""Of a product's error over the norms of its factors. float32: n u with n = 1,024 and u = 2^-24, the bound of N.
Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.5. bfloat16: its u, for the result is
rounded to it after a sum in float32. A wrong result of matrices of random numbers is off by 1 / sqrt(n) = 0.03.
"""


def _read(expected: Expected) -> Mapping[str, Probe]:
    words = (expected["pytorch_env"]["python"], "-c", inspect.getsource(pytorch_probe))
    return {"probe": Command(words, timeout_s=TIMEOUT_S, may_lack=True)}


def _found(reading: Reading) -> dict[str, Any]:
    """What the probe told; empty where it did not end well."""
    line = next((line for line in reversed(reading.lines) if line.startswith("{")), "")
    return dict(json.loads(line)) if reading.status == 0 and line else {}


def _torch(readings: Readings, expected: Expected) -> Judgement:
    reading, python = readings["probe"], expected["pytorch_env"]["python"]
    if not reading.there:
        return failed(f"there is no {python}", "give the interpreter of an environment with PyTorch", python)
    found = _found(reading)
    if not found:
        said = (reading.err.strip().splitlines() or ["no reason is told"])[-1]
        return failed(f"PyTorch does not run under {python}: {said[:200]}", f"{python} -c 'import torch'")
    about = [f"CUDA {found['cuda']}" if found["cuda"] else "no CUDA", f"NCCL {found['nccl']}" if found["nccl"] else ""]
    return passed(found["torch"], reason=", ".join(filter(None, about)))


def _devices(readings: Readings, expected: Expected) -> Judgement:
    found = _found(readings["probe"])
    if not found:
        return skipped("PyTorch does not run: see pytorch_env.torch")
    accelerator = expected["instance"]["accelerator"]
    if accelerator["kind"] != "cuda":
        return skipped(f"{expected['instance_type']} has no GPUs")
    count, names = len(found["devices"]), sorted({one["name"] for one in found["devices"]})
    wanted = accelerator["count"]
    if count != wanted:
        fix = "see check gpu.count; CUDA_VISIBLE_DEVICES; a PyTorch that is built for CUDA"
        return failed(f"PyTorch sees {count} GPUs, not {wanted}", fix, count, wanted, "GPUs")
    other = [name for name in names if name not in accelerator["device_names"]]
    if other:
        return failed(f"PyTorch sees {', '.join(other)}", "see check gpu.product", ", ".join(names))
    return passed(count, wanted, ", ".join(names), "GPUs")


def _architectures(readings: Readings, expected: Expected) -> Judgement:
    found = _found(readings["probe"])
    if not found or not found["devices"]:
        return skipped("PyTorch sees no GPU: see pytorch_env.torch and pytorch_env.devices")
    built = found["architectures"]
    absent = sorted({_sm(one["capability"]) for one in found["devices"] if not _covered(one["capability"], built)})
    if absent:
        fix = "a PyTorch that is built for these GPUs"
        return failed(f"PyTorch is not built for {', '.join(absent)}", fix, ", ".join(built), ", ".join(absent))
    return passed(", ".join(built))


def _sm(capability: list[int]) -> str:
    return f"sm_{capability[0]}{capability[1]}"


def _covered(capability: list[int], built: list[str]) -> bool:
    """Code for a capability runs on the same major one with an equal or higher minor; PTX on anything newer.

    NVIDIA, CUDA C++ Programming Guide, "Binary Compatibility" and "PTX Compatibility".
    """
    major, minor = capability
    for name in built:
        kind, _, digits = name.rstrip("af").partition("_")
        one = (int(digits[:-1]), int(digits[-1]))
        if name[-1] in "af":
            runs = one == (major, minor)
        else:
            runs = one <= (major, minor) if kind == "compute" else one[0] == major and one[1] <= minor
        if runs:
            return True
    return False


def _products(readings: Readings, expected: Expected) -> Judgement:
    found = _found(readings["probe"])
    if not found:
        return skipped("PyTorch does not run: see pytorch_env.torch")
    over = [
        f"{name} {error:.1e}" for name, error in found["products"].items() if not error <= LIMITS[name.split(", ")[1]]
    ]
    worst = max(found["products"].values())
    limits = ", ".join(f"{name} {limit:.1e}" for name, limit in LIMITS.items())
    if over:
        return failed(f"products are wrong: {', '.join(over)}", "take the node out; dcgmi diag -r 3", worst, limits)
    return passed(f"{worst:.1e}", limits, f"{len(found['products'])} products")


def _all_reduce(readings: Readings, expected: Expected) -> Judgement:
    found = _found(readings["probe"])
    if not found:
        return skipped("PyTorch does not run: see pytorch_env.torch")
    told = found["all_reduce"]
    if told["problems"]:
        fix = "NCCL_DEBUG=INFO shows where it stops; see checks gpu, nvlink and nvidia_fabricmanager"
        return failed(f"all-reduce over {told['ranks']} ranks: {'; '.join(told['problems'])[:300]}", fix)
    return passed(f"{told['ranks']} ranks, {told['backend']}")


_NEEDS = ("pytorch_env.python",)
CHECKS = (
    Check("pytorch_env.torch", "PyTorch runs", _read, _torch, _NEEDS),
    Check(
        "pytorch_env.devices",
        "PyTorch sees the GPUs of the EC2 type",
        _read,
        _devices,
        (*_NEEDS, "instance.accelerator", "instance_type"),
    ),
    Check("pytorch_env.architectures", "PyTorch has code for the GPUs", _read, _architectures, _NEEDS),
    Check("pytorch_env.products", "matrix products on every device are right", _read, _products, _NEEDS),
    Check("pytorch_env.all_reduce", "a sum over all of the node's GPUs is right", _read, _all_reduce, _NEEDS),
)
