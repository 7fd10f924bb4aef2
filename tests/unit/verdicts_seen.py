# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin: which verdicts each check's own judge gave while tests ran. test_verdicts_of_checks.py runs it."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Expected,
    Judgement,
    Reader,
    Readings,
    Result,
)

VARIABLE = "ADT_VERDICTS_SEEN"
"""Names the file that is written."""

_seen: dict[str, set[str]] = defaultdict(set)
_run = checks.run


def run(check: Check, expected: Expected, read: Reader, node: str = "") -> Result:
    """checks.run, which notes what the judge says; a failure for want of a program, or of sense, is none of its own."""
    said = []

    def judge(readings: Readings, held_to: Expected) -> Judgement:
        judgement = check.judge(readings, held_to)
        said.append(judgement.verdict)
        return judgement

    result = _run(replace(check, judge=judge), expected, read, node)
    if said or result.verdict == checks.SKIP:
        _seen[check.id].add(result.verdict)
    return result


checks.run = run


def pytest_sessionfinish() -> None:
    """Write what was seen."""
    Path(os.environ[VARIABLE]).write_text(json.dumps({name: sorted(seen) for name, seen in _seen.items()}))
