"""Stand-ins for every origin of data/stack.yml: a folder that serves them, and the overrides that lead to it."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError, did_you_mean
from ansible_collections.awsome.distributed_training.tests.stand_ins import deb, efa, plain, rpm
from ansible_collections.awsome.distributed_training.tests.stand_ins.package import RPM_SYSTEMS, Package, made
from ansible_collections.awsome.distributed_training.tests.stand_ins.signing import Keyring
from ansible_collections.awsome.distributed_training.tests.stand_ins.tools import require

Artifact = Mapping[str, Any]
Platform = tuple[str, str]
"""OS and architecture."""

VERIFIED_FROM = "calculated: stand-in"
OVERRIDES = "stack_overrides.yml"


def build(
    out: Path,
    document: Mapping[str, Any],
    stack: str | None,
    systems: Iterable[str],
    architectures: Iterable[str],
    components: Iterable[str] | None = None,
    *,
    base_url: str,
) -> dict[str, Any]:
    """Fill a folder with ``HOST/PATH`` for each address of the catalogue that a stack needs, and with the overrides.

    Served are files and repositories. Packages of the OS itself, of PyPI and container images have no origin here; an
    image whose digest nobody knows gets one that no registry has.

    :param out: a folder that is empty, or not there yet.
    :param document: data/stack.yml, read.
    :param stack: None takes the catalogue's default.
    :param components: what to build; None takes all that the stack has.
    :param base_url: where ``out`` will be served: http://127.0.0.1:PORT or file:///FOLDER.
    :returns: the overrides, in the form of data/stack.yml; also written to ``out``.
    :raises TrainingError: a name that the catalogue does not have, a folder that is not empty, a missing tool.
    """
    asked = [(system, arch) for system in sorted(set(systems)) for arch in sorted(set(architectures))]
    if not re.match(r"(http://127\.0\.0\.1(:\d+)?|file:///[^\s]+?)/?$", base_url):
        raise TrainingError(f"base URL {base_url!r} is not of this machine", "http://127.0.0.1:PORT or file:///FOLDER")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise TrainingError(f"{out} is not an empty folder", "name a new one")
    plan = _Plan(document, wanted(document, stack, asked, components))
    require("gpg", "gpgconf", *(rpm.TOOLS if plan.rpms() else ()))
    with Keyring() as keys:
        writer = _Writer(plan, _Files(out, base_url.rstrip("/")), keys)
        overrides = writer.overrides()
        writer.repositories()
    out.mkdir(parents=True, exist_ok=True)
    (out / OVERRIDES).write_text(
        "# stand-ins, made by the tests of this collection: nothing here is a vendor's\n"
        + yaml.safe_dump(overrides, sort_keys=True, width=120)
    )
    return overrides


def wanted(
    document: Mapping[str, Any], stack: str | None, asked: Iterable[Platform], components: Iterable[str] | None
) -> dict[tuple[str, str], set[Platform]]:
    """Component and version: where the stack has it, among the platforms that are asked for.

    :raises TrainingError: a component that the stack has on none of them.
    """
    found: dict[tuple[str, str], set[Platform]] = {}
    for system, arch in asked:
        for pair in catalogue.chosen(document, stack, system, arch).items():
            found.setdefault(pair, set()).add((system, arch))
    if components is None:
        return found
    names = {name for name, _ in found}
    for name in components:
        if name not in names:
            where = ", ".join(f"{system} {arch}" for system, arch in asked)
            raise TrainingError(f"the stack has no component {name!r} on {where}", did_you_mean(name, names))
    return {(name, version): where for (name, version), where in found.items() if name in set(components)}


@dataclass
class _Repository:
    """What becomes one repository: all that the catalogue takes from one address, suite and list of sections."""

    url: str
    suite: deb.Suite | None
    signer: str
    stated: dict[Platform, dict[str, str]] = field(default_factory=dict)
    modules: dict[str, set[str]] = field(default_factory=dict)

    def packages(self, beside: Mapping[Platform, list[dict[str, str]]]) -> dict[str, list[Package]]:
        """Packages of each architecture; one that several systems take stands there once."""
        kind = "deb" if self.suite else "rpm"
        found: dict[str, dict[tuple[str, str], Package]] = {}
        for platform, stated in sorted(self.stated.items()):
            group = found.setdefault(platform[1], {})
            for package in made(stated, kind, platform[1], beside[platform]):
                group.setdefault((package.name, package.version), package)
        return {arch: list(group.values()) for arch, group in found.items()}


@dataclass
class _Source:
    """A file or a repository of a component, as far as it is served."""

    component: str
    version: str
    kind: str
    entry: dict[str, Any]
    repository: _Repository | None = None


@dataclass
class _Installer:
    """A version of the EFA installer: one tarball for all systems."""

    version: str
    held: dict[str, Package]


class _Plan:
    """What a run will serve, from the catalogue alone."""

    def __init__(self, document: Mapping[str, Any], pairs: Mapping[tuple[str, str], set[Platform]]) -> None:
        self.sources: list[_Source] = []
        self.installers: dict[str, _Installer] = {}
        self.repositories: dict[tuple[str, deb.Suite | None], _Repository] = {}
        self.images: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for (name, version), platforms in sorted(pairs.items()):
            # what comes inside another component has no entry of its own
            about = document["components"].get(name, {"versions": {}})["versions"].get(version, {})
            if any("sha256" not in source["image"] for source in about.get("images", [])):
                self.images[name, version] = about["images"]
            for kind in ("files", "repositories"):
                for entry in about.get(kind, []):
                    here = {p for p in platforms if p[0] in entry.get("os", p) and p[1] in entry.get("arch", p)}
                    if not here:
                        continue
                    source = _Source(name, version, kind, _narrowed(entry, here))
                    self.sources.append(source)
                    if kind == "repositories":
                        source.repository = self._repository(entry, here)
                    elif name == "efa":
                        bundles = about.get("bundles", {})
                        held = [efa.packages(bundles, *platform) for platform in sorted(here)]
                        everything = {path: package for group in held for path, package in group.items()}
                        self.installers[entry["file"]["url"]] = _Installer(version, everything)
        beside: dict[Platform, list[dict[str, str]]] = {}
        for repository in self.repositories.values():
            for platform, stated in repository.stated.items():
                beside.setdefault(platform, []).append(stated)
        self.packages = {place: repository.packages(beside) for place, repository in self.repositories.items()}

    def _repository(self, entry: Mapping[str, Any], here: set[Platform]) -> _Repository:
        """The repository that an entry names, with the entry's packages in it."""
        url = entry["base"]["url"].rstrip("/")
        if len({system in RPM_SYSTEMS for system, _ in here}) > 1:
            raise TrainingError(f"{url} would hold .deb and .rpm packages", "give each kind a source with its own os")
        rpms = any(system in RPM_SYSTEMS for system, _ in here)
        suite = None if rpms else deb.Suite(entry.get("suite", "/"), tuple(entry.get("sections", ())))
        first = _Repository(url, suite, _signer(entry["base"], entry.get("key")))
        repository = self.repositories.setdefault((url, suite), first)
        for platform in here:
            repository.stated.setdefault(platform, {}).update(entry["packages"])
        if "module" in entry:
            repository.modules.setdefault(entry["module"], set()).update(entry["packages"])
        return repository

    def rpms(self) -> dict[str, set[Package]]:
        """Every .rpm that is to be built, by the architecture that it is built for."""
        found: dict[str, set[Package]] = {}
        for (_, suite), groups in self.packages.items():
            for arch, group in () if suite else groups.items():
                found.setdefault(arch, set()).update(group)
        for installer in self.installers.values():
            for path, package in installer.held.items():
                if path.endswith(".rpm"):
                    found.setdefault(package.arch, set()).add(package)
        for source in self.sources:
            if source.kind == "files" and source.entry["file"]["url"].endswith(".rpm"):
                package = plain.rpm_package(_name(source.entry["file"]["url"]))
                found.setdefault("x86_64" if package.arch == "all" else package.arch, set()).add(package)
        return found


class _Writer:
    """Carries out a plan."""

    def __init__(self, plan: _Plan, files: _Files, keys: Keyring) -> None:
        self.plan = plan
        self.files = files
        self.keys = keys
        self.rpms: dict[Package, bytes] = {}
        for arch, packages in sorted(plan.rpms().items()):
            self.rpms.update(rpm.build(packages - set(self.rpms), arch))

    def overrides(self) -> dict[str, Any]:
        """Write every file and key; what leads to them, in the form of data/stack.yml."""
        components: dict[str, Any] = {}
        for source in self.plan.sources:
            entry = dict(source.entry)
            if source.repository:
                key = self.keys.key(source.repository.signer)
                if "key" in entry:
                    entry["key"] = self.files.put(entry["key"], key.public(), key.fingerprint)
                entry["base"] = self.files.named(entry["base"], {"signer": key.fingerprint})
            else:
                entry["file"] = self.file(entry["file"])
            versions = components.setdefault(source.component, {"versions": {}})["versions"]
            versions.setdefault(source.version, {}).setdefault(source.kind, []).append(entry)
        for (name, version), images in self.plan.images.items():
            versions = components.setdefault(name, {"versions": {}})["versions"]
            versions.setdefault(version, {})["images"] = [
                {**source, "image": _pinned(source["image"])} for source in images
            ]
        return {"components": components}

    def repositories(self) -> None:
        """Write every repository."""
        now = datetime.now(timezone.utc)
        for place, repository in self.plan.repositories.items():
            key, packages = self.keys.key(repository.signer), self.plan.packages[place]
            if repository.suite:
                for path, data in deb.repository(repository.suite, packages, key, repository.url, now).items():
                    self.files.write(f"{repository.url}/{path}", data)
                continue
            here = {package: self.rpms[package] for group in packages.values() for package in group}
            modules = {
                stream: [package for package in here if package.name in names]
                for stream, names in repository.modules.items()
            }
            rpm.repository(self.files.path(repository.url), here, key, modules)

    def file(self, artifact: Artifact) -> dict[str, Any]:
        """Write a download, its signature and its key; the artifact that takes its place."""
        url = artifact["url"]
        if url in self.plan.installers:
            installer = self.plan.installers[url]
            data = efa.tarball(installer.version, installer.held, self.rpms)
        elif url.endswith(".rpm"):
            data = self.rpms[plain.rpm_package(_name(url))]
        else:
            data = plain.stand_in(_place(url))
        if "signer" not in artifact and "signature" not in artifact:
            return self.files.put(artifact, data)
        signer = self.keys.key(_signer(artifact, artifact.get("key")))
        put = self.files.put(artifact, data, signer.fingerprint)
        signature = artifact.get("signature", {"url": f"{url}.sig"})
        armoured = str(signature["url"]).endswith(".asc")
        signed = self.files.put(signature, signer.detached(data, armoured))
        if "signature" in artifact:
            put["signature"] = signed
        if "key" in artifact:
            put["key"] = self.files.put(artifact["key"], signer.public(), signer.fingerprint)
        return put


class _Files:
    """The folder that serves, and addresses in it."""

    def __init__(self, out: Path, base_url: str) -> None:
        self.out = out
        self.base_url = base_url
        self.written: dict[str, bytes] = {}

    def path(self, url: str) -> Path:
        """Where an address is served from."""
        return self.out / _place(url)

    def write(self, url: str, data: bytes) -> None:
        if self.written.setdefault(url, data) != data:
            raise TrainingError(
                f"two different stand-ins for {url}", "look for an address that the catalogue has twice"
            )
        self.path(url).parent.mkdir(parents=True, exist_ok=True)
        self.path(url).write_bytes(data)

    def put(self, artifact: Artifact, data: bytes, fingerprint: str | None = None) -> dict[str, Any]:
        """Serve a file; the artifact in the catalogue's form, held to a signer where the catalogue does, or cannot."""
        self.write(artifact["url"], data)
        by_signer = fingerprint is not None and "sha256" not in artifact
        return self.named(
            artifact, {"signer": fingerprint} if by_signer else {"sha256": hashlib.sha256(data).hexdigest()}
        )

    def named(self, artifact: Artifact, held_to: Mapping[str, Any]) -> dict[str, Any]:
        slash = "/" if artifact["url"].endswith("/") else ""
        return {"url": f"{self.base_url}/{_place(artifact['url'])}{slash}", **held_to, "verified_from": VERIFIED_FROM}


def _narrowed(source: Mapping[str, Any], here: set[Platform]) -> dict[str, Any]:
    """A source as far as it is served: without systems and architectures that nobody asked for."""
    kept = copy.deepcopy(dict(source))
    for position, key in enumerate(("os", "arch")):
        if key in source:
            kept[key] = sorted({platform[position] for platform in here})
    return kept


def _pinned(image: Artifact) -> dict[str, Any]:
    """An image held to a digest: its own, or that of its address."""
    made = hashlib.sha256(f"stand-in for {image['url']}".encode()).hexdigest()
    return {"url": image["url"], "sha256": image.get("sha256", made), "verified_from": VERIFIED_FROM}


def _signer(artifact: Artifact, key: Artifact | None) -> str:
    """Who signs, so that origins of one signer share a key: the fingerprint where it is known, else an address."""
    known = artifact.get("signer") or (key or {}).get("signer")
    return str(known or (key or {}).get("url") or urlsplit(artifact["url"]).hostname)


def _place(url: str) -> str:
    """HOST/PATH of an address."""
    parts = urlsplit(url)
    path = PurePosixPath(unquote(parts.path).strip("/"))
    if not parts.hostname or ".." in path.parts or parts.query:
        raise TrainingError(f"{url} cannot be a path of a folder", "an address of a host and a plain path")
    return f"{parts.hostname}/{path}" if path.parts else parts.hostname


def _name(url: str) -> str:
    return PurePosixPath(_place(url)).name
