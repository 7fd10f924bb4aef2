"""Check of role aws_cli, on answers in the form of AWS CLI 2 (reconstructed after aws/aws-cli exe/assets/install)."""

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

EXPECTED: dict[str, Any] = {"versions": {"aws_cli": "2.36.40"}}
TOLD = "aws-cli/2.36.40 Python/3.14.0 Linux/6.12.0 exe/x86_64.amzn.2023\n"


def judged(answer: Reading, expected: dict[str, Any] | None = None) -> checks.Result:
    def read(probe: Probe) -> Reading:
        assert isinstance(probe, Command)
        assert probe.argv[-2:] == ("aws", "--version")
        return answer

    return checks.run(registry.CHECKS["aws_cli.version"], EXPECTED if expected is None else expected, read)


def test_the_version_of_the_stack_passes() -> None:
    assert judged(Reading(0, TOLD)).as_dict() | {"node": ""} == {
        "id": "aws_cli.version",
        "node": "",
        "verdict": "pass",
        "value": "2.36.40",
        "limit": "2.36.40",
        "reason": "",
        "fix": "",
        "unit": "",
    }


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Reading(0, TOLD.replace("2.36.40", "2.36.4")), "aws is 2.36.4, not 2.36.40"),
        # own: coreutils 9.1
        (
            Reading(127, "", "env: 'aws': No such file or directory\n"),
            "aws does not run: env: 'aws': No such file or directory",
        ),
        (Reading(0, "something else\n"), "aws does not run: something else"),
        (Reading(-9), "aws does not run: status -9"),
        (Reading(255, TOLD, "Segmentation fault\n"), "aws does not run: Segmentation fault"),
    ],
)
def test_what_is_not_that_version_fails(answer: Reading, reason: str) -> None:
    result = judged(answer)
    assert (result.verdict, result.reason) == ("fail", reason)
    assert "apply role aws_cli" in result.fix


def test_without_a_version_to_hold_it_to_it_is_skipped() -> None:
    assert judged(Reading(0, TOLD), {}).verdict == "skip"
