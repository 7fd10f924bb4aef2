# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The index of a repository, fetched and held to the pinned signer. Each of its parts is held to the signed one."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.awsome.distributed_training.plugins.module_utils import (
    artifact_openpgp,
    repository_apt,
    repository_dnf,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import (
    joined,
    mirror_address,
    mirrored,
    origin,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact_download import (
    MissingError,
    Options,
    fetch_bytes,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import Package, Repository

_MOST = 1 << 29
"""Most bytes of an index: the largest of NVIDIA's and Debian's are below 2**26."""

_CHANGED = "do not use it; try again, and if it stays so see whether the repository or the mirror was changed"


@dataclass(frozen=True)
class Source:
    """Where a repository is taken from: its origin, or a mirror, which has a signer of its own."""

    base: str
    key_address: str
    signer: str


@dataclass(frozen=True)
class Index:
    """The signed index of a repository.

    :param key: packets of the key that signed it.
    :param release: apt: the fields of Release; dnf: nothing.
    :param parts: what the signed index names: path from the base, sha256 and size (None: not stated).
    """

    source: Source
    key: bytes
    release: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, tuple[str, str, int | None]] = field(default_factory=dict)


def source_of(repository: Repository, mirror: str = "", mirror_signer: str = "") -> Source:
    """Where a node takes a repository from; a mirror signs what it has with its own key, ``mirror.asc``."""
    if not mirror:
        return Source(repository.base, repository.key, repository.signer)
    if not mirror_signer:
        raise TrainingError(
            "a mirror is given, and not whom it is signed by",
            "set artifact_mirror_signer to the full fingerprint of its key",
        )
    return Source(mirrored(repository.base, mirror), joined(mirror_address(mirror), "mirror.asc"), mirror_signer)


def read_index(repository: Repository, source: Source, options: Options) -> Index:
    """The signed index; refused where signer, signature, key or date are not as they should be."""
    key = artifact_openpgp.pinned_key(
        fetch_bytes(source.key_address, options), source.signer, origin(source.key_address)
    )
    if repository.kind == "apt":
        return _read_release(repository, source, key, options)
    address = joined(source.base, "repodata/repomd.xml")
    data = fetch_bytes(address, options, _MOST)
    _verified(data, _signature(f"{address}.asc", address, options), key, source.signer, address)
    parts = repository_dnf.read_repomd(data, address)
    return Index(source, key, {}, {kind: (part.path, part.sha256, part.size) for kind, part in parts.items()})


def _read_release(repository: Repository, source: Source, key: bytes, options: Options) -> Index:
    folder = joined(source.base, repository_apt.suite_folder(repository)).rstrip("/")
    address = f"{folder}/InRelease"
    try:
        message = fetch_bytes(address, options, _MOST)
    except MissingError:
        address = f"{folder}/Release"
        text = fetch_bytes(address, options, _MOST)
        _verified(text, _signature(f"{address}.gpg", address, options), key, source.signer, address)
    else:
        text = artifact_openpgp.opened(message, key, source.signer, origin(address))
    release = repository_apt.read_release(text.decode(errors="replace"), origin(address), time.time())
    inside = repository_apt.suite_folder(repository)
    parts = {path: (repository_apt.below(inside, path), digest, size) for path, (digest, size) in release.files.items()}
    return Index(source, key, release.fields, parts)


def _signature(address: str, of: str, options: Options) -> bytes:
    try:
        return fetch_bytes(address, options)
    except MissingError:
        raise TrainingError(f"{origin(of)} is not signed: there is no {origin(address)}", _CHANGED) from None


def _verified(data: bytes, signature: bytes, key: bytes, signer: str, address: str) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        artifact_openpgp.verify_detached(file.name, signature, key, signer, origin(address))


def read_part(index: Index, name: str, options: Options) -> bytes:
    """A part of an index, held to the sha256 that the signed one states, and unpacked."""
    path, digest, size = index.parts[name]
    address = joined(index.source.base, path)
    packed = fetch_bytes(address, options, _MOST if size is None else size)
    found = hashlib.sha256(packed).hexdigest()
    if found != digest:
        raise TrainingError(f"{origin(address)} has sha256 {found}, and the signed index states {digest}", _CHANGED)
    return unpacked(packed, path)


def unpacked(data: bytes, path: str) -> bytes:
    """What a compressed file holds, by the ending of its name."""
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".xz"):
        return lzma.decompress(data)
    if path.endswith(".bz2"):
        return bz2.decompress(data)
    if path.endswith(".zst"):
        program = shutil.which("zstd")
        if not program:
            raise TrainingError(f"{path} is packed by zstd, which is missing", "install zstd")
        ran = subprocess.run(
            [program, "--decompress", "--stdout", "--quiet"], input=data, capture_output=True, check=False
        )
        if ran.returncode:
            raise TrainingError(f"{path} cannot be unpacked by zstd", _CHANGED)
        return ran.stdout
    return data


def read_packages(repository: Repository, index: Index, options: Options) -> dict[str, list[Package]]:
    """Every package of a repository, by the part of the index that names it (without its ending)."""
    base = repository.base
    if repository.kind == "dnf":
        return {"primary": repository_dnf.read_primary(read_part(index, "primary", options), base)}
    found = {}
    for path in repository_apt.index_paths(repository):
        forms = [path + suffix for suffix in repository_apt.SUFFIXES if path + suffix in index.parts]
        if not forms:
            where = f"{origin(base)} {repository.suite}"
            raise TrainingError(
                f"the signed index of repository {where} names no {path}", "see that suite, sections and arch are right"
            )
        text = read_part(index, forms[0], options).decode(errors="replace")
        found[path] = repository_apt.read_packages(text, base)
    return found
