# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""No check is one that cannot fail: its tests have to bring out each verdict that it can give.

The tests of the checks run in a process of their own, in which verdicts_seen.py notes what every judge says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Probe,
    Reading,
    common,
    registry,
)
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.unit import verdicts_seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Id of a check, and the verdicts that its tests brought out."""
    path = tmp_path_factory.mktemp("verdicts") / "seen.json"
    tests = sorted(
        str(file) for file in Path(__file__).parent.glob("test_checks*.py") if "checks.run" in file.read_text()
    )
    words = [sys.executable, "-m", "pytest", "-q", "-p", verdicts_seen.__name__, *tests]
    ran = support.run(words, support.ROOT, {verdicts_seen.VARIABLE: str(path), "CI": None})
    assert path.exists(), ran.stdout[-2000:]
    return {name: set(found) for name, found in json.loads(path.read_text()).items()}


def functions(judge: Callable[..., Any], known: set[CodeType] | None = None) -> Iterator[FunctionType]:
    """A judge, and the functions that it calls or was made of."""
    known = set() if known is None else known
    if not isinstance(judge, FunctionType) or judge.__code__ in known:
        return
    known.add(judge.__code__)
    yield judge
    inner = [code for code in judge.__code__.co_consts if isinstance(code, CodeType)]
    names = {name for code in (judge.__code__, *inner) for name in code.co_names}
    called = [judge.__globals__.get(name) for name in names]
    for cell in judge.__closure__ or ():
        held = cell.cell_contents
        called.append(held.judge if isinstance(held, Check) else held)
    for function in called:
        if isinstance(function, FunctionType) and function.__module__.startswith(checks.__name__):
            yield from functions(function, known)


def can_skip(check: Check) -> bool:
    """Whether the judge itself does; what it needs and nobody knows has a test below, which is the same for all."""
    return any(function is checks.skipped for function in functions(check.judge))


def shared(check: Check) -> bool:
    """Whether its judge is one of common.py, which is the same for every role."""
    return check.judge.__module__ == common.__name__


def lacking(check: Check, seen: dict[str, set[str]]) -> set[str]:
    """The verdicts of a check that no test brings out."""
    alike = [check.id]
    if shared(check):
        alike += [
            name
            for name, other in registry.CHECKS.items()
            if isinstance(other.judge, FunctionType)
            and isinstance(check.judge, FunctionType)
            and other.judge.__code__ is check.judge.__code__
        ]
    wanted = {checks.PASS, checks.FAIL} | ({checks.SKIP} if can_skip(check) else set())
    return wanted.difference(*(seen.get(name, set()) for name in alike))


@pytest.mark.parametrize("name", registry.CHECKS)
def test_every_verdict_of_a_check_has_a_test(name: str, seen: dict[str, set[str]]) -> None:
    assert lacking(registry.CHECKS[name], seen) == set()


@pytest.mark.parametrize("name", [name for name, check in registry.CHECKS.items() if check.needs])
def test_what_is_not_known_is_a_skip_and_reads_nothing(name: str) -> None:
    def read(probe: Probe) -> Reading:
        raise AssertionError(f"{probe} was read")

    result = checks.run(registry.CHECKS[name], {}, read)
    assert (result.verdict, result.reason) == ("skip", f"not known: {', '.join(registry.CHECKS[name].needs)}")


def always(reason: str) -> Check:
    return Check("dcgm.always", "", lambda expected: {}, lambda readings, expected: checks.passed(reason))


def test_a_check_that_cannot_fail_is_refused() -> None:
    assert lacking(always("fine"), {"dcgm.always": {"pass"}}) == {"fail"}


def test_a_check_without_tests_is_refused() -> None:
    assert lacking(always("fine"), {}) == {"pass", "fail"}


def test_what_can_be_skipped_is_found_through_what_it_calls() -> None:
    assert can_skip(registry.CHECKS["gpu.retired_pages"])
    assert not can_skip(registry.CHECKS["efa.installer"])
    assert not can_skip(always("fine"))
