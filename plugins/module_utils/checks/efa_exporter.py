# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role efa_exporter."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Expected,
    Folder,
    Judgement,
    Probe,
    Readings,
    common,
    failed,
    passed,
    skipped,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.metrics import (
    page,
    samples,
    unanswered,
)

_JOURNAL = "journalctl --unit efa_exporter"
_SUCCESS = "node_scrape_collector_success"


def _page(expected: Expected) -> Mapping[str, Probe]:
    return {"page": page(expected["efa_exporter"]["listen"]), "devices": Folder(expected["efa_exporter"]["devices"])}


def _counters(readings: Readings, expected: Expected) -> Judgement:
    if unanswered(readings["page"]):
        return failed(f"no page: {unanswered(readings['page'])}", _JOURNAL)
    found = [
        one.value
        for one in samples(readings["page"].out)
        if one.name == _SUCCESS and one.labels.get("collector") == "amazonefa"
    ]
    if not found:
        return failed("the page is not that of efa_exporter", "see what else listens there")
    if found[0] != 1:
        return failed("a counter cannot be read", f"{_JOURNAL}, which names the file", f"{found[0]:g}", "1")
    return passed("1", "1")


def _devices(readings: Readings, expected: Expected) -> Judgement:
    there = sorted(readings["devices"].lines)
    if unanswered(readings["page"]):
        return failed(f"no page: {unanswered(readings['page'])}", _JOURNAL, limit=", ".join(there))
    if not there:
        return skipped("the node has no RDMA devices")
    served = {one.labels.get("device", "") for one in samples(readings["page"].out) if "port" in one.labels}
    if sorted(served) != there:
        missing, other = sorted(set(there) - served), sorted(served - set(there))
        reason = "; ".join(
            [f"no counters of {', '.join(missing)}"] * bool(missing)
            + [f"{', '.join(other)} is no device"] * bool(other)
        )
        fix = f"ls {expected['efa_exporter']['devices']}/*/ports/*/hw_counters; systemctl restart efa_exporter"
        return failed(reason, fix, ", ".join(sorted(served)), ", ".join(there))
    return passed(len(served), len(there), unit="devices")


CHECKS = (
    common.service("efa_exporter", "efa_exporter"),
    Check(
        "efa_exporter.counters",
        "its page answers, and has every counter",
        _page,
        _counters,
        needs=("efa_exporter.listen", "efa_exporter.devices"),
    ),
    Check(
        "efa_exporter.devices",
        "its page has every RDMA device of the kernel",
        _page,
        _devices,
        needs=("efa_exporter.listen", "efa_exporter.devices"),
    ),
)
