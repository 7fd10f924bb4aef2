# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The docker command: what modules of this collection call, so that ansible-core alone is enough."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def docker(*words: str, given: bytes | None = None) -> str:
    """What a command of docker prints.

    :param given: its standard input.
    """
    try:
        ran = subprocess.run(
            ["docker", *words],
            input=given or b"",
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise TrainingError("docker is not on the PATH", "install Docker Engine") from None
    if ran.returncode:
        raise TrainingError(f"docker {words[0]}: {last_line(ran.stderr.decode())}")
    return ran.stdout.decode()


def inspect(kind: str, names: list[str]) -> list[dict[str, Any]]:
    """``docker inspect`` of some objects of a kind (container, network, volume, image)."""
    if not names:
        return []
    found: list[dict[str, Any]] = json.loads(docker(kind, "inspect", *names))
    return found


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
