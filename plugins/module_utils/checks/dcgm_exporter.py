# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role dcgm_exporter.

Of the role itself Expected has under ``dcgm_exporter``: ``listen``, ``engine``, and ``image`` if its digest is known.
"""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    Judgement,
    Reading,
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

_AGAIN = "apply role dcgm_exporter"
_JOURNAL = "journalctl --unit dcgm_exporter"
_CONTAINER = Command(("docker", "inspect", "--type", "container", "--format", "{{json .}}", "dcgm_exporter"))
_ENGINE = common.service("dcgm_exporter", "nvidia-dcgm", enabled=False)
_NEURON = ("Trainium", "Inferentia")


def _container(reading: Reading) -> tuple[dict[str, Any], str]:
    """What Docker says of the container, or why it says nothing."""
    if reading.status != 0:
        lines = reading.err.strip().splitlines()
        return {}, lines[0] if lines else f"docker inspect ended with {reading.status}"
    return json.loads(reading.out), ""


def _image(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["dcgm_exporter"]["image"]
    container, problem = _container(readings["container"])
    if problem:
        return failed(f"no container: {problem}", _JOURNAL, limit=wanted)
    found = container["Config"]["Image"]
    if found != wanted:
        return failed(f"the container has image {found}, not {wanted}", _AGAIN, found, wanted)
    return passed(found, wanted)


def _engine(readings: Readings, expected: Expected) -> Judgement:
    wanted = expected["dcgm_exporter"]["engine"]
    container, problem = _container(readings["container"])
    if problem:
        return failed(f"no container: {problem}", _JOURNAL, limit=wanted)
    words = container["Args"]
    pairs = dict(zip(words, words[1:]))
    found = pairs.get("--remote-hostengine-info", "")
    if found != wanted:
        said = found or "an engine of its own"
        reason = f"the exporter asks {said}, not {wanted}: two would own the profiling counters of a GPU"
        return failed(reason, _AGAIN, said, wanted)
    host = wanted.rpartition(":")[0]
    running = _ENGINE.judge(readings, expected)
    if host in ("127.0.0.1", "localhost", "[::1]") and running.verdict != "pass":
        return failed(running.reason, "apply role dcgm", running.value, wanted)
    return passed(found, wanted)


def _gpus(readings: Readings, expected: Expected) -> Judgement:
    if unanswered(readings["page"]):
        return failed(f"no page: {unanswered(readings['page'])}", _JOURNAL)
    found = {
        one.labels["gpu"] for one in samples(readings["page"].out) if "gpu" in one.labels and one.name[:5] == "DCGM_"
    }
    if not found:
        return failed("the page has no GPU", f"{_JOURNAL}; dcgmi discovery --list", 0)
    accelerator = (expected.get("instance") or {}).get("accelerator") or {}
    if not accelerator:
        return skipped(f"the page has {len(found)} GPUs; how many the node has is not known")
    if str(accelerator["model"]).startswith(_NEURON):
        return skipped(f"{expected['instance_type']} has no GPU")
    if len(found) != accelerator["count"]:
        reason = f"the page has {len(found)} GPUs, not {accelerator['count']}"
        return failed(
            reason, "dcgmi discovery --list; nvidia-smi --list-gpus", len(found), accelerator["count"], "GPUs"
        )
    return passed(len(found), accelerator["count"], unit="GPUs")


CHECKS = (
    common.service("dcgm_exporter", "dcgm_exporter"),
    Check(
        "dcgm_exporter.image",
        "the container that runs has the pinned image",
        lambda expected: {"container": _CONTAINER},
        _image,
        needs=("dcgm_exporter.image",),
    ),
    Check(
        "dcgm_exporter.engine",
        "it asks the one nv-hostengine, and that runs",
        lambda expected: {"container": _CONTAINER, **_ENGINE.reads(expected)},
        _engine,
        needs=("dcgm_exporter.engine",),
    ),
    Check(
        "dcgm_exporter.gpus",
        "its page has every GPU",
        lambda expected: {"page": page(expected["dcgm_exporter"]["listen"])},
        _gpus,
        needs=("dcgm_exporter.listen",),
    ),
)
