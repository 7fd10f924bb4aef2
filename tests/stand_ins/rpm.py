"""Stand-in .rpm packages, and the dnf repository that holds them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from ansible_collections.awsome.distributed_training.tests.stand_ins.package import Need, Package
from ansible_collections.awsome.distributed_training.tests.stand_ins.signing import Key
from ansible_collections.awsome.distributed_training.tests.stand_ins.tools import call

TOOLS = ("rpmbuild", "rpmsign", "createrepo_c", "modifyrepo_c")

_OPTIONS = {
    "debug_package": "%{nil}",
    "__os_install_post": "%{nil}",
    "_build_id_links": "none",
    "_binary_payload": "w1.gzdio",  # what every rpm reads
    "_buildhost": "stand-in",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
    "vendor": "stand-in",
}


def file_name(package: Package) -> str:
    return f"{package.name}-{package.plain_version}.{_arch(package)}.rpm"


def nevra(package: Package) -> str:
    """Name, epoch, version, release and architecture, as module metadata names a package."""
    return f"{package.name}-{package.epoch or '0'}:{package.plain_version}.{_arch(package)}"


def build(packages: Iterable[Package], arch: str) -> dict[Package, bytes]:
    """Packages as files, unsigned. One specification makes all, since rpmbuild takes a second to start and end."""
    made: dict[Package, bytes] = {}
    todo = sorted(set(packages), key=nevra)
    while todo:
        # a specification cannot have two packages of one name
        batch = list({package.name: package for package in todo}.values())
        todo = [package for package in todo if package not in batch]
        made.update(_build(batch, arch))
    return made


def _build(packages: list[Package], arch: str) -> dict[Package, bytes]:
    with tempfile.TemporaryDirectory(prefix="adt-rpm-") as name:
        top = Path(name)
        (top / "stand-ins.spec").write_text(specification(packages))
        defined = [
            word for key, value in {**_OPTIONS, "_topdir": top}.items() for word in ("--define", f"{key} {value}")
        ]
        call(["rpmbuild", "-bb", "--quiet", "--target", f"{arch}-linux", *defined, top / "stand-ins.spec"])
        return {package: (top / "RPMS" / _arch(package) / file_name(package)).read_bytes() for package in packages}


def specification(packages: Iterable[Package]) -> str:
    """A specification whose packages are all named for themselves; its own name has no files, so no package."""
    head = [
        "Name: stand-ins",
        "Version: 0",
        "Release: 0",
        "Summary: stand-ins",
        "License: Apache-2.0",
        "AutoReqProv: no",
    ]
    parts = ["%description", "stand-ins"]
    install = ["%install"]
    for package in packages:
        version, _, release = package.plain_version.rpartition("-")
        parts += ["", f"%package -n {package.name}", f"Version: {version}", f"Release: {release}"]
        parts += [f"Epoch: {package.epoch}"] if package.epoch else []
        parts += ["BuildArch: noarch"] if package.arch == "all" else []
        parts += [f"Summary: {package.summary}", "AutoReqProv: no"]
        parts += [f"Requires: {_relation(need)}" for need in package.needs]
        parts += [f"%description -n {package.name}", package.summary, f"%files -n {package.name}"]
        for path, text in package.files().items():
            parts.append(f'{"%attr(0755,root,root) " if text.startswith("#!") else ""}"/{path}"')
            install += [f'mkdir -p "%{{buildroot}}/{path.rpartition("/")[0]}"']
            install += [f"cat > \"%{{buildroot}}/{path}\" <<'STAND_IN_END'"]
            install += [text.rstrip("\n").replace("%", "%%"), "STAND_IN_END"]
    return "\n".join([*head, *parts, "", *install, ""])


def repository(
    folder: Path, packages: Mapping[Package, bytes], key: Key, modules: Mapping[str, Iterable[Package]]
) -> None:
    """Write a dnf repository: signed packages, their metadata and its signature.

    :param modules: packages of each module stream, named NAME:STREAM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package, data in packages.items():
        (folder / file_name(package)).write_bytes(data)
    sign([folder / file_name(package) for package in packages], key)
    call(["createrepo_c", "--quiet", "--no-database", "--general-compress-type=gz", folder])
    if modules:
        with tempfile.TemporaryDirectory(prefix="adt-modules-") as name:
            described = Path(name) / "modules.yaml"
            described.write_text("".join(_module(stream, group) for stream, group in sorted(modules.items())))
            call(["modifyrepo_c", "--mdtype=modules", "--compress-type=gz", described, folder / "repodata"])
    index = folder / "repodata/repomd.xml"
    (folder / "repodata/repomd.xml.asc").write_bytes(key.detached(index.read_bytes()))


def sign(files: Iterable[Path], key: Key) -> None:
    """Put a key's signature into packages."""
    # Debian's rpm does not say where gpg is
    settings = {"__gpg": shutil.which("gpg"), "_gpg_name": key.fingerprint, "_gpg_path": key.home}
    defined = [word for name, value in settings.items() for word in ("--define", f"{name} {value}")]
    call(["rpmsign", *defined, "--addsign", *files])


def _module(stream: str, packages: Iterable[Package]) -> str:
    """A modulemd document, version 2; dnf shows packages of a stream only where it is enabled."""
    group = sorted(packages, key=nevra)
    name, _, branch = stream.partition(":")
    arch = next((_arch(package) for package in group if package.arch != "all"), "noarch")
    lines = ["---", "document: modulemd", "version: 2", "data:", f"  name: {name}", f'  stream: "{branch}"']
    lines += ["  version: 1", "  context: standin", f"  arch: {arch}", f"  summary: stand-in for {stream}"]
    lines += [f"  description: stand-in for {stream}", "  license: {module: [Apache-2.0]}", "  artifacts:", "    rpms:"]
    return "\n".join([*lines, *(f"      - {nevra(package)}" for package in group), "...", ""])


def _arch(package: Package) -> str:
    return "noarch" if package.arch == "all" else package.arch


def _relation(need: Need) -> str:
    return f"{need.name} {need.operator} {need.version}".rstrip()
