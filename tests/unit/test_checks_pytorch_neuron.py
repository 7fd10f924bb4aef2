"""Checks of role pytorch_neuron, on pip freeze of pip 23.0.1 (own; Debian 12) and a lock file as uv writes it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    File,
    Folder,
    Probe,
    Reading,
    registry,
)

EXPECTED: dict[str, Any] = {"versions": {"pytorch_neuron": "2.9.0.2.13.24727"}}
LOCK = f"""\
# made by uv pip compile --generate-hashes
torch==2.9.0 \\
    --hash=sha256:{"1" * 64}
    # via torch-neuronx
torch-neuronx==2.9.0.2.13.24727+8e870898 \\
    --hash=sha256:{"2" * 64}
typing_extensions==4.15.0 \\
    --hash=sha256:{"3" * 64}
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:{"4" * 64}
"""
FROZEN = """\
pip==23.0.1
setuptools==66.1.1
torch==2.9.0
torch-neuronx==2.9.0.2.13.24727+8e870898
typing_extensions==4.15.0
"""
HEALTHY = {
    "lock": Reading(0, LOCK),
    "freeze": Reading(0, FROZEN),
    "runuser": Reading(0),
    "find": Reading(0),
}


def judged(id_: str, expected: Any = EXPECTED, **changed: Reading) -> checks.Result:
    given = {**HEALTHY, **changed}

    def read(probe: Probe) -> Reading:
        assert not isinstance(probe, Folder)
        if isinstance(probe, File):
            return given["lock"]
        return given["freeze" if "freeze" in probe.argv else probe.argv[0]]

    return checks.run(registry.CHECKS[f"pytorch_neuron.{id_}"], expected, read)


@pytest.mark.parametrize(
    ("id_", "value"),
    [
        ("packages", "torch-neuronx 2.9.0.2.13.24727+8e870898, 3 packages"),
        ("import", "torch, torch_neuronx"),
        ("owner", "root"),
    ],
)
def test_a_healthy_node_passes(id_: str, value: str) -> None:
    result = judged(id_)
    assert (result.verdict, result.value) == ("pass", value)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"lock": Reading(None)}, "/opt/adt/pytorch-neuron is not complete"),
        ({"freeze": Reading(None)}, "/opt/adt/pytorch-neuron/bin/python does not run"),
        (
            {"freeze": Reading(0, FROZEN.replace("24727", "1"))},
            "torch-neuronx is 2.9.0.2.13.1+8e870898, not 2.9.0.2.13.24727",
        ),
        ({"freeze": Reading(0, "pip==23.0.1\n")}, "torch-neuronx is none, not 2.9.0.2.13.24727"),
        ({"freeze": Reading(0, FROZEN.replace("torch==2.9.0", "torch==2.9.1"))}, "torch 2.9.1, not 2.9.0"),
        (
            {"freeze": Reading(0, FROZEN.replace("typing_extensions==4.15.0\n", ""))},
            "typing-extensions none, not 4.15.0",
        ),
    ],
)
def test_packages_other_than_those_of_the_lock_fail(changed: dict[str, Reading], reason: str) -> None:
    result = judged("packages", **changed)
    assert (result.verdict, result.reason) == ("fail", reason)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Reading(1, "", "Traceback (most recent call last):\nModuleNotFoundError: No module named 'torch'\n"),
            "ModuleNotFoundError: No module named 'torch'",
        ),
        (Reading(-11), "status -11"),
    ],
)
def test_what_a_user_cannot_import_fails(answer: Reading, said: str) -> None:
    result = judged("import", runuser=answer)
    assert (result.verdict, result.reason) == ("fail", f"a user cannot import torch and torch_neuronx: {said}")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            Reading(0, "/opt/adt/pytorch-neuron/lib\n"),
            "others than root may change /opt/adt/pytorch-neuron/lib",
        ),
        (Reading(1, "", "find: '/opt/adt/pytorch-neuron': No such file"), "there is no /opt/adt/pytorch-neuron"),
    ],
)
def test_what_others_may_change_fails(answer: Reading, reason: str) -> None:
    result = judged("owner", find=answer)
    assert (result.verdict, result.reason) == ("fail", reason)


def test_without_a_version_to_hold_it_to_it_is_skipped() -> None:
    assert judged("packages", {}).verdict == "skip"
