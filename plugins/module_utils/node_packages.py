# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What the package manager of this node says it has, a line for each package."""

from __future__ import annotations

import subprocess

_SHOW = {
    "apt": ("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Package} ${Version}\\n"),
    "dnf": ("rpm", "--query", "--all", "--queryformat=%{NAME} %{VERSION}-%{RELEASE}\\n"),
}


def shown(kind: str) -> set[str]:
    """``ii name version`` of dpkg, ``name version-release`` of rpm; nothing where the package manager is not there.

    :param kind: ``apt`` or ``dnf``.
    """
    try:
        ran = subprocess.run(_SHOW[kind], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return set()
    return set(ran.stdout.splitlines())
