# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role aws_cli."""

from __future__ import annotations

import re

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    Judgement,
    Readings,
    failed,
    passed,
)

# as a login finds it; sudo's own PATH may lack /usr/local/bin
_VERSION = Command(("env", "PATH=/usr/local/bin:/usr/bin:/bin", "aws", "--version"))


def _version(readings: Readings, expected: Expected) -> Judgement:
    wanted, told = expected["versions"]["aws_cli"], readings["version"]
    # aws/aws-cli exe/assets/install cuts the version out of "aws-cli/2.36.40 Python/…"
    match = re.match(r"aws-cli/(\S+)", told.out)
    if told.status != 0 or not match:
        said = [*told.err.split("\n"), *told.lines]
        return failed(
            f"aws does not run: {next(filter(None, said), f'status {told.status}')}", "apply role aws_cli", limit=wanted
        )
    if match[1] != wanted:
        return failed(
            f"aws is {match[1]}, not {wanted}",
            "apply role aws_cli with aws_cli_preinstalled: replace",
            match[1],
            wanted,
        )
    return passed(match[1], wanted)


CHECKS = (
    Check(
        "aws_cli.version",
        "aws runs, and has its version",
        lambda expected: {"version": _VERSION},
        _version,
        needs=("versions.aws_cli",),
    ),
)
