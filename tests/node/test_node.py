"""A node, held to the registry of checks through testinfra.

usage: pytest tests/node --hosts=docker://NAME|ssh://NAME [--groups=dcgm,efa] [--expected=FILE]
"""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    Probe,
    Reading,
)

_NOT_FOUND = 127


def reader(host: Any) -> checks.Reader:
    """Reads probes through a connection of testinfra."""

    def read(probe: Probe) -> Reading:
        if isinstance(probe, Command):
            limited = ("env", "LC_ALL=C", "timeout", f"{probe.timeout_s:g}", *probe.argv)
            ran = host.run(shlex.join(limited))
        else:
            program = "cat" if isinstance(probe, checks.File) else "ls"
            if not host.file(probe.path).exists:
                return Reading(None)
            ran = host.run(shlex.join((program, probe.path)))
        return Reading(None if ran.rc == _NOT_FOUND else ran.rc, ran.stdout, ran.stderr)

    return read


def test_check(host: Any, check: Check, expected: Expected) -> None:
    result = checks.run(check, expected, reader(host), host.backend.hostname)
    if result.verdict == checks.FAIL:
        pytest.fail(str(result), pytrace=False)
    if result.verdict == checks.SKIP:
        pytest.skip(result.reason)
