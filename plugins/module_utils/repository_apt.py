# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Indexes of apt repositories: Release and Packages, read and written (deb-control(5)). Pure."""

from __future__ import annotations

import calendar
import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import origin, safe_path
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import (
    APT_ARCHITECTURES,
    Package,
    Relation,
    Repository,
)

SUFFIXES = (".xz", ".gz", "")
"""Forms of Packages, the smallest first."""

_RELATION = re.compile(r"^([^\s:()\[\]<]+)(?::\w+)?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([^\s)]+)\s*\))?")


@dataclass(frozen=True)
class Release:
    """The signed index of a suite.

    :param files: path from the suite's folder: sha256 and size.
    """

    fields: Mapping[str, str]
    files: Mapping[str, tuple[str, int]]


def suite_folder(repository: Repository) -> str:
    """The folder of a suite's index, from the base."""
    return repository.suite.strip("/") if repository.flat else f"dists/{repository.suite}"


def index_paths(repository: Repository) -> list[str]:
    """The Packages files of a repository's sections, from the suite's folder, without their endings."""
    if repository.flat:
        return ["Packages"]
    binary = f"binary-{APT_ARCHITECTURES[repository.arch]}"
    return [f"{section}/{binary}/Packages" for section in repository.sections]


def below(folder: str, path: str) -> str:
    """A path below a folder that may be none."""
    return f"{folder}/{path}" if folder else path


def paragraphs(text: str) -> Iterator[tuple[dict[str, str], str]]:
    """Fields, their names in lower case, and text of each paragraph; lines that go on are joined by line breaks."""
    for part in re.split(r"\n[ \t]*\n+", text.strip("\n")):
        fields: dict[str, str] = {}
        name = ""
        for line in part.splitlines():
            if line[:1] in (" ", "\t"):
                fields[name] = f"{fields.get(name, '')}\n{line.strip()}"
            elif not line.startswith("#"):
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            yield fields, part


def read_release(text: str, where: str, now: float) -> Release:
    """A Release whose signature holds; refused where it has no sha256, or its vendor says that it is too old."""
    fields = next(paragraphs(text), ({}, ""))[0]
    files = {}
    for line in fields.get("sha256", "").splitlines():
        words = line.split()
        if len(words) == 3 and words[1].isdigit():
            files[words[2]] = (words[0], int(words[1]))
    if not files:
        raise TrainingError(f"{where} states no sha256 of its files", "take another repository or version")
    until = fields.get("valid-until")
    if until and _seconds(until) < now:
        raise TrainingError(
            f"{where} was valid until {until}",
            "see whether its origin or the mirror is stale; set the clock if it is wrong",
        )
    return Release(fields, files)


def _seconds(date: str) -> float:
    """Seconds since 1970 of a date as Release has it (RFC 5322, always UTC); 0, which is long ago, of any other."""
    try:
        return calendar.timegm(time.strptime(date.rsplit(" ", 1)[0], "%a, %d %b %Y %H:%M:%S"))
    except ValueError:
        return 0


def read_packages(text: str, base: str) -> list[Package]:
    """The entries of a Packages file."""
    found = []
    for fields, entry in paragraphs(text):
        if not fields.get("package"):
            continue
        absent = [name for name in ("version", "architecture", "filename", "size", "sha256") if not fields.get(name)]
        if absent:
            raise TrainingError(
                f"the index of {origin(base)} says no {absent[0]} of {fields['package']}", "take another repository"
            )
        version = fields["version"]
        found.append(
            Package(
                name=fields["package"],
                version=version,
                arch=fields["architecture"],
                sha256=fields["sha256"].lower(),
                size=int(fields["size"]),
                path=safe_path(fields["filename"], base),
                needs=tuple(relations(fields.get("pre-depends", "")) + relations(fields.get("depends", ""))),
                provides=(
                    Relation(fields["package"], "=", version),
                    *(one for group in relations(fields.get("provides", "")) for one in group),
                ),
                entry=entry,
            )
        )
    return found


def relations(text: str) -> list[tuple[Relation, ...]]:
    """A field such as Depends: all of its parts, of each any one."""
    groups = []
    for part in text.replace("\n", " ").split(","):
        matches = [_RELATION.match(alternative.strip()) for alternative in part.split("|")]
        group = tuple(Relation(one[1], one[2] or "", one[3] or "") for one in matches if one)
        if group:
            groups.append(group)
    return groups


def packages_text(packages: Iterable[Package]) -> str:
    """A Packages file with the vendor's own words for each package."""
    ordered = sorted(packages, key=lambda one: (one.name, one.version, one.arch))
    return "".join(f"{one.entry}\n\n" for one in ordered)


def release_text(
    vendor: Mapping[str, str],
    base: str,
    architectures: Sequence[str],
    sections: Sequence[str],
    files: Mapping[str, bytes],
    now: float,
) -> str:
    """The Release of a subset.

    :param vendor: the fields of the vendor's Release, of which the suite's names stay: apt looks at them.
    :param files: path from the suite's folder: content.
    """
    lines = [f"Origin: mirror of {origin(base)}"]
    lines += [f"{name.title()}: {vendor[name]}" for name in ("suite", "codename", "version") if vendor.get(name)]
    lines.append(f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S', time.gmtime(now))} UTC")
    lines.append(f"Architectures: {' '.join(sorted(architectures))}")
    if sections:
        lines.append(f"Components: {' '.join(sections)}")
    lines.append("Description: the packages of a stack; each was held to the vendor's signed index")
    lines.append("SHA256:")
    for path, content in sorted(files.items()):
        lines.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {path}")
    return "\n".join(lines) + "\n"
