"""Checks of role aws_ofi_nccl, on what tools print."""

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

EXPECTED: dict[str, Any] = {"versions": {"aws_ofi_nccl": "1.21.1"}}
FOLDER = "/opt/aws-ofi-nccl/1.21.1/lib"
PLUGINS = f"{FOLDER}/libnccl-net.so\n{FOLDER}/libnccl-net-ofi.so\n"
# aws-ofi-nccl 1.21.1: reconstructed from its src/nccl_ofi_net.cpp and m4/check_pkg_libfabric.m4
TEXT = "libfabric.so.1\nInitializing aws-ofi-nccl 1.21.1\n"
LIBFABRIC = "/opt/amazon/efa/lib/libfabric.so.1.31.0\n"
HEALTHY = {"plugins": PLUGINS, "text": TEXT, "libfabric": LIBFABRIC}


def told(
    name: str, changed: Mapping[str, str | Reading] | None = None, expected: Mapping[str, Any] = EXPECTED
) -> checks.Result:
    """What a check says of a healthy node on which some readings are others."""
    given = {**HEALTHY, **(changed or {})}

    def read(probe: Probe) -> Reading:
        assert isinstance(probe, Command)
        text = probe.argv[-1]
        kind = "text" if "grep" in text else "plugins" if "libnccl-net*" in text else "libfabric"
        answer = given[kind]
        return answer if isinstance(answer, Reading) else Reading(0, answer)

    return checks.run(registry.CHECKS[f"aws_ofi_nccl.{name}"], expected, read)


@pytest.mark.parametrize(("name", "value"), [("one", FOLDER), ("version", "1.21.1"), ("libfabric", LIBFABRIC.strip())])
def test_a_healthy_node_passes(name: str, value: str) -> None:
    result = told(name)
    assert (result.verdict, result.value) == ("pass", value)


@pytest.mark.parametrize(
    ("name", "changed", "reason", "fix"),
    [
        ("one", {"plugins": ""}, "no NCCL plugin is on the loader's path", "apply role aws_ofi_nccl"),
        (
            "one",
            {"plugins": f"{PLUGINS}/opt/amazon/ofi-nccl/lib/libnccl-net.so\n"},
            f"NCCL plugins in /opt/amazon/ofi-nccl/lib and {FOLDER} are both",
            "ldconfig",
        ),
        ("version", {"text": TEXT.replace("1.21.1", "1.7.4")}, "the plugin is 1.7.4, not 1.21.1", "replace"),
        ("version", {"text": Reading(1)}, "no libnccl-net.so on the loader's path says that", "apply role"),
        ("libfabric", {"text": "Initializing aws-ofi-nccl 1.21.1\n"}, "is not linked with libfabric", "apply role"),
        ("libfabric", {"libfabric": ""}, "there is no libfabric.so.1 on the loader's path", "apply role efa"),
        (
            "libfabric",
            {"libfabric": f"/usr/local/lib/libfabric.so.1.18.0\n{LIBFABRIC}"},
            "the loader takes /usr/local/lib/libfabric.so.1.18.0, not the libfabric of the EFA installer",
            "ldconfig",
        ),
    ],
)
def test_what_is_wrong_fails(name: str, changed: Mapping[str, str | Reading], reason: str, fix: str) -> None:
    result = told(name, changed)
    assert result.verdict == "fail"
    assert reason in result.reason
    assert fix in result.fix


def test_without_a_version_to_hold_it_to_it_is_skipped() -> None:
    assert told("version", {}, {}).verdict == "skip"
