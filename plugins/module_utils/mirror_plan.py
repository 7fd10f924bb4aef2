# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What a mirror of a stack has: the variables of playbook mirror, and the files and repositories they mean. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import Artifact, held, read_artifact
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError, did_you_mean
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import Repository, read_repository

PUBLIC: dict[str, dict[str, Any]] = {
    "stack": {"default": "", "help": "a stack of the catalogue; its own default where none is given"},
    "stack_overrides": {"default": {}, "help": "what is merged into the catalogue"},
    "os": {"default": [], "help": "list: the systems of the nodes"},
    "arch": {"default": ["x86_64"], "help": "list: the architectures of the nodes"},
    "components": {"default": [], "help": "list: these components only"},
    "mirror_dir": {"default": "mirror", "help": "the folder that the mirror is written to"},
    "mirror_signer": {"default": "", "help": "full fingerprint of the key that signs it, in the user's own GnuPG"},
    "mirror_s3": {"default": "", "help": "s3://BUCKET/PREFIX, to which the folder is brought besides"},
}
"""The public variables of playbook mirror. ``adt_…``, ``ansible_…`` and ``artifact_…`` are let through beside them."""

_LISTS = ("os", "arch", "components")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")

NOT_MIRRORED = {
    "python": "its Python packages are held by a lock file, and come from a package index",
    "images": "a container image, which comes from a registry",
    "system": "a package of the system's own repositories",
}
"""What the catalogue names and a mirror does not have, and why."""


def read_request(given: Mapping[str, Any], extra_names: Iterable[str], plan_only: bool) -> dict[str, Any]:
    """The public variables with types and defaults.

    :param extra_names: names of all variables of the command line; an unknown one is a slip, and refused.
    :param plan_only: nothing is signed, so that no signer is needed.
    """
    for name in extra_names:
        if name not in PUBLIC and not name.startswith(("adt_", "ansible_", "artifact_")):
            raise TrainingError(f"variable {name!r} is not known", did_you_mean(name, PUBLIC))
    request = {}
    for name, about in PUBLIC.items():
        value = given.get(name)
        request[name] = about["default"] if value in (None, "", [], {}) else value
        if name in _LISTS:
            request[name] = _listed(name, request[name])
    if not request["os"]:
        raise TrainingError("os is not given", f"-e os=NAME or a list of them; known: {', '.join(catalogue.SYSTEMS)}")
    for name, known in (("os", catalogue.SYSTEMS), ("arch", catalogue.ARCHITECTURES)):
        for value in request[name]:
            if value not in known:
                raise TrainingError(f"{name}={value} is not known", did_you_mean(value, known))
    signer = re.sub(r"[\s:]|^0x", "", str(request["mirror_signer"])).upper()
    if (signer or not plan_only) and not _FINGERPRINT.fullmatch(signer):
        raise TrainingError(
            f"mirror_signer={request['mirror_signer']!r} is no fingerprint of a key",
            "the 40 digits of a key of yours that can sign: gpg --list-secret-keys",
        )
    return {**request, "mirror_signer": signer}


def _listed(name: str, value: Any) -> list[str]:
    """A list, or a text with commas or blanks between its parts."""
    if isinstance(value, str):
        value = [word for word in re.split(r"[,\s]+", value) if word]
    if not isinstance(value, (list, tuple)) or not all(isinstance(word, str) for word in value):
        raise TrainingError(f"{name}={value!r} is no list of names", f"-e {name}=NAME,NAME")
    return list(dict.fromkeys(value))


@dataclass(frozen=True)
class WantedFile:
    """A download, of one component."""

    component: str
    version: str
    artifact: Artifact


@dataclass
class WantedRepository:
    """A repository for one architecture, and by component the packages that are asked of it."""

    repository: Repository
    packages: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """(component, version): package: its version."""


@dataclass(frozen=True)
class Left:
    """What the mirror does not have, and why."""

    component: str
    where: str
    reason: str


@dataclass
class Wanted:
    """All that a request means."""

    files: list[WantedFile] = field(default_factory=list)
    repositories: list[WantedRepository] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


def wanted(document: Mapping[str, Any], request: Mapping[str, Any]) -> Wanted:
    """Files and repositories of a stack for systems and architectures.

    What cannot be held to anything is left out by name; where it was asked for by name, that is refused.
    """
    stack, asked = request["stack"] or document["default"], request["components"]
    for name in asked:
        if name not in document["components"]:
            raise TrainingError(
                f"component {name!r} is not in the catalogue", did_you_mean(name, document["components"])
            )
    result = Wanted()
    left: dict[tuple[str, str], list[str]] = {}
    for system in request["os"]:
        for arch in request["arch"]:
            where = f"{system} {arch}"
            for name, reason in catalogue.left_out(document, stack, system, arch).items():
                if not asked or name in asked:
                    left.setdefault((name, reason), []).append(where)
            for name in catalogue.chosen(document, stack, system, arch):
                if asked and name not in asked:
                    continue
                entry = catalogue.on_platform(catalogue.component(document, name, stack, system), system, arch)
                for reason in _add(result, entry, system, arch, bool(asked)):
                    left.setdefault((name, reason), []).append(where)
    result.left = [Left(name, ", ".join(places), reason) for (name, reason), places in sorted(left.items())]
    if not result.files and not result.repositories:
        reasons = "; ".join(f"{one.component}: {one.reason}" for one in result.left[:3])
        raise TrainingError(f"there is nothing to mirror{f' ({reasons})' if reasons else ''}", "name other components")
    return result


def _add(result: Wanted, entry: Mapping[str, Any], system: str, arch: str, asked: bool) -> list[str]:
    """Add a component's files and repositories; returns why some of it is left out."""
    name, version = entry["name"], entry["version"]
    if "bundled_in" in entry:
        return [f"it comes inside of {entry['bundled_in']['name']} {entry['bundled_in']['version']}"]
    reasons = [reason for kind, reason in NOT_MIRRORED.items() if kind in entry]
    for source in entry.get("files", ()):
        try:
            artifact = held(read_artifact(source["file"]))
        except TrainingError as error:
            if asked:
                raise
            reasons.append(error.problem)
            continue
        if artifact not in [one.artifact for one in result.files]:
            result.files.append(WantedFile(name, version, artifact))
    kind = "dnf" if system == "amazon2023" else "apt"
    for source in entry.get("repositories", ()):
        try:
            repository = read_repository(source, kind, arch)
        except TrainingError as error:
            if asked:
                raise
            reasons.append(error.problem)
            continue
        found = [one for one in result.repositories if one.repository == repository]
        if not found:
            found = [WantedRepository(repository)]
            result.repositories += found
        found[0].packages.setdefault((name, version), {}).update(source["packages"])
    if not any(kind in entry for kind in ("files", "repositories", *NOT_MIRRORED)):
        reasons.append("the catalogue names no source of it there")
    return reasons


@dataclass(frozen=True)
class Item:
    """A file of the mirror.

    :param path: in the mirror's folder.
    :param size: bytes; None where its server does not say.
    :param here: whether the mirror has it already.
    """

    component: str
    version: str
    path: str
    size: int | None
    here: bool


def readable(size: int | None) -> str:
    """A size for people to read."""
    if size is None:
        return "?"
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def plan_lines(title: str, items: Sequence[Item], left: Sequence[Left]) -> list[str]:
    """The plan of sizes: a line for each component, what is left out and why, and the sums."""
    rows = [("component", "version", "files", "size", "to fetch")]
    for component, version in sorted({(one.component, one.version) for one in items}):
        own = [one for one in items if (one.component, one.version) == (component, version)]
        to_fetch = [one for one in own if not one.here]
        rows.append((component, version, str(len(own)), _sum(own), _sum(to_fetch) if to_fetch else "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [title]
    for row in rows:
        cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1]), *(row[at].rjust(widths[at]) for at in (2, 3, 4))]
        lines.append("  " + "  ".join(cells))
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in left:
        reasons.setdefault((one.reason, one.where), []).append(one.component)
    for (reason, where), names in reasons.items():
        lines.append(f"  not in it, {where}: {', '.join(names)}: {reason}")
    to_fetch = [one for one in items if not one.here]
    lines.append(f"{len(items)} files, {_sum(items)}; to fetch: {len(to_fetch)} files, {_sum(to_fetch)}")
    return lines


def _sum(items: Sequence[Item]) -> str:
    """The size of several; + where some do not say theirs, ? where none does."""
    known = [one.size for one in items if one.size is not None]
    if items and not known:
        return "?"
    return readable(sum(known)) + ("+" if len(known) < len(items) else "")
