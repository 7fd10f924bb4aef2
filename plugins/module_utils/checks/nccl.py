# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role nccl.

What the role says of itself under ``nccl`` in Expected: ``capability``, the compute capability of the node's GPU, such
as 90; empty where its EC2 type is not known.
"""

from __future__ import annotations

import re

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    Judgement,
    Readings,
    common,
    failed,
    passed,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.cuda import (
    HOME,
    NVCC,
    on_loaders_path,
    release,
)

_AGAIN = "apply role nccl"
_FOUND = on_loaders_path("libnccl.so.2")
_FIRST = f'file=$({_FOUND.argv[2]}); file=$(echo "$file" | head -n 1); '
# NVIDIA/nccl src/init.cc, VERSION_STRING: "NCCL version 2.30.7+cuda13.0"
_STRING = Command(("sh", "-c", _FIRST + 'grep -aoE "NCCL version [0-9.]+[+]cuda[0-9.]+" "$file"'))
_CODE = Command(("sh", "-c", f'{_FIRST}{HOME}/bin/cuobjdump --list-elf "$file"'), timeout_s=120)


def _library(readings: Readings, expected: Expected) -> Judgement:
    wanted, files = expected["versions"]["nccl"], readings["found"].lines
    if not files:
        return failed("there is no libnccl.so.2 on the loader's path", _AGAIN, "", wanted)
    version = _versions(readings)[0]
    if not version:
        return failed(f"{files[0]} states no version of NCCL", _AGAIN, "", wanted)
    if version != wanted:
        return failed(
            f"the loader takes {files[0]}, which is NCCL {version}, not {wanted}",
            f"{_AGAIN} with nccl_preinstalled: replace",
            version,
            wanted,
        )
    return passed(f"{version}, {files[0]}", wanted)


def _cuda(readings: Readings, expected: Expected) -> Judgement:
    found, wanted = _versions(readings)[1], release(readings["nvcc"])
    if not found or not wanted:
        told = "the library" if not found else f"{HOME}/bin/nvcc"
        return failed(f"{told} tells no version of CUDA", f"apply role {'cuda' if found else 'nccl'}", found, wanted)
    if found.partition(".")[0] != wanted.partition(".")[0]:
        return failed(f"NCCL is built for CUDA {found}, the toolkit is {wanted}", _AGAIN, found, wanted)
    return passed(found, wanted)


def _code(readings: Readings, expected: Expected) -> Judgement:
    wanted = int(expected["nccl"]["capability"])
    # CUDA Binary Utilities, cuobjdump: "ELF file    1: libnccl.1.sm_90.cubin"; sm_90a is for 9.0 alone
    names = re.findall(r"\.sm_(\d+)([a-z]?)\.cubin", readings["code"].out)
    told = ", ".join(sorted({f"sm_{number}{letter}" for number, letter in names}))
    # code for X.y runs on GPUs X.z with z not below y: CUDA C++ Programming Guide, binary compatibility
    if any(
        int(number) == wanted or (not letter and int(number) // 10 == wanted // 10 and int(number) < wanted)
        for number, letter in names
    ):
        return passed(told, f"sm_{wanted}")
    return failed(
        f"NCCL has no code for sm_{wanted}, but for {told or 'nothing'}",
        f"remove its folder below /opt/nccl, and {_AGAIN}",
        told,
        f"sm_{wanted}",
    )


def _versions(readings: Readings) -> tuple[str, str]:
    match = re.search(r"^NCCL version (\S+)\+cuda(\S+)$", readings["string"].out, re.MULTILINE)
    return (match[1], match[2]) if match else ("", "")


CHECKS = (
    common.packages("nccl", "nccl"),
    common.repository("nccl", "nccl"),
    Check(
        "nccl.library",
        "the loader takes NCCL at its version",
        lambda expected: {"found": _FOUND, "string": _STRING},
        _library,
        ("versions.nccl",),
    ),
    Check(
        "nccl.cuda",
        "NCCL is built for the toolkit's CUDA",
        lambda expected: {"string": _STRING, "nvcc": NVCC},
        _cuda,
    ),
    Check(
        "nccl.code",
        "NCCL has code for the node's GPU",
        lambda expected: {"code": _CODE},
        _code,
        ("nccl.capability",),
    ),
)
