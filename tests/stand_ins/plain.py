"""Stand-ins for files that are downloaded as they are, by the ending of their name."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.tests.stand_ins import archive, deb
from ansible_collections.awsome.distributed_training.tests.stand_ins.package import DEB_ARCH, Package, needs

_TAR = re.compile(r"(?P<stem>.+)\.(tar\.(?P<long>gz|bz2|xz)|(?P<short>tgz|tbz|txz))")
_SHORT = {"tgz": "gz", "tbz": "bz2", "txz": "xz"}
_SCRIPT = """\
#!/bin/sh
# stand-in for {name}
echo "{name}: a stand-in installs nothing" >&2
exit 1
"""


_ARCHIVE = re.compile(r"github\.com/[^/]+/(?P<project>[^/]+)/archive/(refs/tags/)?v?(?P<version>.+)\.tar\.gz")
"""A tag's archive; its folder has the project's name in front, and no v."""


def stand_in(place: str) -> bytes:
    """A file at HOST/PATH. An .rpm is not made here: rpmbuild makes all of a run at once."""
    name = place.rpartition("/")[2]
    said = f"This is a stand-in for {name}, made by the tests of this collection.\n"
    if tar := _TAR.fullmatch(name):
        tag = _ARCHIVE.fullmatch(place)
        top = f"{tag['project']}-{tag['version']}" if tag else tar["stem"]
        held = {f"{top}/{path}": text for path, text in {"README": said, **_held(place)}.items()}
        return archive.tar(held, tar["long"] or _SHORT[tar["short"]])
    if name.endswith(".zip"):
        return archive.zipped({"README": said, **_held(place)})
    if name.endswith(".deb"):
        return deb.deb(deb_package(name))
    if name.endswith((".run", ".sh")):
        return _SCRIPT.format(name=name).encode()
    return said.encode()


def _held(place: str) -> dict[str, str]:
    """What an archive at HOST/PATH holds beside a note; ``@VERSION@`` in it becomes the archive's version."""
    found = {}
    for patterns, files in _contents():
        for match in filter(None, (re.fullmatch(pattern, place) for pattern in patterns)):
            found.update({path: text.replace("@VERSION@", match["version"]) for path, text in files.items()})
    return found


@cache
def _contents() -> tuple[tuple[tuple[str, ...], dict[str, str]], ...]:
    """contents/NAME/files has patterns of HOST/PATH with a group ``version``, contents/NAME/unpacked what they hold."""
    found = []
    for listed in sorted((Path(__file__).parent / "contents").glob("*/files")):
        root = listed.parent / "unpacked"
        files = {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}
        found.append((tuple(listed.read_text().split()), files))
    return tuple(found)


def deb_package(name: str) -> Package:
    """The package that a file's name tells: NAME_VERSION_ARCH.deb."""
    match = re.fullmatch(r"(?P<package>[^_]+)_(?P<version>[^_]+)_(?P<arch>[^_]+)\.deb", name)
    arches = {debian: arch for arch, debian in DEB_ARCH.items()}
    if not match or match["arch"] not in arches:
        raise TrainingError(f"{name} does not tell its package", "name it NAME_VERSION_ARCH.deb, as Debian does")
    # the one need between packages that are downloaded as files: enroot+caps needs enroot of the same version
    beside = {"enroot": match["version"]}
    return Package(match["package"], match["version"], arches[match["arch"]], needs(match["package"], "deb", beside))


def rpm_package(name: str) -> Package:
    """The package that a file's name tells: NAME-VERSION-RELEASE.ARCH.rpm."""
    match = re.fullmatch(r"(?P<package>.+)-(?P<version>[^-]+-[^-]+)\.(?P<arch>x86_64|aarch64|noarch)\.rpm", name)
    if not match:
        raise TrainingError(f"{name} does not tell its package", "name it NAME-VERSION-RELEASE.ARCH.rpm")
    return Package(match["package"], match["version"], "all" if match["arch"] == "noarch" else match["arch"])
