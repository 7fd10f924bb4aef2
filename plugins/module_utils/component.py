# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What a role of the node stack has to do: a component of the catalogue, against what the node has. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, compatibility
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import (
    Platform,
    Subject,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_versions import either
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError, did_you_mean
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import (
    RPM_SYSTEMS,
    name_of,
    read_repository,
    version_fits,
)

SYSTEM_NAMES = {
    "debian12": "Debian 12",
    "debian13": "Debian 13",
    "ubuntu2204": "Ubuntu 22.04",
    "ubuntu2404": "Ubuntu 24.04",
    "amazon2023": "Amazon Linux 2023",
}
"""The catalogue's systems, as people call them."""

_IDS = {"debian": "debian", "ubuntu": "ubuntu", "amzn": "amazon"}

KEEP, REPLACE, REFUSE = "keep", "replace", "refuse"
PREINSTALLED = (KEEP, REPLACE, REFUSE)
"""What may be done with another version that the node already has."""

AUTO = "auto"
"""The value of a setting that is left to the solver."""


def fields_of(text: str) -> dict[str, str]:
    """The fields of /etc/os-release: NAME=value lines, a value in quotes where it needs them (os-release(5))."""
    fields = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            fields[name] = " ".join(shlex.split(value))
    return fields


def system_of(os_release: Mapping[str, str], role: str) -> str:
    """The catalogue's name of a system; refused where no role is written for it.

    :param os_release: the fields of /etc/os-release.
    """
    identity, version = os_release.get("ID", ""), os_release.get("VERSION_ID", "")
    name = f"{_IDS.get(identity, identity)}{version.replace('.', '')}"
    if name not in SYSTEM_NAMES:
        called = os_release.get("PRETTY_NAME") or f"{identity} {version}".strip() or "this system"
        raise TrainingError(f"{role}: {called} is not supported", f"use one of {', '.join(SYSTEM_NAMES.values())}")
    return name


@dataclass(frozen=True)
class Component:
    """What is to be done about one component.

    :param wanted: the version that the stack takes.
    :param found: the version that the node has; None where it has none.
    :param version: the one that the node shall have in the end.
    :param install: whether it has to be installed, or brought to that version.
    :param packages: package and version that the node then has; of a version that the catalogue does not know, none.
    :param entry: the catalogue's entry of ``wanted`` on this platform.
    """

    name: str
    wanted: str
    found: str | None
    version: str
    install: bool
    packages: Mapping[str, str]
    entry: Mapping[str, Any]

    @property
    def kept(self) -> bool:
        """Whether another version than the stack's stays."""
        return self.version != self.wanted

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "kept": self.kept}


@dataclass(frozen=True)
class Found:
    """What a node has of a component.

    :param packages: package and version of those of its packages that are installed.
    :param version: as the role's own look at the node says it; None where it does not look or finds nothing.
    """

    packages: Mapping[str, str]
    version: str | None = None


def plan(
    role: str,
    names: Sequence[str],
    catalogues: Any,
    platform: Platform,
    found: Mapping[str, Found],
    preinstalled: str = KEEP,
    stack: str | None = None,
) -> list[Component]:
    """What is to be done about a role's components.

    :param catalogues: the stack, its constraints and the EC2 types (compatibility_answers.Catalogues).
    :param found: of each component, what the node has.
    :param preinstalled: what to do about another version on the node: keep it if the solver accepts it with the rest of
        the stack, replace it, or refuse the node.
    :raises TrainingError: a component that the stack does not have here, or a version that is not to stay.
    """
    if preinstalled not in PREINSTALLED:
        raise TrainingError(
            f"{role}_preinstalled={preinstalled} is not known", did_you_mean(preinstalled, PREINSTALLED)
        )
    planned = []
    for name in names:
        entry = catalogue.on_platform(
            catalogue.component(catalogues.stack, name, stack, platform.os), platform.os, platform.arch
        )
        reason = catalogue.left_out(catalogues.stack, stack, platform.os, platform.arch).get(name)
        if reason:
            raise TrainingError(f"{role}: no {name} on {platform.os} {platform.arch}: {reason}", "leave the role out")
        planned.append(_component(name, entry, catalogues.stack, platform, found.get(name, Found({}))))
    others = [one for one in planned if one.found is not None and one.found != one.wanted]
    if not others or preinstalled == REPLACE:
        return planned
    if preinstalled == REFUSE:
        raise TrainingError(
            f"{role}: the node has {_told(others)}", f"{role}_preinstalled: keep or replace, or another image"
        )
    _accepted(role, others, catalogues, platform, stack)
    return [_stays(one, catalogues.stack, platform) if one in others else one for one in planned]


def needed(
    role: str,
    names: Sequence[str],
    chosen: Mapping[str, str],
    platform: Platform,
    catalogues: Any,
) -> list[str]:
    """Those of a role's components that a node of this type needs; what the stack does not have here stays among them.

    The rules say it that want a component present.

    :param chosen: component and version of the stack here.
    :raises TrainingError: where that cannot be told, as where nobody states the type.
    """
    subject = Subject(chosen, platform, catalogues.constraints, catalogues.types)
    clauses = [clause for rule in catalogues.constraints["rules"].values() for clause in rule["clauses"]]
    found = []
    for name in names:
        held = either(subject.holds(clause.get("when")) for clause in clauses if name in clause.get("present", ()))
        if held is None:
            raise TrainingError(
                f"{role}: whether this node needs {name} is not known: its EC2 type is not stated", "adt_instance_type"
            )
        if held or name not in chosen:
            found.append(name)
    return found


def settled(
    role: str,
    names: Sequence[str],
    stated: Mapping[str, str],
    chosen: Mapping[str, str],
    platform: Platform,
    catalogues: Any,
) -> dict[str, str]:
    """The settings that a role acts by: what is stated; for ``auto`` the solver's default, or else what it accepts.

    :param chosen: component and version, as the node shall have them.
    :raises TrainingError: a rule refuses each value, or the role's components on this platform.
    """
    settings = {name: value for name, value in stated.items() if value != AUTO}
    for name, value in stated.items():
        values = [value]
        if value == AUTO:
            subject = Subject(chosen, replace(platform, settings=settings), catalogues.constraints, catalogues.types)
            default = subject.settings[name]
            values = sorted(catalogues.constraints["settings"][name]["values"], key=lambda one: one != default)
        refusals = []
        for one in values:
            there = replace(platform, settings={**settings, name: one})
            findings = compatibility.judge(chosen, there, catalogues.constraints, catalogues.types)
            against = [
                finding
                for finding in findings
                if finding.verdict == "refuse"
                and (set(names) & set(finding.components) or any(f"{name}={one}" in side for side in finding.sides))
            ]
            if not against:
                settings[name] = one
                break
            refusals += against
        else:
            first = refusals[0]
            raise TrainingError(
                f"{role}: {first.rule}: {first.sides[0]} against {first.sides[1]}: {first.reason} [{first.source}]",
                first.fix.replace(f"{name}=", f"{role}_{name}: "),
            )
    return settings


def _accepted(role: str, others: Sequence[Component], catalogues: Any, platform: Platform, stack: str | None) -> None:
    """Refuse where a rule speaks against what stays; what speaks against the stack itself here is not its fault."""
    chosen = catalogue.chosen(catalogues.stack, stack, platform.os, platform.arch)
    of_the_stack, findings = (
        compatibility.judge(versions, platform, catalogues.constraints, catalogues.types)
        for versions in (chosen, {**chosen, **{one.name: str(one.found) for one in others}})
    )
    for finding in findings:
        if finding.verdict == "refuse" and finding not in of_the_stack:
            raise TrainingError(f"{role}: the node has {_told(others)}. {finding}", f"{role}_preinstalled: replace")


def _told(others: Sequence[Component]) -> str:
    return ", ".join(f"{one.name} {one.found}, not {one.wanted}" for one in others)


def _stays(one: Component, stack: Mapping[str, Any], platform: Platform) -> Component:
    known = stack["components"][one.name]["versions"].get(one.found)
    packages = packages_of(catalogue.on_platform(known, platform.os, platform.arch)) if known else {}
    return Component(one.name, one.wanted, one.found, str(one.found), False, packages, one.entry)


def _component(
    name: str, entry: Mapping[str, Any], stack: Mapping[str, Any], platform: Platform, found: Found
) -> Component:
    wanted, packages = str(entry["version"]), packages_of(entry)
    version = found.version
    if version is None and found.packages:
        version = version_of(found.packages, name, wanted, stack, platform)
    whole = bool(packages) and set(packages) <= set(found.packages)
    complete = version == wanted and (whole or not packages)
    return Component(name, wanted, version, wanted, not complete, packages, entry)


def packages_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """Package and version of an entry that is narrowed to a platform."""
    found: dict[str, str] = {}
    for kind in ("repositories", "system"):
        for source in entry.get(kind, []):
            found.update(source["packages"])
    return found


def every_package(stack: Mapping[str, Any], name: str) -> set[str]:
    """Names that a component's packages have in any version and on any system."""
    versions = stack["components"].get(name, {}).get("versions", {})
    return {package for entry in versions.values() for package in packages_of(entry)}


def version_of(
    packages: Mapping[str, str], name: str, wanted: str, stack: Mapping[str, Any], platform: Platform
) -> str:
    """The component's version that installed packages are: the wanted one, another of the catalogue, or their own.

    A package's own version is told without its epoch and its revision.
    """
    versions = stack["components"][name]["versions"]
    for version in (wanted, *versions):
        stated = packages_of(catalogue.on_platform(versions.get(version, {}), platform.os, platform.arch))
        if stated and all(name in stated and version_fits(found, stated[name]) for name, found in packages.items()):
            return str(version)
    first = sorted(packages.values())[0]
    return re.sub(r"-[^-]*$", "", first.partition(":")[2] or first)


def expected(
    components: Sequence[Component], platform: Platform, types: Mapping[str, Any], mirror_signer: str = ""
) -> dict[str, Any]:
    """What checks hold the node to, in the form of checks.Expected.

    :param mirror_signer: whose key repositories have in place of their vendor's; empty without a mirror.
    """
    told: dict[str, Any] = {
        "system": platform.os,
        "arch": platform.arch,
        "kernel": platform.kernel,
        "versions": {one.name: one.version for one in components},
        "packages": {one.name: dict(one.packages) for one in components if one.packages},
    }
    kind = "dnf" if platform.os in RPM_SYSTEMS else "apt"
    told["repositories"] = {
        one.name: [
            {"name": name_of(source), "kind": kind, "signer": mirror_signer or source.signer}
            for source in (read_repository(entry, kind, platform.arch) for entry in one.entry["repositories"])
        ]
        for one in components
        if one.entry.get("repositories") and not one.kept
    }
    if platform.instance_type:
        told["instance_type"] = platform.instance_type
    if platform.instance_type and platform.instance_type in types["instance_types"]:
        told["instance"] = catalogue.instance_type(types, platform.instance_type)
    return told
