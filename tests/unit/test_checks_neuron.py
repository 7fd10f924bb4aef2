"""Checks of role neuron. modinfo: own (kmod 30, Debian 12). neuron-ls: reconstructed (Neuron LS User Guide)."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    File,
    Probe,
    Reading,
    registry,
)

EXPECTED: dict[str, Any] = {
    "system": "ubuntu2204",
    "versions": {"neuron_dkms": "2.29.0.0"},
    "packages": {"neuron": {"aws-neuronx-dkms": "2.29.0.0", "aws-neuronx-tools": "2.31.13.0*"}},
    "instance_type": "trn1.32xlarge",
    "instance": {"accelerator": {"model": "Trainium", "count": 16}},
}
HEAD = """\
instance-type: trn1.32xlarge
instance-id: i-00000000000000001
+--------+--------+--------+---------------+---------+-------+--------------------------+---------+
| NEURON | NEURON | NEURON |   CONNECTED   |   PCI   |  PID  |         COMMAND          | RUNTIME |
| DEVICE | CORES  | MEMORY |    DEVICES    |   BDF   |       |                          | VERSION |
+--------+--------+--------+---------------+---------+-------+--------------------------+---------+
"""
# the second row of the first device is another process that uses it
ROW = "| {:<6} | 2      | 32 GB  | 12, 3, 4, 1   | 10:1b.0 | 23518 | torchrun                 | 2.33.10 |\n"
PROCESS = "|        |        |        |               |         | 23531 | torchrun                 | 2.33.10 |\n"
TABLE = HEAD + ROW.format(0) + PROCESS + "".join(ROW.format(number) for number in range(1, 16))
PACKAGES = "aws-neuronx-dkms\t2.29.0.0\tii \naws-neuronx-tools\t2.31.13.0+ab12\tii \n"
HEALTHY = {
    "dpkg-query": Reading(0, PACKAGES),
    "modinfo": Reading(0, "2.29.0.0\n"),
    "/sys/module/neuron/version": Reading(0, "2.29.0.0\n"),
    "/opt/aws/neuron/bin/neuron-ls": Reading(0, TABLE),
    "sh": Reading(0, "/opt/aws/neuron/bin/neuron-ls\n"),
}
NO_MODULE = Reading(1, "", "modinfo: ERROR: Module neuron not found.\n")


def judged(id_: str, expected: Any = EXPECTED, **changed: Reading) -> checks.Result:
    named = {"modinfo": "modinfo", "loaded": "/sys/module/neuron/version", "list": "/opt/aws/neuron/bin/neuron-ls"}
    given = {**HEALTHY, **{named.get(name, name): reading for name, reading in changed.items()}}

    def read(probe: Probe) -> Reading:
        assert isinstance(probe, (Command, File))
        return given[probe.argv[0] if isinstance(probe, Command) else probe.path]

    return checks.run(registry.CHECKS[f"neuron.{id_}"], expected, read)


@pytest.mark.parametrize(
    ("id_", "value"),
    [
        ("packages", "aws-neuronx-dkms 2.29.0.0, aws-neuronx-tools 2.31.13.0+ab12"),
        ("module", "2.29.0.0, loaded"),
        ("devices", "16"),
        ("path", "/opt/aws/neuron/bin/neuron-ls"),
    ],
)
def test_a_healthy_node_passes(id_: str, value: str) -> None:
    result = judged(id_)
    assert (result.verdict, result.value) == ("pass", value)


def test_a_module_that_is_not_loaded_yet_passes() -> None:
    result = judged("module", loaded=Reading(None))
    assert (result.verdict, result.value) == ("pass", "2.29.0.0")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"modinfo": NO_MODULE}, "there is no module neuron for the running kernel"),
        ({"modinfo": Reading(0, "\n")}, "there is no module neuron for the running kernel"),
        ({"modinfo": Reading(0, "2.28.0.0\n")}, "module neuron is 2.28.0.0, not 2.29.0.0"),
        ({"loaded": Reading(0, "2.28.0.0\n")}, "module neuron 2.28.0.0 is loaded, not 2.29.0.0"),
    ],
)
def test_a_module_of_another_version_fails(changed: dict[str, Reading], reason: str) -> None:
    result = judged("module", **changed)
    assert (result.verdict, result.reason) == ("fail", reason)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Reading(0, HEAD + ROW.format(0) + PROCESS), "neuron-ls shows 1 devices, not 16"),
        (Reading(0, TABLE + ROW.format(16)), "neuron-ls shows 17 devices, not 16"),
        (Reading(1, "", "no driver\n"), "neuron-ls: no driver"),
        (Reading(124), "neuron-ls: status 124"),
    ],
)
def test_devices_other_than_those_of_the_type_fail(answer: Reading, reason: str) -> None:
    result = judged("devices", list=answer)
    assert (result.verdict, result.reason, result.unit) == ("fail", reason, "devices")


def test_a_login_that_does_not_find_the_tools_fails() -> None:
    assert judged("path", sh=Reading(127)).verdict == "fail"


def test_a_package_of_another_sdk_fails() -> None:
    assert judged("packages", **{"dpkg-query": Reading(0, PACKAGES.replace("2.31", "2.30"))}).verdict == "fail"


@pytest.mark.parametrize(
    "instance", [{"accelerator": {"model": "H100", "count": 8}}, {"accelerator": None}, {"vcpus": 4}]
)
def test_a_type_without_neuron_devices_is_skipped(instance: dict[str, Any]) -> None:
    result = judged("devices", {**EXPECTED, "instance_type": "p5.48xlarge", "instance": instance})
    assert (result.verdict, result.reason) == ("skip", "p5.48xlarge has no Neuron devices")


@pytest.mark.parametrize("id_", ["packages", "module", "devices", "repository_dkms", "repository_tools"])
def test_without_what_it_is_held_to_it_is_skipped(id_: str) -> None:
    assert judged(id_, {"system": "ubuntu2204"}).verdict == "skip"
