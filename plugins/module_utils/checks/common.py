# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks that many roles have: packages at their versions, the holds on them, services, files of a repository."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence

from ansible_collections.awsome.distributed_training.plugins.module_utils import artifact_openpgp
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Judgement,
    Probe,
    Reading,
    Readings,
    failed,
    passed,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import (
    PREFIX,
    RPM_SYSTEMS,
    version_fits,
)


def packages(role: str, component: str, name: str = "packages") -> Check:
    """The packages of a component are installed, at the versions that the plan took."""
    return Check(
        id=f"{role}.{name}",
        about=f"the packages of {component} are installed at their versions",
        needs=("system", f"packages.{component}"),
        reads=lambda expected: {"installed": _query(expected, expected["packages"][component])},
        judge=lambda readings, expected: _judge_packages(
            readings, expected["packages"][component], role, expected["system"]
        ),
    )


def service(role: str, unit: str, name: str = "service", enabled: bool = True) -> Check:
    """A systemd unit runs, and starts at boot."""
    shown = Command(("systemctl", "show", "--property=LoadState,ActiveState,SubState,UnitFileState", f"{unit}.service"))
    return Check(
        id=f"{role}.{name}",
        about=f"{unit} runs{', now and after a boot' if enabled else ''}",
        reads=lambda expected: {"unit": shown},
        judge=lambda readings, expected: judge_service(readings, unit, role, enabled),
    )


def judge_service(readings: Readings, unit: str, role: str, enabled: bool = True) -> Judgement:
    """The verdict on ``systemctl show``."""
    shown = dict(line.partition("=")[::2] for line in readings["unit"].lines)
    wanted = "active, enabled" if enabled else "active"
    if shown.get("LoadState") != "loaded":
        return failed(f"systemd has no {unit}.service", f"apply role {role}", shown.get("LoadState", ""), wanted)
    state = ", ".join(filter(None, (shown.get("ActiveState"), shown.get("UnitFileState"))))
    if shown.get("ActiveState") != "active":
        return failed(f"{unit} is {shown.get('ActiveState')}", f"journalctl --unit {unit}", state, wanted)
    if enabled and shown.get("UnitFileState") not in ("enabled", "enabled-runtime", "static", "alias", "indirect"):
        return failed(f"{unit} does not start at boot", f"systemctl enable {unit}", state, wanted)
    return passed(state, wanted)


def judge_version(found: str, wanted: str, told: str, role: str, fix: str = "") -> Judgement:
    """The verdict on a version that something was found to have.

    :param told: what has it, with ``{}`` for the version: ``aws is {}``.
    :param fix: what to do about another; without it the role replaces what is there.
    """
    if found != wanted:
        again = fix or f"apply role {role} with {role}_preinstalled: replace"
        return failed(f"{told.format(found)}, not {wanted}", again, found, wanted)
    return passed(found, wanted)


def judge_program(told: Reading, pattern: str, program: str, wanted: str, role: str) -> Judgement:
    """The verdict on a program that tells its version.

    :param pattern: what it tells at the start of a line; its first group is the version.
    """
    found = re.search(pattern, told.out, re.MULTILINE)
    if told.status != 0 or not found:
        return failed(f"{program} does not run: {said(told)}", f"apply role {role}", limit=wanted)
    return judge_version(found[1], wanted, f"{program} is {{}}", role)


def said(reading: Reading) -> str:
    """Why a command failed, in a line: the first that it wrote, or its status."""
    lines = [*reading.err.splitlines(), *reading.lines]
    return next((line.strip() for line in lines if line.strip()), f"status {reading.status}")


def repository(role: str, component: str, name: str = "repository") -> Check:
    """The node takes a component's packages from the repository with the pinned key alone, and holds them."""
    return Check(
        id=f"{role}.{name}",
        about=f"{component} comes from a repository with the pinned key alone, and is held",
        needs=("system", f"repositories.{component}"),
        reads=lambda expected: _repository_probes(expected["repositories"][component], component),
        judge=lambda readings, expected: _judge_repository(
            readings, expected["repositories"][component], expected["packages"].get(component, {}), role
        ),
    )


def _repository_probes(sources: Sequence[Mapping[str, str]], component: str) -> dict[str, Probe]:
    probes: dict[str, Probe] = {}
    for source in sources:
        name, apt = source["name"], source["kind"] == "apt"
        key = f"/etc/apt/keyrings/{name}.gpg" if apt else f"/etc/pki/rpm-gpg/{name}.asc"
        probes[f"{name} key"] = Command(("base64", "--wrap=0", key))
        probes[f"{name} source"] = File(
            f"/etc/apt/sources.list.d/{name}.sources" if apt else f"/etc/yum.repos.d/{name}.repo"
        )
        probes["held"] = File(
            f"/etc/apt/preferences.d/{PREFIX}{component}.pref" if apt else "/etc/dnf/plugins/versionlock.list"
        )
    return probes


def _judge_repository(
    readings: Readings, sources: Sequence[Mapping[str, str]], packages: Mapping[str, str], role: str
) -> Judgement:
    again = f"apply role {role}"
    for source in sources:
        name, signer = source["name"], source["signer"]
        text, key = readings[f"{name} source"], readings[f"{name} key"]
        if not text.there:
            return failed(f"there is no source {name}", again, limit=signer)
        if key.status != 0:
            return failed(f"there is no key of {name}", again, limit=signer)
        found = sorted(artifact_openpgp.public_keys(artifact_openpgp.binary(base64.b64decode(key.out))))
        if found != [signer]:
            return failed(
                f"{name} trusts {', '.join(found) or 'no key'}, not {signer}", again, ", ".join(found), signer
            )
        for line in VERIFIED[source["kind"]]:
            if not re.search(line.format(name=re.escape(name)), text.out, re.MULTILINE):
                return failed(f"source {name} lacks a line {line.format(name=name)}", again)
    held = readings["held"].out
    loose = [one for one in sorted(packages) if not re.search(_holds(one), held, re.MULTILINE)]
    if loose:
        return failed(f"not held: {', '.join(loose)}", again)
    return passed(", ".join(source["signer"] for source in sources))


VERIFIED = {
    "apt": (r"^Signed-By: /etc/apt/keyrings/{name}\.gpg$",),
    "dnf": (r"^gpgcheck=1$", r"^repo_gpgcheck=1$"),
}
"""Lines without which a package manager would take what nobody signed."""


def _holds(package: str) -> str:
    """What names a package in apt's preferences, or in dnf's list of locks (name-[epoch:]version-release.arch)."""
    return rf"^(Package: {re.escape(package)}$|{re.escape(package)}-\d)"


def _query(expected: Expected, wanted: Mapping[str, str]) -> Probe:
    names = tuple(sorted(wanted))
    if expected["system"] in RPM_SYSTEMS:
        return Command(("rpm", "--query", "--queryformat", "%{NAME}\\t%{EVR}\\n", *names))
    return Command(("dpkg-query", "--show", "--showformat=${Package}\\t${Version}\\t${db:Status-Abbrev}\\n", *names))


def _judge_packages(readings: Readings, wanted: Mapping[str, str], role: str, system: str) -> Judgement:
    found = {}
    for line in readings["installed"].lines:
        fields = line.split("\t")
        if len(fields) == 2 or (len(fields) == 3 and fields[2].startswith(("ii", "hi"))):
            found[fields[0]] = fields[1]
    absent = sorted(set(wanted) - set(found))
    if absent:
        return failed(f"not installed: {', '.join(absent)}", f"apply role {role}", ", ".join(sorted(found)))
    other = [
        f"{name} {found[name]}, not {wanted[name]}"
        for name in sorted(wanted)
        if not version_fits(found[name], wanted[name])
    ]
    if other:
        return failed("; ".join(other), f"apply role {role} with {role}_preinstalled: replace")
    return passed(", ".join(f"{name} {found[name]}" for name in sorted(wanted)))
