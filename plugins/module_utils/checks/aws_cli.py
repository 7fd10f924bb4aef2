# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role aws_cli."""

from __future__ import annotations

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    Judgement,
    Readings,
    common,
)

# as a login finds it; sudo's own PATH may lack /usr/local/bin
_VERSION = Command(("env", "PATH=/usr/local/bin:/usr/bin:/bin", "aws", "--version"))


def _version(readings: Readings, expected: Expected) -> Judgement:
    # aws/aws-cli exe/assets/install cuts the version out of "aws-cli/2.36.40 Python/…"
    wanted = expected["versions"]["aws_cli"]
    return common.judge_program(readings["version"], r"^aws-cli/(\S+)", "aws", wanted, "aws_cli")


CHECKS = (
    Check(
        "aws_cli.version",
        "aws runs, and has its version",
        lambda expected: {"version": _VERSION},
        _version,
        needs=("versions.aws_cli",),
    ),
)
