"""The vendors' own files that a mirror's folder has to hold, and what is wrong with those that it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import artifact, catalogue, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError, did_you_mean


@dataclass(frozen=True)
class Folder:
    """What was built for a folder of Debian 12 by its own build, which nothing here repeats.

    :param path: where it lies on a node.
    :param files: of those that it has.
    """

    path: str
    files: tuple[str, ...]
    what: str

    @property
    def place(self) -> str:
        """Where it lies below a mirror's folder."""
        return artifact.place(f"file://{self.path}")


SYSTEM, ARCH = "debian12", "x86_64"
"""What the nodes are."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "aws_ofi_nccl": ("aws_ofi_nccl",),
    "enroot": ("enroot",),
    "pyxis": ("enroot", "pyxis"),
    "nccl_tests": ("nccl_tests",),
}
"""A part, which is a test file's name, and the components whose files it takes."""

LIBFABRIC = "/opt/amazon/efa"
FOLDERS: Mapping[str, Folder] = {
    "aws_ofi_nccl": Folder(LIBFABRIC, ("include/rdma/fabric.h", "lib/libfabric.so.1"), "libfabric 1.22 or newer"),
}
"""What a part takes beside them."""


@dataclass(frozen=True)
class Source:
    """A file of the default stack.

    :param stated: the digest that the catalogue states; empty where it states none.
    :param entry: the source in the catalogue, one of a version's ``files``.
    """

    component: str
    version: str
    url: str
    stated: str
    entry: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where it lies below a mirror's folder."""
        return artifact.place(self.url)


def chosen(words: str) -> list[str]:
    """The parts of PARTS=a,b; all where it is empty.

    :raises TrainingError: one that is not there.
    """
    asked = words.replace(",", " ").split()
    for name in asked:
        if name not in PARTS:
            raise TrainingError(f"PARTS names {name!r}, which is no part", did_you_mean(name, PARTS))
    return [name for name in PARTS if name in asked or not asked]


def sources(parts: Iterable[str], document: catalogue.Document | None = None) -> list[Source]:
    """The files that some parts take, each once."""
    known = document or controller.read_catalogue("stack")
    found = []
    for name in dict.fromkeys(component for part in parts for component in PARTS[part]):
        about = catalogue.on_platform(catalogue.component(known, name, None, SYSTEM), SYSTEM, ARCH)
        for entry in about["files"]:
            file = entry["file"]
            found.append(Source(name, about["version"], file["url"], file.get("sha256", ""), entry))
    return found


def version(name: str) -> str:
    """The version of a component that nodes of the default stack have."""
    found: str = catalogue.component(controller.read_catalogue("stack"), name, None, SYSTEM)["version"]
    return found


def problems(mirror: str, wanted: Iterable[Source], built: Iterable[Folder] = ()) -> list[str]:
    """One line for each thing that is wrong with a mirror's folder, with the fix."""
    if not mirror:
        return [
            "MIRROR names no folder; fix: make real-sources MIRROR=FOLDER; docs/mirror.md says what is to lie in it"
        ]
    folder = Path(mirror).expanduser()
    if not folder.is_dir():
        return [f"MIRROR={mirror} is no folder; fix: name the one that holds the sources"]
    found = []
    for one in wanted:
        path = folder / one.place
        if not path.is_file():
            found.append(f"{one.component} {one.version}: there is no {path}; fix: put there the file of {one.url}")
        elif one.stated and digest(path) != one.stated:
            found.append(f"{path} has sha256 {digest(path)}, not {one.stated}; fix: put there the file of {one.url}")
    for one_built in built:
        for file in one_built.files:
            path = folder / one_built.place / file
            if not path.exists():
                fix = f"put there {one_built.what}, built for Debian 12 and {one_built.path}"
                found.append(f"there is no {path}; fix: {fix}")
    return found


def lacks(mirror: str, parts: Iterable[str]) -> list[str]:
    """The same, for all that some parts take."""
    asked = list(parts)
    return problems(mirror, sources(asked), [FOLDERS[part] for part in asked if part in FOLDERS])


def overrides(mirror: Path, wanted: Iterable[Source]) -> dict[str, Any]:
    """Stack overrides that state what the catalogue does not: digests of files as they lie in the mirror."""
    components: dict[str, Any] = {}
    for one in wanted:
        if not one.stated:
            stated = {"sha256": digest(mirror / one.place), "verified_from": "calculated: the file in MIRROR"}
            versions = components.setdefault(one.component, {"versions": {}})["versions"]
            files = versions.setdefault(one.version, {"files": []})["files"]
            files.append({**one.entry, "file": {"url": one.url, **stated}})
    return {"components": components} if components else {}


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
