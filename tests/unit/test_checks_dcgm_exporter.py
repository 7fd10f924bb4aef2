"""Checks of role dcgm_exporter, on a page of DCGM exporter 4 and docker inspect of client 28 (reconstructed)."""

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

IMAGE = f"nvcr.io/nvidia/k8s/dcgm-exporter@sha256:{'a' * 64}"
EXPECTED: dict[str, Any] = {
    "dcgm_exporter": {"listen": ":9400", "engine": "127.0.0.1:5555", "image": IMAGE},
    "instance_type": "p5.48xlarge",
    "instance": {"accelerator": {"model": "H100", "count": 2}},
}
ARGS = ["--address", ":9400", "--remote-hostengine-info", "127.0.0.1:5555", "--collectors", "/etc/dcgm-exporter/a.csv"]
UNIT = "LoadState=loaded\nActiveState={}\nSubState=running\nUnitFileState=enabled\n"
PAGE = """\
# HELP DCGM_FI_DEV_SM_CLOCK SM clock frequency (in MHz).
# TYPE DCGM_FI_DEV_SM_CLOCK gauge
DCGM_FI_DEV_SM_CLOCK{gpu="0",UUID="GPU-604ac76c",pci_bus_id="00000000:53:00.0",device="nvidia0"} 139
DCGM_FI_DEV_SM_CLOCK{gpu="1",UUID="GPU-604ac76d",pci_bus_id="00000000:64:00.0",device="nvidia1"} 139
DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-604ac76c",pci_bus_id="00000000:53:00.0",device="nvidia0"} 31
"""
REFUSED = Reading(1, "", "http://127.0.0.1:9400/metrics: <urlopen error [Errno 111] Connection refused>\n")
# own: client 28.2.2
NO_CONTAINER = Reading(1, "\n", "Error response from daemon: No such container: dcgm_exporter\n")


def container(image: str = IMAGE, args: list[str] | None = None) -> Reading:
    return Reading(0, json.dumps({"Config": {"Image": image}, "Args": ARGS if args is None else args}))


def judged(id_: str, expected: dict[str, Any] | None = None, active: str = "active", **given: Reading) -> checks.Result:
    def read(probe: Probe) -> Reading:
        assert isinstance(probe, Command)
        if probe.argv[0] == "systemctl":
            return Reading(0, UNIT.format(active))
        return given.get("docker", container()) if probe.argv[0] == "docker" else given.get("page", Reading(0, PAGE))

    return checks.run(registry.CHECKS[f"dcgm_exporter.{id_}"], EXPECTED if expected is None else expected, read)


@pytest.mark.parametrize(
    ("id_", "value"),
    [("service", "active, enabled"), ("image", IMAGE), ("engine", "127.0.0.1:5555"), ("gpus", "2")],
)
def test_a_healthy_node_passes(id_: str, value: str) -> None:
    result = judged(id_)
    assert (result.verdict, result.value) == ("pass", value)


def test_a_service_that_does_not_run_fails() -> None:
    assert judged("service", active="failed").verdict == "fail"


@pytest.mark.parametrize("id_", ["image", "engine"])
def test_without_a_container_it_fails(id_: str) -> None:
    result = judged(id_, docker=NO_CONTAINER)
    assert result.verdict == "fail"
    assert result.reason == "no container: Error response from daemon: No such container: dcgm_exporter"


@pytest.mark.parametrize("image", [IMAGE.replace("a" * 64, "b" * 64), "nvcr.io/nvidia/k8s/dcgm-exporter:4.6.1-4.8.4"])
def test_another_image_fails(image: str) -> None:
    result = judged("image", docker=container(image))
    assert (result.verdict, result.value, result.limit) == ("fail", image, IMAGE)


@pytest.mark.parametrize(
    ("args", "said"),
    [(["--address", ":9400"], "an engine of its own"), ([*ARGS[:3], "10.0.0.9:5555"], "10.0.0.9:5555")],
)
def test_a_second_engine_fails(args: list[str], said: str) -> None:
    result = judged("engine", docker=container(args=args))
    assert (result.verdict, result.value) == ("fail", said)


def test_an_engine_of_the_node_that_does_not_run_fails() -> None:
    result = judged("engine", active="inactive")
    assert (result.verdict, result.reason, result.fix) == ("fail", "nvidia-dcgm is inactive", "apply role dcgm")


def test_an_engine_elsewhere_is_not_looked_for_here() -> None:
    expected = {"dcgm_exporter": {"engine": "10.0.0.9:5555"}}
    result = judged("engine", expected, active="inactive", docker=container(args=[*ARGS[:3], "10.0.0.9:5555"]))
    assert result.verdict == "pass"


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Reading(0, PAGE.replace('gpu="1"', 'gpu="0"')), "the page has 1 GPUs, not 2"),
        (Reading(0, PAGE + PAGE.replace('gpu="1"', 'gpu="2"')), "the page has 3 GPUs, not 2"),
        (Reading(0, 'node_load1{gpu="0"} 1\n'), "the page has no GPU"),
        (REFUSED, "no page: http://127.0.0.1:9400/metrics: <urlopen error [Errno 111] Connection refused>"),
    ],
)
def test_a_page_without_every_gpu_fails(page: Reading, reason: str) -> None:
    result = judged("gpus", page=page)
    assert (result.verdict, result.reason) == ("fail", reason)


@pytest.mark.parametrize(
    "instance",
    [{}, {"instance_type": "trn1.2xlarge", "instance": {"accelerator": {"model": "Trainium", "count": 1}}}],
)
def test_where_the_number_of_gpus_is_not_known_it_is_skipped(instance: dict[str, Any]) -> None:
    assert judged("gpus", {"dcgm_exporter": EXPECTED["dcgm_exporter"], **instance}).verdict == "skip"


def test_a_kept_version_has_no_digest_to_hold_it_to() -> None:
    assert judged("image", {"dcgm_exporter": {"listen": ":9400", "engine": "127.0.0.1:5555"}}).verdict == "skip"


@pytest.mark.parametrize("id_", ["image", "engine", "gpus"])
def test_without_what_the_role_says_it_is_skipped(id_: str) -> None:
    assert judged(id_, {}).verdict == "skip"
