# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The image of a node: the machine's package sources in both forms, and what the key of an image follows."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.node_image import (
    Source,
    image_key,
    image_sources,
    read_sources,
)

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = f"""\
Types: deb deb-src
# a comment
URIs: http://archive.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEYRING}

Types: deb
URIs: http://archive.example/security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
Enabled: no
"""
ONE_LINE = f"""\
# deb http://comment.example/debian bookworm main
deb [arch=amd64 signed-by={KEYRING}] http://archive.example/debian trixie main non-free # it
deb-src http://source.example/debian trixie main
deb [ signed-by={KEYRING} ] http://archive.example/security trixie-security main
deb http://other.example/packages stable-tools main
"""


def test_deb822_gives_one_source_for_each_suite_that_is_enabled() -> None:
    both = ("main", "contrib")
    assert read_sources("debian.sources", DEB822) == [
        Source("http://archive.example/debian", "bookworm", both, KEYRING),
        Source("http://archive.example/debian", "bookworm-updates", both, KEYRING),
        Source("http://archive.example/security", "bookworm-security", ("main",)),
    ]


def test_one_line_sources_give_their_options() -> None:
    assert read_sources("sources.list", ONE_LINE) == [
        Source("http://archive.example/debian", "trixie", ("main", "non-free"), KEYRING),
        Source("http://archive.example/security", "trixie-security", ("main",), KEYRING),
        Source("http://other.example/packages", "stable-tools", ("main",)),
    ]


def test_an_image_takes_its_suite_from_the_archives_of_a_machine_of_another_suite() -> None:
    assert image_sources(read_sources("sources.list", ONE_LINE), "bookworm") == [
        f"deb [signed-by={KEYRING}] http://archive.example/debian bookworm main",
        f"deb [signed-by={KEYRING}] http://archive.example/debian bookworm-updates main",
        f"deb [signed-by={KEYRING}] http://archive.example/security bookworm-security main",
    ]


def test_a_machine_without_debians_archive_is_refused() -> None:
    others = [Source("http://u.example/ubuntu", "noble", ("main",)), Source("http://d.example", "bookworm", ("extra",))]
    with pytest.raises(TrainingError, match=r"^no package source of Debian in /etc/apt, .*; fix: "):
        image_sources(others, "bookworm")


INPUTS: dict[str, Any] = {
    "suite": "bookworm",
    "sources": ["deb http://archive.example/debian bookworm main"],
    "packages": ["systemd", "munge"],
    "hook": "#!/bin/sh\n",
    "certificates": {"/ca.crt": "abc"},
    "command": ["/lib/systemd/systemd"],
}


@pytest.mark.parametrize(
    "changed",
    [
        {"suite": "trixie"},
        {"sources": ["deb http://mirror.example/debian bookworm main"]},
        {"packages": ["systemd"]},
        {"hook": "#!/bin/sh\nexit\n"},
        {"certificates": {"/ca.crt": "abd"}},
        {"command": ["/sbin/init"]},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_key_follows_every_input(changed: dict[str, Any]) -> None:
    assert image_key(**{**INPUTS, **changed}) != image_key(**INPUTS)


def test_the_order_of_packages_is_no_input() -> None:
    assert image_key(**{**INPUTS, "packages": ["munge", "systemd"]}) == image_key(**INPUTS)
