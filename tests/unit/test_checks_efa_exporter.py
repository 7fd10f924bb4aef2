"""Checks of role efa_exporter, on pages of its exporter (own) and of the EFA node exporter (recorded, shortened)."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    Folder,
    Probe,
    Reading,
    registry,
)

EXPECTED: dict[str, Any] = {"efa_exporter": {"listen": ":9109", "devices": "/sys/class/infiniband"}}
UNIT = "LoadState=loaded\nActiveState={}\nSubState=running\nUnitFileState=enabled\n"
PAGE = """\
# TYPE node_amazonefa_info gauge
node_amazonefa_info{device="rdmap16s27"} 1
node_amazonefa_info{device="rdmap32s27"} 1
# TYPE node_amazonefa_tx_bytes counter
node_amazonefa_tx_bytes{device="rdmap16s27",port="1"} 1047394519620
node_amazonefa_tx_bytes{device="rdmap32s27",port="1"} 1047394519620
# TYPE node_scrape_collector_success gauge
node_scrape_collector_success{collector="amazonefa"} 1
"""
# recorded: awslabs/awsome-distributed-ai 3.efa-node-exporter, its page for EKS
OTHERS = """\
# TYPE node_amazonefa_tx_bytes counter
node_amazonefa_tx_bytes{device="rdmap16s27",port="1"} 1.047398149094e+12
node_amazonefa_tx_bytes{device="rdmap32s27",port="1"} 1.04737632876e+12
node_scrape_collector_duration_seconds{collector="amazonefa"} 0.016049024
node_scrape_collector_success{collector="amazonefa"} 1
"""
REFUSED = Reading(1, "", "http://127.0.0.1:9109/metrics: <urlopen error [Errno 111] Connection refused>\n")
TWO = Reading(0, "rdmap16s27\nrdmap32s27\n")


def judged(
    id_: str, page: str | Reading = PAGE, devices: Reading = TWO, active: str = "active", expected: Any = EXPECTED
) -> checks.Result:
    def read(probe: Probe) -> Reading:
        if isinstance(probe, Folder):
            assert probe.path == "/sys/class/infiniband"
            return devices
        assert isinstance(probe, Command)
        if probe.argv[0] == "systemctl":
            return Reading(0, UNIT.format(active))
        return page if isinstance(page, Reading) else Reading(0, page)

    return checks.run(registry.CHECKS[f"efa_exporter.{id_}"], expected, read)


@pytest.mark.parametrize("page", [PAGE, OTHERS])
@pytest.mark.parametrize(("id_", "value"), [("service", "active, enabled"), ("counters", "1"), ("devices", "2")])
def test_a_healthy_node_passes(id_: str, value: str, page: str) -> None:
    result = judged(id_, page)
    assert (result.verdict, result.value) == ("pass", value)


def test_a_service_that_does_not_run_fails() -> None:
    assert judged("service", active="failed").verdict == "fail"


@pytest.mark.parametrize("id_", ["counters", "devices"])
def test_a_page_that_does_not_answer_fails(id_: str) -> None:
    result = judged(id_, REFUSED)
    assert result.verdict == "fail"
    assert "Connection refused" in result.reason


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (PAGE.replace('"amazonefa"} 1', '"amazonefa"} 0'), "a counter cannot be read"),
        ("node_load1 1\n", "the page is not that of efa_exporter"),
    ],
)
def test_counters_that_are_missing_fail(page: str, reason: str) -> None:
    result = judged("counters", page)
    assert (result.verdict, result.reason) == ("fail", reason)


@pytest.mark.parametrize(
    ("devices", "reason"),
    [
        ("rdmap16s27\nrdmap32s27\nrdmap48s27\n", "no counters of rdmap48s27"),
        ("rdmap16s27\n", "rdmap32s27 is no device"),
        ("rdmap16s27\nrdmap48s27\n", "no counters of rdmap48s27; rdmap32s27 is no device"),
    ],
)
def test_devices_other_than_the_kernels_fail(devices: str, reason: str) -> None:
    result = judged("devices", devices=Reading(0, devices))
    assert (result.verdict, result.reason) == ("fail", reason)


def test_a_device_that_is_named_without_a_counter_fails() -> None:
    result = judged(
        "devices", PAGE.replace('node_amazonefa_tx_bytes{device="rdmap32s27",port="1"} 1047394519620\n', "")
    )
    assert (result.verdict, result.reason) == ("fail", "no counters of rdmap32s27")


@pytest.mark.parametrize("devices", [Reading(None), Reading(0, "")])
def test_a_node_without_devices_is_skipped(devices: Reading) -> None:
    result = judged("devices", devices=devices)
    assert (result.verdict, result.reason) == ("skip", "the node has no RDMA devices")


@pytest.mark.parametrize("id_", ["counters", "devices"])
def test_without_an_address_it_is_skipped(id_: str) -> None:
    assert judged(id_, expected={}).verdict == "skip"
