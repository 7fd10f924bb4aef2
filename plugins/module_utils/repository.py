# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Repositories of packages: what one is, what its packages say, and the files of a node that use it. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import open_address, origin
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

APT_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Debian's names of the catalogue's architectures."""

RPM_SYSTEMS = frozenset({"amazon2023"})
"""Systems of the catalogue whose packages are .rpm."""

PREFIX = "adt-"
"""What the names of our files on a node begin with."""


@dataclass(frozen=True)
class Repository:
    """A repository of packages, for one architecture.

    :param kind: ``apt`` or ``dnf``.
    :param suite: apt: the suite; one that ends in / is flat, which has no sections.
    :param arch: x86_64 or aarch64.
    :param signer: fingerprint of the key that signs its index.
    :param key: address of that key.
    :param module: dnf: the module stream that is enabled first.
    """

    kind: str
    base: str
    suite: str
    sections: tuple[str, ...]
    arch: str
    signer: str
    key: str
    module: str = field(default="", compare=False)

    @property
    def flat(self) -> bool:
        """Whether packages and index lie in one folder."""
        return self.suite.endswith("/")


@dataclass(frozen=True)
class Relation:
    """What a package needs or provides: a name, and an operator and a version where it says so."""

    name: str
    operator: str = ""
    version: str = ""


@dataclass(frozen=True)
class Package:
    """An entry of a repository's index.

    :param path: of its file, from the repository's base.
    :param needs: all of these, of each any one.
    :param entry: the index's own words for it.
    """

    name: str
    version: str
    arch: str
    sha256: str
    size: int
    path: str
    needs: tuple[tuple[Relation, ...], ...] = ()
    provides: tuple[Relation, ...] = ()
    entry: str = ""


def read_repository(given: Mapping[str, Any], kind: str, arch: str) -> Repository:
    """An entry of ``repositories`` in the catalogue; refused where its index has no pinned signer."""
    base, key = given["base"], given.get("key") or {}
    for address in (base["url"], key.get("url", "")):
        open_address(address)
    signer = base.get("signer") or key.get("signer") or ""
    if not signer or not key.get("url"):
        reason = base.get("unverified") or key.get("unverified") or "it has no signer or no key"
        raise TrainingError(
            f"repository {origin(base['url'])} is unverified ({reason})",
            "state in stack_overrides base with signer (its key's fingerprint) and verified_from, and key: {url: …}",
        )
    suite = given.get("suite") or ("/" if kind == "apt" else "")
    sections = () if suite.endswith("/") else tuple(given.get("sections") or ())
    if kind == "apt" and not suite.endswith("/") and not sections:
        raise TrainingError(
            f"repository {origin(base['url'])} has suite {suite!r} and no sections", "give its sections"
        )
    return Repository(kind, base["url"], suite, sections, arch, signer, key["url"], given.get("module") or "")


def name_of(repository: Repository) -> str:
    """The name of a repository's files on a node: one for each address, suite and kind, whatever component asks."""
    parts = urlsplit(repository.base)
    words = f"{parts.hostname or 'local'} {parts.path} {repository.suite}"
    return PREFIX + re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


@dataclass(frozen=True)
class NodeFile:
    """A file of a node: its content, or None where it shall not be there."""

    path: str
    content: bytes | None


def node_files(
    repository: Repository, base: str, keys: Sequence[bytes], component: str, held: Mapping[str, str], present: bool
) -> list[NodeFile]:
    """What a node has of a repository, or loses with it.

    :param base: the address that the node takes it from.
    :param keys: packets of the key of the index, and of the key of the packages where that is another.
    :param held: package: version that it is held at; dnf's own list of those is not among the files.
    """
    name = name_of(repository)
    if repository.kind == "apt":
        keyring = f"/etc/apt/keyrings/{name}.gpg"
        files = {
            keyring: keys[0] if keys else b"",
            f"/etc/apt/sources.list.d/{name}.sources": deb822(repository, base, keyring).encode(),
            f"/etc/apt/preferences.d/{PREFIX}{component}.pref": preferences(held).encode() if held else None,
        }
    else:
        paths = [f"/etc/pki/rpm-gpg/{name}.asc", f"/etc/pki/rpm-gpg/{name}-packages.asc"]
        files = {path: armoured(key) for path, key in zip(paths, keys)}
        files.update({path: None for path in paths[len(keys) :]})
        files[f"/etc/yum.repos.d/{name}.repo"] = dnf_repo(name, repository, base, paths[: len(keys)]).encode()
        if repository.module:
            stream = repository.module.partition(":")
            files[f"/etc/dnf/modules.d/{stream[0]}.module"] = module_stream(stream[0], stream[2]).encode()
    return [NodeFile(path, content if present else None) for path, content in files.items()]


def module_stream(name: str, stream: str) -> str:
    """What ``dnf module enable`` writes to /etc/dnf/modules.d."""
    return f"[{name}]\nname={name}\nstream={stream}\nprofiles=\nstate=enabled\n\n"


def architectures_of(repository: Repository) -> tuple[str, str]:
    """The architectures of packages that a node of the repository's installs, in its own words."""
    if repository.kind == "apt":
        return APT_ARCHITECTURES[repository.arch], "all"
    return repository.arch, "noarch"


def matching(packages: Iterable[Package], name: str, wanted: str) -> list[Package]:
    """The packages of a name and a version as the catalogue writes it: whole, or its beginning with ``*`` after it.

    A version of rpm may be stated without its epoch.
    """
    return [one for one in packages if one.name == name and version_fits(one.version, wanted)]


def version_fits(version: str, wanted: str) -> bool:
    """Whether a version is the one that the catalogue states."""
    forms = [version] if ":" in wanted else [version, version.partition(":")[2] or version]
    if wanted.endswith("*"):
        return any(form.startswith(wanted[:-1]) for form in forms)
    return wanted in forms


def missing(repository: Repository, packages: Iterable[Package], name: str, wanted: str) -> TrainingError:
    """The refusal of a package that a repository does not have."""
    there = sorted({one.version for one in packages if one.name == name})
    has = f"it has {', '.join(there[-5:])}" if there else "it has no version of it"
    where = f"{origin(repository.base)}{f' {repository.suite}' if repository.suite.strip('/') else ''}"
    return TrainingError(
        f"{name} {wanted} is not in repository {where}: {has}", "state a version that is there in stack_overrides"
    )


def deb822(repository: Repository, base: str, keyring: str) -> str:
    """The file of /etc/apt/sources.list.d; :param base: the address that the node takes it from."""
    lines = ["Types: deb", f"URIs: {base}", f"Suites: {repository.suite}"]
    if repository.sections:
        lines.append(f"Components: {' '.join(repository.sections)}")
    lines += [f"Architectures: {APT_ARCHITECTURES[repository.arch]}", f"Signed-By: {keyring}"]
    return _MANAGED + "\n".join(lines) + "\n"


def preferences(packages: Mapping[str, str]) -> str:
    """The file of /etc/apt/preferences.d that holds packages at their versions.

    Priority 1000 (apt_preferences(5)): the version is taken whatever else is newer; an installed newer one is kept,
    for more than 1000 would replace it at any upgrade.
    """
    paragraphs = [
        f"Package: {name}\nPin: version {version}\nPin-Priority: 1000\n" for name, version in packages.items()
    ]
    return _MANAGED + "\n".join(paragraphs)


def dnf_repo(name: str, repository: Repository, base: str, keys: Sequence[str]) -> str:
    """The file of /etc/yum.repos.d; :param keys: paths of the keys of the index and of the packages."""
    return _MANAGED + "\n".join(
        [
            f"[{name}]",
            f"name={name}",
            f"baseurl={base}",
            "enabled=1",
            "gpgcheck=1",
            "repo_gpgcheck=1",
            f"gpgkey={' '.join(f'file://{key}' for key in keys)}",
            "",
        ]
    )


_MANAGED = "# Written by Ansible, role awsome.distributed_training.repository.\n"


def version_locks(text: str, name: str, packages: Mapping[str, str]) -> str:
    """versionlock.list of dnf with a component's packages at their versions, or without them where there are none.

    They stay where they are in the list, so that components that share it do not move each other.
    """
    begin, end = f"# begin {name}\n", f"# end {name}\n"
    there = re.compile(rf"^{re.escape(begin)}.*?^{re.escape(end)}", re.MULTILINE | re.DOTALL)
    locks = [f"{one}-{version if ':' in version else f'0:{version}'}.*\n" for one, version in packages.items()]
    block = begin + "".join(locks) + end if locks else ""
    if there.search(text):
        return there.sub(lambda match: block, text)
    if block and text and not text.endswith("\n"):
        text += "\n"
    return text + block


def armoured(key: bytes) -> bytes:
    """A public key in the armour that rpm reads (RFC 9580, section 6)."""
    body = base64.b64encode(key).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    check = base64.b64encode(_crc24(key).to_bytes(3, "big")).decode()
    begin, end = ("-----" + word + " PGP PUBLIC KEY BLOCK-----" for word in ("BEGIN", "END"))
    return ("\n".join([begin, "", *lines, f"={check}", end]) + "\n").encode()


def _crc24(data: bytes) -> int:
    value = 0xB704CE
    for byte in data:
        value ^= byte << 16
        for _ in range(8):
            value <<= 1
            if value & 0x1000000:
                value ^= 0x1864CFB
    return value & 0xFFFFFF
