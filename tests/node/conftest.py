"""Options of tests/node; without --hosts there is no node, and nothing is collected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import Expected
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.registry import select


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--groups", default="", help="run the checks of these roles or parts of a node: gpu,efa; all without it"
    )
    parser.addoption(
        "--expected", type=Path, help="a JSON file: what the node is meant to be, as component_plan returns it"
    )


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if config.getoption("--hosts") else True


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "check" in metafunc.fixturenames:
        checks = select(group for group in metafunc.config.getoption("--groups").split(",") if group)
        metafunc.parametrize("check", checks, ids=[check.id for check in checks])


@pytest.fixture(scope="session")
def expected(pytestconfig: pytest.Config) -> Expected:
    path: Path | None = pytestconfig.getoption("--expected")
    given: dict[str, Any] = json.loads(path.read_text()) if path else {}
    return given
