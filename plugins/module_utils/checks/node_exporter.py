# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role node_exporter."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Expected,
    Judgement,
    Probe,
    Readings,
    common,
    failed,
    passed,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.metrics import (
    page,
    samples,
    unanswered,
)

_SILENT = "journalctl --unit node_exporter"


def _page(expected: Expected) -> Mapping[str, Probe]:
    return {"page": page(expected["node_exporter"]["listen"])}


def _version(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["versions"]["node_exporter"]
    if unanswered(readings["page"]):
        return failed(f"no page: {unanswered(readings['page'])}", _SILENT, limit=wanted)
    found = [
        one.labels.get("version", "") for one in samples(readings["page"].out) if one.name == "node_exporter_build_info"
    ]
    if not found:
        return failed("the page is not node_exporter's", "see what else listens there", limit=wanted)
    fix = "systemctl restart node_exporter; role node_exporter with node_exporter_preinstalled: replace"
    return common.judge_version(found[0], wanted, "node_exporter {} runs", "node_exporter", fix)


def _textfile(readings: Readings, expected: Expected) -> Judgement:
    folder, wanted = expected["node_exporter"]["textfile_dir"], "node_textfile_scrape_error 0"
    if unanswered(readings["page"]):
        return failed(f"no page: {unanswered(readings['page'])}", _SILENT, limit=wanted)
    errors = [one.value for one in samples(readings["page"].out) if one.name == "node_textfile_scrape_error"]
    if not errors:
        return failed(f"files of {folder} are not served", "apply role node_exporter", limit=wanted)
    if errors[0]:
        return failed(
            f"files of {folder} cannot be taken", f"{_SILENT}, which names the file", f"{errors[0]:g}", wanted
        )
    return passed(f"{errors[0]:g}", wanted)


CHECKS = (
    common.service("node_exporter", "node_exporter"),
    Check(
        "node_exporter.version",
        "its page answers, and is that of its version",
        _page,
        _version,
        needs=("versions.node_exporter", "node_exporter.listen"),
    ),
    Check(
        "node_exporter.textfile",
        "it serves what files of a folder say",
        _page,
        _textfile,
        needs=("node_exporter.listen", "node_exporter.textfile_dir"),
    ),
)
