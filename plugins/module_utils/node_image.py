# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The image of a node: from which package sources it is made, and the key of what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

_SUITES = ("bookworm", "trixie", "forky", "sid", "stable", "testing", "unstable")
"""Suites of Debian itself, by which its archive is told from others."""


@dataclass(frozen=True)
class Source:
    """An archive of packages, one suite of it."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""


def read_sources(name: str, text: str) -> list[Source]:
    """The binary sources of a file below /etc/apt: ``NAME.sources`` in deb822 form, ``NAME.list`` one a line."""
    return _deb822(text) if name.endswith(".sources") else _one_line(text)


def _deb822(text: str) -> list[Source]:
    found = []
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in "\n".join(lines).split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            else:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in ("no", "false"):
            components = tuple(fields.get("components", "").split())
            signed_by = fields.get("signed-by", "")
            for uri in fields.get("uris", "").split():
                for suite in fields.get("suites", "").split():
                    found.append(Source(uri, suite, components, signed_by if signed_by.startswith("/") else ""))
    return found


def _one_line(text: str) -> list[Source]:
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] != ["deb"]:
            continue
        options = ""
        if len(words) > 1 and words[1].startswith("["):
            end = next((at for at, word in enumerate(words) if word.endswith("]")), len(words) - 1)
            options = " ".join(words[1 : end + 1]).strip("[] ")
            del words[1 : end + 1]
        if len(words) < 4:
            continue
        settings = dict(option.partition("=")[::2] for option in options.split())
        found.append(Source(words[1], words[2], tuple(words[3:]), settings.get("signed-by", "")))
    return found


def image_sources(sources: Iterable[Source], suite: str) -> list[str]:
    """Lines of a sources.list for a suite of Debian, from the archives that this machine takes its packages from."""
    main = security = None
    for source in sources:
        base, _, part = source.suite.partition("-")
        base, _, old_security = base.partition("/")
        if base not in _SUITES or "main" not in source.components:
            continue
        if part == "security" or old_security == "updates":
            security = security or source
        elif not part:
            main = main or source
    if main is None:
        raise TrainingError(
            "no package source of Debian in /etc/apt, and the nodes are made from one",
            "use a machine with Debian, or add its archive to /etc/apt/sources.list.d",
        )
    wanted = [(main, suite), (main, f"{suite}-updates")]
    if security:
        wanted.append((security, f"{suite}-security"))
    lines = []
    for source, name in wanted:
        option = f"[signed-by={source.signed_by}] " if source.signed_by else ""
        lines.append(f"deb {option}{source.uri} {name} main")
    return lines


def image_key(
    suite: str, sources: list[str], packages: list[str], hook: str, certificates: Mapping[str, str], command: list[str]
) -> str:
    """sha256 over all that decides what an image holds. New versions of its packages do not change it."""
    parts = [suite, sources, sorted(packages), hook, sorted(certificates.items()), command]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
