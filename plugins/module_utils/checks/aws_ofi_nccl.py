# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role aws_ofi_nccl."""

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
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.cuda import on_loaders_path

_AGAIN = "apply role aws_ofi_nccl"
_LIBFABRIC = "/opt/amazon/efa/"
_PLUGINS = on_loaders_path("libnccl-net*.so*")
# what NCCL looks for without NCCL_NET_PLUGIN: aws/aws-ofi-nccl v1.21.1, src/Makefile.am
_FOUND = on_loaders_path("libnccl-net.so")
_FIRST = f'file=$({_FOUND.argv[2]}); file=$(echo "$file" | head -n 1); '
# "Initializing aws-ofi-nccl 1.21.1", of src/nccl_ofi_net.cpp, and the library that the plugin is linked with
_TEXT = Command(("sh", "-c", _FIRST + 'grep -aoE "Initializing aws-ofi-nccl [0-9.]+|libfabric[.]so[.][0-9]+" "$file"'))


def _one(readings: Readings, expected: Expected) -> Judgement:
    folders = sorted({line.rpartition("/")[0] for line in readings["plugins"].lines})
    told = ", ".join(folders)
    if not folders:
        return failed("no NCCL plugin is on the loader's path", _AGAIN, "", "one folder")
    if len(folders) > 1:
        return failed(
            f"NCCL plugins in {' and '.join(folders)} are both on the loader's path",
            "remove one of them from /etc/ld.so.conf.d, and run ldconfig",
            told,
            "one folder",
        )
    return passed(told, "one folder")


def _version(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["versions"]["aws_ofi_nccl"]
    match = re.search(r"^Initializing aws-ofi-nccl (\S+)$", readings["text"].out, re.MULTILINE)
    if not match:
        return failed("no libnccl-net.so on the loader's path says that it is aws-ofi-nccl", _AGAIN, "", wanted)
    return common.judge_version(match[1], wanted, "the plugin is {}", "aws_ofi_nccl")


def _libfabric(readings: Readings, expected: Expected) -> Judgement:
    name = next((line for line in readings["text"].lines if line.startswith("libfabric.so.")), "")
    found = [line for line in readings["libfabric"].lines if line.rpartition("/")[2].startswith(name)]
    if not name:
        return failed("the plugin is not linked with libfabric", _AGAIN, "", _LIBFABRIC)
    if not found:
        return failed(f"there is no {name} on the loader's path", "apply role efa", "", _LIBFABRIC)
    if not found[0].startswith(_LIBFABRIC):
        return failed(
            f"the loader takes {found[0]}, not the libfabric of the EFA installer",
            "remove its folder from /etc/ld.so.conf.d, and run ldconfig",
            found[0],
            _LIBFABRIC,
        )
    return passed(found[0], _LIBFABRIC)


CHECKS = (
    Check(
        "aws_ofi_nccl.one",
        "one NCCL plugin alone is on the loader's path",
        lambda expected: {"plugins": _PLUGINS},
        _one,
    ),
    Check(
        "aws_ofi_nccl.version",
        "the plugin that NCCL finds is aws-ofi-nccl at its version",
        lambda expected: {"text": _TEXT},
        _version,
        ("versions.aws_ofi_nccl",),
    ),
    Check(
        "aws_ofi_nccl.libfabric",
        "the plugin's libfabric is the EFA installer's",
        lambda expected: {"text": _TEXT, "libfabric": on_loaders_path("libfabric.so.1")},
        _libfabric,
    ),
)
