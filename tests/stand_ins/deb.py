"""Stand-in .deb packages, and the apt repository that holds them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.awsome.distributed_training.tests.stand_ins.archive import ar, tar
from ansible_collections.awsome.distributed_training.tests.stand_ins.package import DEB_ARCH, Need, Package
from ansible_collections.awsome.distributed_training.tests.stand_ins.signing import Key


def control(package: Package) -> dict[str, str]:
    """The fields of DEBIAN/control, in their order."""
    fields = {
        "Package": package.name,
        "Version": package.version,
        "Architecture": DEB_ARCH[package.arch],
        "Maintainer": "stand-in <nobody@example.invalid>",
        "Section": "misc",
        "Priority": "optional",
        "Depends": ", ".join(_relation(need) for need in package.needs),
        "Description": package.summary,
    }
    return {name: value for name, value in fields.items() if value}


def deb(package: Package) -> bytes:
    """The package as a file."""
    return ar(
        {
            "debian-binary": b"2.0\n",
            "control.tar.gz": tar({"control": stanza(control(package))}, "gz", dotted=True),
            "data.tar.gz": tar(package.files(), "gz", dotted=True),
        }
    )


def file_name(package: Package) -> str:
    return f"{package.name}_{package.plain_version}_{DEB_ARCH[package.arch]}.deb"


def stanza(fields: Mapping[str, str]) -> str:
    """Fields as apt reads them; a value of several lines has them indented already."""
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


@dataclass(frozen=True)
class Suite:
    """What a line of sources.list names; a suite that ends in a slash is flat and has no sections."""

    name: str
    sections: tuple[str, ...]

    @property
    def flat(self) -> bool:
        return self.name.endswith("/")

    @property
    def folder(self) -> str:
        """Where Release lies, from the base."""
        return (
            "/".join(part for part in self.name.split("/") if part not in ("", "."))
            if self.flat
            else (f"dists/{self.name}")
        )


def repository(
    suite: Suite, packages: Mapping[str, Iterable[Package]], key: Key, origin: str, now: datetime
) -> dict[str, bytes]:
    """Every file of an apt repository, by its path from the base.

    :param packages: packages of each architecture (x86_64, aarch64); those for all stand in each.
    :param origin: the address that this stands in for.
    :param now: the time that Release states.
    """
    files: dict[str, bytes] = {}
    indexes: dict[str, bytes] = {}
    for arch, group in packages.items():
        listed = []
        for package in group:
            data = deb(package)
            path = (
                f"{suite.folder}/{file_name(package)}"
                if suite.flat
                else (f"pool/{suite.sections[0]}/{package.name}/{file_name(package)}")
            )
            path = path.lstrip("/")
            files[path] = data
            listed.append(stanza({**control(package), "Filename": path, **_sums(data)}))
        for section in suite.sections or ("",):
            # vendors put all that they have into one section
            text = "\n".join(listed) if section == (suite.sections or ("",))[0] else ""
            name = "Packages" if suite.flat else f"{section}/binary-{DEB_ARCH[arch]}/Packages"
            indexes[name] = indexes.get(name, b"") + (b"\n" if indexes.get(name) else b"") + text.encode()
    indexes.update({f"{name}.gz": gzip.compress(data, mtime=0) for name, data in list(indexes.items())})
    release = stanza(
        {
            "Origin": "stand-in",
            "Label": "stand-in",
            "Suite": suite.name,
            "Codename": suite.name,
            "Architectures": " ".join(DEB_ARCH[arch] for arch in packages),
            "Components": " ".join(suite.sections),
            "Date": now.astimezone(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S UTC"),
            "Description": f"stand-in for {origin}",
            "SHA256": "".join(
                f"\n {hashlib.sha256(data).hexdigest()} {len(data)} {name}" for name, data in sorted(indexes.items())
            ),
        }
    ).encode()
    indexes.update({"Release": release, "InRelease": key.clearsign(release), "Release.gpg": key.detached(release)})
    files.update({f"{suite.folder}/{name}".lstrip("/"): data for name, data in indexes.items()})
    return files


def _relation(need: Need) -> str:
    return f"{need.name} ({need.operator} {need.version})" if need.operator else need.name


def _sums(data: bytes) -> dict[str, str]:
    return {"Size": str(len(data)), "SHA256": hashlib.sha256(data).hexdigest()}
