"""A stand-in package: a vendor's name, version and needs, and nothing that works."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DEB_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "all": "all"}
"""Debian's names of architectures."""

RPM_SYSTEMS = frozenset({"amazon2023"})
"""Systems whose packages are .rpm; those of the others are .deb."""


@dataclass(frozen=True)
class Need:
    """What a package needs: another package, and how its version compares (both empty: any)."""

    name: str
    operator: str = ""
    version: str = ""


@dataclass(frozen=True)
class Package:
    """A package for x86_64, aarch64 or all; ``version`` as its manager writes it, ``[epoch:]version[-release]``."""

    name: str
    version: str
    arch: str
    needs: tuple[Need, ...] = ()

    @property
    def epoch(self) -> str:
        return self.version.partition(":")[0] if ":" in self.version else ""

    @property
    def plain_version(self) -> str:
        """Without the epoch, which is in no file name."""
        return self.version.rpartition(":")[2]

    @property
    def upstream_version(self) -> str:
        """Without the epoch and the packaging's own revision."""
        return self.plain_version.rpartition("-")[0] or self.plain_version

    @property
    def summary(self) -> str:
        return f"stand-in for {self.name}: it holds nothing that works"

    def files(self) -> dict[str, str]:
        """Path from the root, without its slash: text."""
        said = f"This is a stand-in for {self.name} {self.version}, made by the tests of this collection.\n"
        held = {f"usr/share/doc/{self.name}/STAND-IN": said}
        for pattern, unit in UNITS:
            if re.fullmatch(pattern, self.name):
                held[f"usr/lib/systemd/system/{unit}.service"] = _UNIT.format(unit=unit)
        for patterns, files in _contents():
            match = next(filter(None, (re.fullmatch(pattern, self.name) for pattern in patterns)), None)
            for path, text in files.items() if match else ():
                assert match is not None
                where = match.expand(re.sub("@([1-9])@", r"\\g<\1>", path)).replace("@VERSION@", self.upstream_version)
                held[where] = text.replace("@VERSION@", self.upstream_version)
        return held


@cache
def _contents() -> tuple[tuple[tuple[str, ...], dict[str, str]], ...]:
    """What packages hold beside a note: contents/NAME/packages has patterns of names, contents/NAME/root the files.

    They are fake commands, and files that a role or a check reads; ``@VERSION@`` in them and in their paths becomes the
    package's version, ``@1@`` in their paths the first group of the pattern, ``@2@`` the second.
    """
    found = []
    for listed in sorted((Path(__file__).parent / "contents").glob("*/packages")):
        root = listed.parent / "root"
        files = {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}
        found.append((tuple(listed.read_text().split()), files))
    return tuple(found)


_UNIT = """\
# stand-in
[Unit]
Description=stand-in for {unit}

[Service]
ExecStart=/bin/sleep infinity

[Install]
WantedBy=multi-user.target
"""

UNITS = (
    (r"nvidia-fabric-?manager(-\d+)?", "nvidia-fabricmanager"),
    (r"nvidia-imex(-\d+)?", "nvidia-imex"),
    (r"nvidia-persistenced", "nvidia-persistenced"),
    (r"datacenter-gpu-manager-4-core", "nvidia-dcgm"),
)
"""Package, and the unit that it carries by its nature."""

NOARCH = (r"cuda-keyring", r"aws-neuronx-dkms", r"kmod-nvidia-open-dkms", r"nvidia-driver-pinning-.*")
"""Packages without an architecture: the first three by names of real files (cuda-keyring_1.1-1_all.deb,
aws-neuronx-dkms-<v>.noarch.rpm, kmod-nvidia-open-dkms-570.124.06-1.el9.noarch); a pin, because it is a text."""

NEEDS: tuple[tuple[str, str, str, str], ...] = (
    # NVIDIA/nccl pkg/debian/control.in
    (r"libnccl-dev", "libnccl2", "=", "deb"),
    # NVIDIA/nvidia-container-toolkit packaging/debian/control and packaging/rpm/SPECS; all four have one version
    (r"nvidia-container-toolkit", "nvidia-container-toolkit-base", "=", "deb rpm"),
    (r"nvidia-container-toolkit", "libnvidia-container-tools", "=", "deb"),
    (r"nvidia-container-toolkit", "libnvidia-container-tools", ">=", "rpm"),
    # NVIDIA/libnvidia-container: pkg/deb/control by the shared library, pkg/rpm/SPECS/libnvidia-container.spec
    (r"libnvidia-container-tools", "libnvidia-container1", ">=", "deb rpm"),
    # what apt says of the CUDA repository's packages: the driver takes modules that are not newer
    (r"nvidia-driver-(\d+)-open", r"nvidia-dkms-\1-open", "<=", "deb"),
    # "apt-cache depends datacenter-gpu-manager-4-cuda13": the core of the same version
    (r"datacenter-gpu-manager-4-cuda\d+", "datacenter-gpu-manager-4-core", "=", "deb rpm"),
    # NVIDIA/yum-packaging-nvidia-driver nvidia-driver.spec, package cuda
    (r"nvidia-driver-cuda", "nvidia-persistenced", "=", "rpm"),
    # docker/docker-ce-packaging deb/common/control
    (r"docker-ce", "docker-ce-cli", "", "deb"),
    (r"docker-ce", "containerd.io", "", "deb"),
    # NVIDIA/enroot pkg/deb/control
    (r"enroot\+caps", "enroot", "=", "deb"),
    # linux-rdma/rdma-core debian/control
    (r"libibverbs-dev", "ibverbs-providers", "=", "deb"),
    (r"libibverbs-dev", "libibverbs1", "=", "deb"),
    (r"librdmacm-dev", "libibverbs-dev", "", "deb"),
    (r"librdmacm-dev", "librdmacm1", "=", "deb"),
)
"""Pattern of a package, what it needs, how versions compare, and where: as the vendors' own control files say.

Needs of packages that no stack names (libc6, dkms, …) are left out: they would come from the OS. nvidia-fabricmanager
has none: its spec (NVIDIA/yum-packaging-fabric-manager) asks for the driver's version in words alone.
"""


def needs(name: str, kind: str, versions: dict[str, str]) -> tuple[Need, ...]:
    """What a package needs of those that are built with it.

    :param kind: deb or rpm.
    :param versions: every package that is built for the same system, and its version.
    """
    found = []
    for pattern, template, operator, kinds in NEEDS:
        match = re.fullmatch(pattern, name)
        if match and kind in kinds.split():
            needed = match.expand(template)
            if needed in versions:
                found.append(Need(needed, operator, versions[needed] if operator else ""))
    return tuple(found)


def made_version(stated: str, kind: str) -> str:
    """The version that a stand-in gets for one that the catalogue states.

    A stated version that ends in ``*`` is the start of one, and an .rpm cannot be without a release: what is missing
    is filled with the word standin.
    """
    start = stated.removesuffix("*")
    if kind == "rpm" and "-" not in start:
        return f"{start}{'' if start[-1].isalnum() else '0'}-0.standin"
    if start == stated:
        return stated
    return f"{start}+standin" if start[-1].isalnum() else f"{start}0.standin"


def architecture(name: str, asked: str) -> str:
    """The architecture of a package that is built for one."""
    return "all" if any(re.fullmatch(pattern, name) for pattern in NOARCH) else asked


def made(stated: dict[str, str], kind: str, arch: str, beside: Iterable[dict[str, str]] = ()) -> list[Package]:
    """Packages of the stated versions.

    :param beside: stated versions of other packages for the same system and architecture, which these may need.
    """
    versions = {name: made_version(version, kind) for group in (*beside, stated) for name, version in group.items()}
    return [
        Package(name, versions[name], architecture(name, arch), needs(name, kind, versions)) for name in sorted(stated)
    ]
