# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Indexes of dnf repositories: repomd.xml and primary.xml, read and written (createrepo_c's format). Pure."""

from __future__ import annotations

import gzip
import hashlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import origin, safe_path
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import Package, Relation

_NAMESPACES = "linux.duke.edu/metadata"
_REPO, _COMMON, _RPM, _FILELISTS = (f"http://{_NAMESPACES}/{name}" for name in ("repo", "common", "rpm", "filelists"))
"""Names of the format; nothing is downloaded from them."""

_OPERATORS = {"EQ": "=", "LT": "<<", "LE": "<=", "GT": ">>", "GE": ">="}
_NAME_IN_RICH = re.compile(r"[A-Za-z0-9][^\s()]*")
_RICH_WORDS = {"and", "or", "if", "else", "with", "without", "unless"}


@dataclass(frozen=True)
class Part:
    """A file of a repository's index: its path from the base, sha256 and size."""

    path: str
    sha256: str
    size: int | None


def read_repomd(data: bytes, where: str) -> dict[str, Part]:
    """The parts of an index by their type."""
    parts = {}
    for element in _parsed(data, where).iter(f"{{{_REPO}}}data"):
        location, checksum = element.find(f"{{{_REPO}}}location"), element.find(f"{{{_REPO}}}checksum")
        size = element.findtext(f"{{{_REPO}}}size")
        if location is None or checksum is None or checksum.get("type") != "sha256":
            continue
        path = safe_path(location.get("href", ""), where)
        parts[element.get("type", "")] = Part(path, (checksum.text or "").strip(), int(size) if size else None)
    if "primary" not in parts:
        raise TrainingError(f"{where} names no primary index with a sha256", "take another repository")
    return parts


def read_primary(data: bytes, base: str) -> list[Package]:
    """The entries of a primary index."""
    for prefix, uri in (("", _COMMON), ("rpm", _RPM)):
        ElementTree.register_namespace(prefix, uri)
    found = []
    for element in _parsed(data, origin(base)).iter(f"{{{_COMMON}}}package"):
        version, size = element.find(f"{{{_COMMON}}}version"), element.find(f"{{{_COMMON}}}size")
        checksum, location = element.find(f"{{{_COMMON}}}checksum"), element.find(f"{{{_COMMON}}}location")
        name = element.findtext(f"{{{_COMMON}}}name", "")
        about = element.find(f"{{{_COMMON}}}format")
        if version is None or size is None or checksum is None or location is None or about is None:
            raise TrainingError(f"the index of {origin(base)} says too little of {name}", "take another repository")
        if checksum.get("type") != "sha256":
            raise TrainingError(
                f"the index of {origin(base)} holds {name} to {checksum.get('type')}", "take another repository"
            )
        files = tuple(Relation(one.text or "") for one in about.iter(f"{{{_COMMON}}}file"))
        element.tail = "\n"
        found.append(
            Package(
                name=name,
                version=_version(version),
                arch=element.findtext(f"{{{_COMMON}}}arch", ""),
                sha256=(checksum.text or "").strip(),
                size=int(size.get("package", "0")),
                path=safe_path(location.get("href", ""), base),
                needs=tuple(_relations(about, "requires")),
                provides=tuple(one for group in _relations(about, "provides") for one in group) + files,
                entry=ElementTree.tostring(element, encoding="unicode"),
            )
        )
    return found


def _version(element: ElementTree.Element) -> str:
    """``epoch:version-release``, without an epoch of 0."""
    epoch, release = element.get("epoch") or "0", element.get("rel")
    number = f"{element.get('ver', '')}{f'-{release}' if release else ''}"
    return number if epoch == "0" else f"{epoch}:{number}"


def _relations(about: ElementTree.Element, kind: str) -> list[tuple[Relation, ...]]:
    groups = []
    for entry in about.findall(f"{{{_RPM}}}{kind}/{{{_RPM}}}entry"):
        name = entry.get("name", "")
        if name.startswith("rpmlib("):
            continue
        if name.startswith("(") and name.endswith(")") and " " in name:
            # a rich dependency: any package of the repository that it names may be needed
            words = [word for word in _NAME_IN_RICH.findall(name) if word not in _RICH_WORDS]
            groups.append(tuple(Relation(word) for word in words))
            continue
        operator = _OPERATORS.get(entry.get("flags", ""), "")
        groups.append((Relation(name, operator, _version(entry) if operator else ""),))
    return groups


def file_lists(data: bytes, where: str, kept: Iterable[str]) -> dict[str, str]:
    """The entries of a filelists index for the packages with some sha256, by that."""
    ElementTree.register_namespace("", _FILELISTS)
    wanted, found = set(kept), {}
    for element in _parsed(data, where).iter(f"{{{_FILELISTS}}}package"):
        digest = element.get("pkgid", "")
        if digest in wanted:
            element.tail = "\n"
            found[digest] = ElementTree.tostring(element, encoding="unicode")
    return found


def primary_text(packages: Iterable[Package]) -> bytes:
    """A primary index with the vendor's own words for each package."""
    ordered = sorted(packages, key=lambda one: (one.name, one.version, one.arch))
    head = f'<metadata xmlns="{_COMMON}" xmlns:rpm="{_RPM}" packages="{len(ordered)}">\n'
    return (_XML + head + "".join(one.entry for one in ordered) + "</metadata>\n").encode()


def filelists_text(entries: Mapping[str, str]) -> bytes:
    """A filelists index of entries that file_lists gave."""
    text = "".join(entries[digest] for digest in sorted(entries))
    return (_XML + f'<filelists xmlns="{_FILELISTS}" packages="{len(entries)}">\n{text}</filelists>\n').encode()


def repomd_text(parts: Mapping[str, bytes], revision: int) -> tuple[bytes, dict[str, bytes]]:
    """repomd.xml, and its files by their path from the base, each named after its digest.

    :param parts: type of the part: its content, not compressed.
    :param revision: a number that grows with each writing.
    """
    files, lines = {}, [f'<repomd xmlns="{_REPO}">', f"  <revision>{revision}</revision>"]
    for kind, content in sorted(parts.items()):
        packed = gzip.compress(content, mtime=0)
        digest = hashlib.sha256(packed).hexdigest()
        path = f"repodata/{digest}-{kind}.{'yaml' if kind == 'modules' else 'xml'}.gz"
        files[path] = packed
        lines += [
            f"  <data type={quoteattr(kind)}>",
            f'    <checksum type="sha256">{digest}</checksum>',
            f'    <open-checksum type="sha256">{hashlib.sha256(content).hexdigest()}</open-checksum>',
            f"    <location href={quoteattr(path)}/>",
            f"    <timestamp>{revision}</timestamp>",
            f"    <size>{len(packed)}</size>",
            f"    <open-size>{len(content)}</open-size>",
            "  </data>",
        ]
    return (_XML + "\n".join(lines) + "\n</repomd>\n").encode(), files


_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


def _parsed(data: bytes, where: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise TrainingError(f"{origin(where)} is no XML: {error}", "see whether it is a dnf repository") from None
