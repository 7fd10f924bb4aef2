"""Checks of role node_exporter, on pages in the form of node_exporter 1.7 (reconstructed from public ones)."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    Probe,
    Reading,
    registry,
)

EXPECTED: dict[str, Any] = {
    "versions": {"node_exporter": "1.12.1"},
    "node_exporter": {"listen": "10.0.0.5:9100", "textfile_dir": "/var/lib/metrics"},
}
UNIT = "LoadState=loaded\nActiveState={}\nSubState=running\nUnitFileState={}\n"
PAGE = """\
# HELP node_exporter_build_info A metric with a constant '1' value labeled by version, revision, branch, goversion.
# TYPE node_exporter_build_info gauge
node_exporter_build_info{branch="HEAD",goarch="amd64",goos="linux",version="1.12.1"} 1
# HELP node_textfile_scrape_error 1 if there was an error opening or reading a file, 0 otherwise
# TYPE node_textfile_scrape_error gauge
node_textfile_scrape_error 0
"""
REFUSED = Reading(1, "", "http://10.0.0.5:9100/metrics: <urlopen error [Errno 111] Connection refused>\n")


def judged(
    id_: str, page: Reading | None = None, unit: Reading | None = None, expected: Any = EXPECTED
) -> checks.Result:
    def read(probe: Probe) -> Reading:
        assert isinstance(probe, Command)
        if probe.argv[0] == "systemctl":
            return unit or Reading(0, UNIT.format("active", "enabled"))
        assert probe.argv[-1] == "http://10.0.0.5:9100/metrics"
        return page or Reading(0, PAGE)

    return checks.run(registry.CHECKS[f"node_exporter.{id_}"], expected, read)


@pytest.mark.parametrize(("id_", "value"), [("service", "active, enabled"), ("version", "1.12.1"), ("textfile", "0")])
def test_a_healthy_node_passes(id_: str, value: str) -> None:
    result = judged(id_)
    assert (result.verdict, result.value) == ("pass", value)


@pytest.mark.parametrize(("state", "boot"), [("failed", "enabled"), ("active", "disabled")])
def test_a_service_that_does_not_run_now_and_at_boot_fails(state: str, boot: str) -> None:
    assert judged("service", unit=Reading(0, UNIT.format(state, boot))).verdict == "fail"


@pytest.mark.parametrize("id_", ["version", "textfile"])
def test_a_page_that_does_not_answer_fails(id_: str) -> None:
    result = judged(id_, REFUSED)
    assert (result.verdict, result.fix) == ("fail", "journalctl --unit node_exporter")
    assert "Connection refused" in result.reason


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (PAGE.replace("1.12.1", "1.12.0"), "node_exporter 1.12.0 runs, not 1.12.1"),
        ("node_amazonefa_info 1\n", "the page is not node_exporter's"),
        ("", "the page is not node_exporter's"),
    ],
)
def test_a_page_of_something_else_fails(page: str, reason: str) -> None:
    result = judged("version", Reading(0, page))
    assert (result.verdict, result.reason) == ("fail", reason)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (PAGE.replace("error 0", "error 1"), "files of /var/lib/metrics cannot be taken"),
        (PAGE.replace("node_textfile", "node_other"), "files of /var/lib/metrics are not served"),
    ],
)
def test_files_that_are_not_served_fail(page: str, reason: str) -> None:
    result = judged("textfile", Reading(0, page))
    assert (result.verdict, result.reason) == ("fail", reason)


@pytest.mark.parametrize("id_", ["version", "textfile"])
def test_without_an_address_it_is_skipped(id_: str) -> None:
    assert judged(id_, expected={"versions": {"node_exporter": "1.12.1"}}).verdict == "skip"
