# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A mirror's folder: what is there, what is fetched into it, and its own signed indexes. Controller only."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible_collections.awsome.distributed_training.plugins.module_utils import (
    artifact_openpgp,
    repository_apt,
    repository_dnf,
    repository_index,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import (
    Artifact,
    joined,
    mirror_address,
    origin,
    place,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact_download import (
    Options,
    bring,
    free_bytes,
    prove,
    sha256_of,
    signature_and_key,
    size_of,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.mirror_closure import (
    COMPARE,
    closure,
    newest_of,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.mirror_plan import (
    Item,
    Wanted,
    WantedRepository,
    readable,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import (
    APT_ARCHITECTURES,
    Package,
    Repository,
    architectures_of,
    armoured,
)

Say = Callable[[str], None]
INDEX = "mirror.json"
KEY = "mirror.asc"
_PARTIAL = ".partial"
_SAY_EVERY_S = 10


@dataclass(frozen=True)
class Planned:
    """A file to have: what it is held to, where it lies, and how much it is.

    :param index_signer: of a package the fingerprint that the vendor's index was held to.
    """

    item: Item
    artifact: Artifact
    index_signer: str = ""


@dataclass
class PlannedRepository:
    """A repository's signed index, and by part of it the packages that the mirror has."""

    wanted: WantedRepository
    index: repository_index.Index
    parts: dict[str, list[Package]]
    extra: dict[str, bytes] = field(default_factory=dict)
    """dnf: further parts of its index, unpacked."""

    @property
    def repository(self) -> Repository:
        """The catalogue's entry."""
        return self.wanted.repository


@dataclass
class Plan:
    """All that a mirror shall have."""

    files: list[Planned]
    repositories: list[PlannedRepository]


def make_plan(wanted: Wanted, folder: str, options: Options, say: Say) -> Plan:
    """Ask every origin for sizes and signed indexes; nothing is written."""
    plan = Plan([], [])
    for file in wanted.files:
        path = place(file.artifact.url)
        here = _is_here(file.artifact, folder, path)
        size = os.path.getsize(os.path.join(folder, path)) if here else size_of(file.artifact.url, options)
        plan.files.append(Planned(Item(file.component, file.version, path, size, here), file.artifact))
    for entry in wanted.repositories:
        say(f"reading the index of {origin(entry.repository.base)} {entry.repository.suite}".rstrip(" /"))
        planned = _plan_repository(entry, options)
        plan.repositories.append(planned)
        seen = {one.item.path for one in plan.files}
        for component, package in _by_component(planned):
            artifact = Artifact(joined(entry.repository.base, package.path), sha256=package.sha256)
            path = place(artifact.url)
            if path not in seen:
                here = _is_here(artifact, folder, path)
                item = Item(component[0], component[1], path, package.size, here)
                plan.files.append(Planned(item, artifact, planned.index.source.signer))
                seen.add(path)
    return plan


def _plan_repository(entry: WantedRepository, options: Options) -> PlannedRepository:
    repository = entry.repository
    source = repository_index.source_of(repository)
    index = repository_index.read_index(repository, source, options)
    parts = repository_index.read_packages(repository, index, options)
    usable = [one for part in parts.values() for one in part if one.arch in architectures_of(repository)]
    asked = [one for packages in entry.packages.values() for one in newest_of(repository, packages, usable)]
    taken = set(closure(asked, usable, COMPARE[repository.kind]))
    kept = {name: [one for one in part if one in taken] for name, part in parts.items()}
    extra = {}
    if repository.kind == "dnf":
        for kind in ("filelists", "modules"):
            if kind in index.parts:
                extra[kind] = repository_index.read_part(index, kind, options)
    return PlannedRepository(entry, index, kept, extra)


def _by_component(planned: PlannedRepository) -> list[tuple[tuple[str, str], Package]]:
    """Each package, with the first component that asks for it or needs it."""
    compare = COMPARE[planned.repository.kind]
    taken = [one for part in planned.parts.values() for one in part]
    found: dict[Package, tuple[str, str]] = {}
    for component, packages in planned.wanted.packages.items():
        for one in newest_of(planned.repository, packages, taken):
            found[one] = component
    for component, packages in planned.wanted.packages.items():
        for one in closure(newest_of(planned.repository, packages, taken), taken, compare):
            found.setdefault(one, component)
    last = next(iter(planned.wanted.packages))
    return [(found.get(one, last), one) for one in taken]


def _is_here(artifact: Artifact, folder: str, path: str) -> bool:
    """Whether the mirror has that very file; a signed one is held to the signature beside it."""
    kept = os.path.join(folder, path)
    if not os.path.isfile(kept):
        return False
    try:
        signature, key = signature_and_key(artifact, Options(attempts=1), folder)
        prove(artifact, kept, sha256_of(kept), signature, key)
    except TrainingError:
        return False
    return True


def see_room(plan: Plan, folder: str) -> None:
    """Refuse before the first byte where the disk has no room for what is to fetch."""
    needed = sum(one.item.size or 0 for one in plan.files if not one.item.here)
    if needed > free_bytes(folder):
        raise TrainingError(
            f"the disk of {folder} is full: the mirror needs {readable(needed)} more, "
            f"and {readable(free_bytes(folder))} are free",
            "make room, name another mirror_dir, or fewer components",
        )


def fetch_missing(plan: Plan, folder: str, options: Options, say: Say) -> int:
    """Fetch what is not there, each file held to its digest or signer; returns how many came."""
    todo = [one for one in plan.files if not one.item.here]
    partial_folder = os.path.join(folder, _PARTIAL)
    _make_folder(partial_folder)
    for number, one in enumerate(todo, 1):
        name = os.path.basename(one.item.path)
        say(f"[{number}/{len(todo)}] {one.item.component} {one.item.version}: {name}, {readable(one.item.size)}")
        stated = f"{one.artifact.url}\0{one.artifact.sha256}\0{one.artifact.signer}"
        partial = os.path.join(partial_folder, hashlib.sha256(stated.encode()).hexdigest())
        telling = Options(
            options.redirects, options.timeout_s, options.attempts, options.sleep, _Teller(say, time.monotonic).tell
        )
        proof = bring(one.artifact, partial, telling, keep_partial=True)
        if one.artifact.signer and proof.signature:
            _write(os.path.join(folder, place(one.artifact.signature)), proof.signature)
            _write(os.path.join(folder, place(one.artifact.key)), proof.key)
        _move(partial, os.path.join(folder, one.item.path))
    shutil.rmtree(partial_folder)
    return len(todo)


class _Teller:
    """Says how far a long download is."""

    def __init__(self, say: Say, clock: Callable[[], float]) -> None:
        self._say, self._clock, self._last = say, clock, clock()

    def tell(self, have: int, whole: int | None) -> None:
        if self._clock() - self._last >= _SAY_EVERY_S:
            self._last = self._clock()
            self._say(f"  {readable(have)} of {readable(whole)}")


class Signer:
    """A key of the user's own GnuPG."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        listed = self._gpg("--with-colons", "--list-secret-keys", fingerprint, fails=True).decode()
        if not any(line.startswith("fpr:") and line.split(":")[9] == fingerprint for line in listed.splitlines()):
            raise TrainingError(
                f"mirror_signer={fingerprint}: your GnuPG has no such secret key",
                "gpg --list-secret-keys shows yours; gpg --quick-generate-key 'mirror' ed25519 sign makes one",
            )
        self.public = self._gpg("--export", fingerprint)

    def detached(self, data: bytes) -> bytes:
        """An armoured signature."""
        return self._sign("--armor", "--detach-sign", data=data)

    def clear(self, data: bytes) -> bytes:
        """The text with a signature around it."""
        return self._sign("--clear-sign", data=data)

    def _sign(self, *words: str, data: bytes) -> bytes:
        return self._gpg("--local-user", f"{self.fingerprint}!", "--digest-algo", "SHA512", *words, data=data)

    def _gpg(self, *words: str, data: bytes = b"", fails: bool = False) -> bytes:
        program = shutil.which("gpg")
        if not program:
            raise TrainingError("gpg is not on the PATH, and the mirror is signed by it", "install gnupg")
        ran = subprocess.run([program, "--batch", "--quiet", *words], input=data, capture_output=True, check=False)
        if ran.returncode and not fails:
            said = ran.stderr.decode(errors="replace").strip().splitlines()
            raise TrainingError(
                f"gpg does not sign: {said[-1] if said else 'it says nothing'}", "see that the key can sign"
            )
        return ran.stdout


def see_signer(folder: str, signer: Signer) -> None:
    """Refuse a folder that another key signed: its indexes would be lost."""
    path = os.path.join(folder, KEY)
    if os.path.exists(path):
        with open(path, "rb") as file:
            keys = artifact_openpgp.public_keys(file.read())
        if signer.fingerprint not in keys:
            raise TrainingError(
                f"the mirror in {folder} is signed by {', '.join(sorted(keys)) or 'nobody'}, "
                f"and mirror_signer is {signer.fingerprint}",
                "sign with that key, or write another mirror_dir",
            )


def write_indexes(plan: Plan, folder: str, signer: Signer, now: float) -> list[str]:
    """Write and sign the mirror's own indexes where they change; returns the paths of those that did."""
    changed = []
    if _write_if_other(os.path.join(folder, KEY), _armoured(signer)):
        changed.append(KEY)
    groups: dict[tuple[str, str, str], list[PlannedRepository]] = {}
    for planned in plan.repositories:
        repository = planned.repository
        groups.setdefault((repository.kind, repository.base, repository.suite), []).append(planned)
        _write_if_other(os.path.join(folder, place(repository.key)), planned.index.key)
    for (kind, base, _), planned_ones in groups.items():
        write = _write_apt if kind == "apt" else _write_dnf
        inside = place(base)
        changed += [os.path.join(inside, path) for path in write(planned_ones, folder, signer, now)]
    return changed


def _armoured(signer: Signer) -> bytes:
    return armoured(artifact_openpgp.pinned_key(signer.public, signer.fingerprint, "the user's GnuPG"))


def _own_index(repository: Repository, folder: str, signer: Signer) -> tuple[repository_index.Index, Options] | None:
    """The mirror's index of a repository as an earlier run wrote it; None where there is none."""
    root = mirror_address(os.path.abspath(folder))
    inside = os.path.join(folder, place(repository.base))
    suite = repository_apt.suite_folder(repository) if repository.kind == "apt" else ""
    top = "InRelease" if repository.kind == "apt" else "repodata/repomd.xml.asc"
    if not os.path.exists(os.path.join(inside, suite, top)):
        return None
    options = Options(attempts=1)
    source = repository_index.Source(joined(root, place(repository.base)), joined(root, KEY), signer.fingerprint)
    try:
        return repository_index.read_index(repository, source, options), options
    except TrainingError as error:
        raise TrainingError(error.problem, f"remove {os.path.join(inside, suite)}, and run again") from None


def _united(new: Sequence[Package], old: Sequence[Package], folder: str, base: str) -> list[Package]:
    """Packages of this run, and those of earlier ones whose files are still there."""
    kept = {
        (one.name, one.version, one.arch): one
        for one in old
        if os.path.exists(os.path.join(folder, place(base), one.path))
    }
    kept.update({(one.name, one.version, one.arch): one for one in new})
    return list(kept.values())


def _write_apt(planned: Sequence[PlannedRepository], folder: str, signer: Signer, now: float) -> list[str]:
    """Packages, Release and InRelease of a suite, over all its architectures and sections."""
    first = planned[0].repository
    inside, suite = os.path.join(folder, place(first.base)), repository_apt.suite_folder(first)
    parts: dict[str, list[Package]] = {}
    for one in planned:
        for name, packages in one.parts.items():
            parts[name] = _united(packages, parts.get(name, []), folder, first.base)
    before = _own_index(first, folder, signer)
    architectures = {APT_ARCHITECTURES[one.repository.arch] for one in planned}
    sections = [section for one in planned for section in one.repository.sections]
    if before:
        index, options = before
        for name in (name for name in index.parts if os.path.basename(name) == "Packages"):
            text = repository_index.read_part(index, name, options).decode()
            old = repository_apt.read_packages(text, first.base)
            parts[name] = _united(parts.get(name, []), old, folder, first.base)
        architectures |= set(index.release.get("architectures", "").split())
        sections += index.release.get("components", "").split()
    files: dict[str, bytes] = {}
    for name, packages in parts.items():
        content = repository_apt.packages_text(packages).encode()
        files.update({name: content, f"{name}.gz": gzip.compress(content, mtime=0)})
    listed = {name: (hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()}
    if before and {name: part[1:] for name, part in before[0].parts.items()} == listed:
        return []
    release = repository_apt.release_text(
        planned[0].index.release, first.base, sorted(architectures), list(dict.fromkeys(sections)), files, now
    ).encode()
    top = {"Release": release, "Release.gpg": signer.detached(release), "InRelease": signer.clear(release)}
    for name, content in {**files, **top}.items():
        _write(os.path.join(inside, suite, name), content)
    return [os.path.join(suite, "InRelease")]


def _write_dnf(planned: Sequence[PlannedRepository], folder: str, signer: Signer, now: float) -> list[str]:
    """repomd.xml, its signature, and its parts."""
    first = planned[0].repository
    inside = os.path.join(folder, place(first.base))
    packages = [package for one in planned for package in one.parts["primary"]]
    lists = [one.extra["filelists"] for one in planned if "filelists" in one.extra]
    before = _own_index(first, folder, signer)
    if before:
        index, options = before
        old = repository_dnf.read_primary(repository_index.read_part(index, "primary", options), first.base)
        packages = _united(packages, old, folder, first.base)
        if "filelists" in index.parts:
            lists.append(repository_index.read_part(index, "filelists", options))
    else:
        packages = _united(packages, [], folder, first.base)
    parts = {"primary": repository_dnf.primary_text(packages)}
    entries: dict[str, str] = {}
    for text in lists:
        entries.update(repository_dnf.file_lists(text, first.base, [one.sha256 for one in packages]))
    if lists:
        parts["filelists"] = repository_dnf.filelists_text(entries)
    if "modules" in planned[0].extra:
        parts["modules"] = planned[0].extra["modules"]
    repomd, files = repository_dnf.repomd_text(parts, int(now))
    if before and {part[0] for part in before[0].parts.values()} == set(files):
        return []
    top = {"repodata/repomd.xml": repomd, "repodata/repomd.xml.asc": signer.detached(repomd)}
    for name, content in {**files, **top}.items():
        _write(os.path.join(inside, name), content)
    for name in os.listdir(os.path.join(inside, "repodata")):
        if f"repodata/{name}" not in files and f"repodata/{name}" not in top:
            os.unlink(os.path.join(inside, "repodata", name))
    return ["repodata/repomd.xml"]


def write_record(plan: Plan, folder: str, about: Mapping[str, Any], now: str) -> bool:
    """mirror.json: what the mirror has, and for which stacks and systems; False where it stays as it is."""
    path = os.path.join(folder, INDEX)
    before: dict[str, Any] = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            before = json.load(file)
    files = {one["path"]: one for one in before.get("files", [])}
    for one in plan.files:
        kept = os.path.join(folder, one.item.path)
        files[one.item.path] = {
            "component": one.item.component,
            "version": one.item.version,
            "path": one.item.path,
            "origin": origin(one.artifact.url),
            "sha256": one.artifact.sha256 or sha256_of(kept).sha256,
            "size": os.path.getsize(kept),
            "verified": "signed index" if one.index_signer else "digest" if one.artifact.sha256 else "signature",
        }
        signer = one.index_signer or one.artifact.signer
        if signer:
            files[one.item.path]["signer"] = signer
    runs = [run for run in before.get("runs", []) if run != about] + [dict(about)]
    after = {
        "schema": 1,
        "signer": about["signer"],
        "runs": runs if about not in before.get("runs", []) else before["runs"],
        "files": sorted(files.values(), key=lambda one: str(one["path"])),
    }
    if {key: value for key, value in before.items() if key != "written"} == after:
        return False
    _write(path, (json.dumps({**after, "written": now}, indent=1, sort_keys=True) + "\n").encode())
    return True


def _write_if_other(path: str, content: bytes) -> bool:
    if os.path.exists(path):
        with open(path, "rb") as file:
            if file.read() == content:
                return False
    _write(path, content)
    return True


def _write(path: str, content: bytes) -> None:
    """A file in one step, for everybody to read."""
    _make_folder(os.path.dirname(path))
    with open(f"{path}.new", "wb") as file:
        file.write(content)
    _move(f"{path}.new", path)


def _move(old: str, new: str) -> None:
    _make_folder(os.path.dirname(new))
    os.chmod(old, 0o644)
    os.replace(old, new)


def _make_folder(path: str) -> None:
    """A folder that package managers, which read as a user of their own, may look into."""
    os.makedirs(path, mode=0o755, exist_ok=True)
