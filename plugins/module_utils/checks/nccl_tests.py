# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role nccl_tests.

What the role says of itself under ``nccl_tests`` in Expected: ``programs``, names without _perf; ``capability``, the
compute capability of the node's GPU, such as 90, empty where its EC2 type is not known; ``mpi``, the folder of the MPI
that the second set of programs is built with, empty without one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Folder,
    Judgement,
    Probe,
    Readings,
    failed,
    passed,
    skipped,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.cuda import HOME, on_loaders_path

_AGAIN = "apply role nccl_tests"
_FOLDER = "/opt/nccl-tests"
_ONE = f"{_FOLDER}/bin/all_reduce_perf"
_ANEW = f"remove {_FOLDER}/built-with, and {_AGAIN}"
_NCCL = on_loaders_path("libnccl.so.2")
_FIRST = f'file=$({_NCCL.argv[2]}); file=$(echo "$file" | head -n 1); '
# texts of three numbers, whole ones: NCCL_TESTS_VERSION is a text by itself (NVIDIA/nccl-tests v2.19.6, src/util.cu)
_STATED = Command(("sh", "-c", f'tr "\\0" "\\n" <{_ONE} | grep -axE "[0-9]+[.][0-9]+[.][0-9]+"'))
_CODE = Command((f"{HOME}/bin/cuobjdump", "--list-elf", _ONE), timeout_s=120)


def _programs(readings: Readings, expected: Expected) -> Judgement:
    endings = ["_perf", *(["_perf_mpi"] if expected["nccl_tests"]["mpi"] else [])]
    wanted = [f"{name}{ending}" for ending in endings for name in expected["nccl_tests"]["programs"]]
    absent = sorted(set(wanted) - set(readings["bin"].lines))
    if absent:
        return failed(f"{_FOLDER}/bin lacks {', '.join(absent)}", _AGAIN, limit=f"{len(wanted)} programs")
    return passed(f"{len(wanted)} programs")


def _version(readings: Readings, expected: Expected) -> Judgement:
    wanted, stated = expected["versions"]["nccl_tests"], readings["stated"].lines
    if wanted not in stated:
        told = ", ".join(stated) or "no version"
        return failed(
            f"{_ONE} states {told}, not {wanted}", f"{_AGAIN} with nccl_tests_preinstalled: replace", told, wanted
        )
    return passed(wanted, wanted)


def _nccl(readings: Readings, expected: Expected) -> Judgement:
    name, found = readings["needed"].out.strip(), readings["found"].lines
    if not name:
        return failed(f"{_ONE} is not linked with libnccl", _AGAIN)
    if not found:
        return failed(f"there is no {name} on the loader's path", "apply role nccl")
    built = re.search(r"\bnccl=(\S+)", readings["note"].out)
    version = re.search(r"^NCCL version (\S+)\+cuda", readings["string"].out, re.MULTILINE)
    wanted = version[1] if version else ""
    if not built or built[1] != wanted:
        told = built[1] if built else "nobody knows which"
        return failed(
            f"they were built with NCCL {told}, the loader takes {found[0]}, which is {wanted or 'no NCCL'}",
            f"{_AGAIN} after role nccl",
            told,
            wanted,
        )
    return passed(f"{wanted}, {found[0]}", wanted)


def _code(readings: Readings, expected: Expected) -> Judgement:
    wanted = int(expected["nccl_tests"]["capability"])
    # CUDA Binary Utilities, cuobjdump: "ELF file    1: all_reduce.1.sm_90.cubin"; sm_90a is for 9.0 alone
    names = re.findall(r"\.sm_(\d+)([a-z]?)\.cubin", readings["code"].out)
    told = ", ".join(sorted({f"sm_{number}{letter}" for number, letter in names}))
    # code for X.y runs on GPUs X.z with z not below y: CUDA C++ Programming Guide, binary compatibility
    if any(
        int(number) == wanted or (not letter and int(number) // 10 == wanted // 10 and int(number) < wanted)
        for number, letter in names
    ):
        return passed(told, f"sm_{wanted}")
    return failed(f"{_ONE} has no code for sm_{wanted}, but for {told or 'nothing'}", _ANEW, told, f"sm_{wanted}")


def _mpi(readings: Readings, expected: Expected) -> Judgement:
    home = expected["nccl_tests"]["mpi"]
    if not home:
        return skipped("they are built without MPI")
    name = readings["needed"].out.strip()
    if not name:
        return failed(f"{_ONE}_mpi is not linked with libmpi", _AGAIN, limit=home)
    if name not in {*readings["lib"].lines, *readings["lib64"].lines}:
        return failed(
            f"{home} has no {name}, which {_ONE}_mpi needs", f"{_ANEW}, with an MPI in nccl_tests_mpi", "", home
        )
    return passed(f"{name} of {home}", home)


def _needed(path: str, library: str) -> Command:
    return Command(("sh", "-c", f'grep -aoE "{library}[.]so[.][0-9]+" {path} | head -n 1'))


def _mpi_probes(expected: Expected) -> Mapping[str, Probe]:
    home = expected["nccl_tests"]["mpi"]
    folders = {name: Folder(f"{home}/{name}") for name in ("lib", "lib64")}
    return {"needed": _needed(f"{_ONE}_mpi", "libmpi"), **folders} if home else {}


CHECKS = (
    Check(
        "nccl_tests.programs",
        "the programs are there",
        lambda expected: {"bin": Folder(f"{_FOLDER}/bin")},
        _programs,
        ("nccl_tests.programs",),
    ),
    Check(
        "nccl_tests.version",
        "they are of their version",
        lambda expected: {"stated": _STATED},
        _version,
        ("versions.nccl_tests",),
    ),
    Check(
        "nccl_tests.nccl",
        "they were built with the NCCL that the loader takes",
        lambda expected: {
            "needed": _needed(_ONE, "libnccl"),
            "found": _NCCL,
            "string": Command(("sh", "-c", _FIRST + 'grep -aoE "NCCL version [0-9.]+[+]cuda[0-9.]+" "$file"')),
            "note": File(f"{_FOLDER}/built-with"),
        },
        _nccl,
    ),
    Check(
        "nccl_tests.code",
        "they have code for the node's GPU",
        lambda expected: {"code": _CODE},
        _code,
        ("nccl_tests.capability",),
    ),
    Check("nccl_tests.mpi", "their MPI is there", _mpi_probes, _mpi, ("nccl_tests",)),
)
