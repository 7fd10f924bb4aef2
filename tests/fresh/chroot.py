"""A bare Debian in a folder, for an ordinary user, with the network and the package configuration of this machine.

What is cached, under fresh/ of the cache, are inputs: the unpacked Debian after the README's apt line (by that line and
the package sources), pip's downloads, and the environments of the cases (by their lock files and Python).
"""

from __future__ import annotations

import fcntl
import fnmatch
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.awsome.distributed_training.tests import support

SUITE = "bookworm"
USER = "adt"
UID = 1000
HOME = Path("/home") / USER
CACHE = support.CACHE / "fresh"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

_NETWORK = (Path("/etc/resolv.conf"), Path("/etc/hosts"), BUNDLE)
_PIP_CONFIGURATION = {
    Path("/etc/pip.conf"): Path("/etc/pip.conf"),
    Path.home() / ".pip/pip.conf": HOME / ".pip/pip.conf",
    Path.home() / ".config/pip/pip.conf": HOME / ".config/pip/pip.conf",
}
"""What pip reads here for this user, it reads there for the ordinary one."""
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_PASSED_ON = (
    "CURL_CA_BUNDLE",
    "GIT_SSL_*",
    "PIP_*",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_*",
    "*_proxy",
    "*_PROXY",
)
_OF_THIS_HOME = {"PIP_CACHE_DIR", "PIP_CONFIG_FILE"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Chroot:
    """A folder with a Debian in it; ``shared`` are folders of this machine and where they show in it."""

    root: Path
    shared: Mapping[Path, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def inside(self, path: str | Path) -> Path:
        """A path of the chroot as this machine sees it."""
        return self.root / str(path).lstrip("/")

    def run(self, command: str, user: str = "root", timeout: float = 1800) -> subprocess.CompletedProcess[str]:
        """A command of bash, in namespaces of its own: what it mounted and started is gone when it ends."""
        home = HOME if user == USER else Path("/root")
        own = {"HOME": str(home), "USER": user, "LOGNAME": user, "PATH": _PATH, "LANG": "C.UTF-8"}
        variables = [f"{name}={value}" for name, value in {**own, **self.environment}.items()]
        script = f"cd {shlex.quote(str(home))}\n{command}"
        entered = ["chroot", f"--userspec={user}:{user}", str(self.root), "env", "-i", *variables]
        words = [*entered, "bash", "-euo", "pipefail", "-c", script]
        outer = "\n".join([*self._mounts(), f"exec {shlex.join(words)}"])
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--"]
        return support.run([*unshare, "bash", "-euo", "pipefail", "-c", outer], Path("/"), timeout=timeout)

    def _mounts(self) -> Iterator[str]:
        def at(path: str | Path) -> str:
            return shlex.quote(str(self.inside(path)))

        yield f"mount -t proc proc {at('/proc')}"
        # nodes made on a file system that is mounted nodev do not work
        for name in _DEVICES:
            yield f"mount --bind /dev/{name} {at(f'/dev/{name}')}"
        yield f"mount -t tmpfs -o mode=1777 tmpfs {at('/dev/shm')}"
        for source, target in self.shared.items():
            yield f"mkdir -p {at(target)}"
            yield f"mount --bind {shlex.quote(str(source))} {at(target)}"


def bare_debian(folder: Path, apt_lines: Sequence[str]) -> Chroot:
    """A Debian on which some apt lines were typed, with user adt, unpacked into a folder."""
    root = folder / "root"
    root.mkdir()
    _do("tar", "-xpf", _image(apt_lines), "--numeric-owner", "-C", root)
    kept = {
        CACHE / "pip": HOME / ".cache/pip",
        CACHE / "environments": HOME / ".cache" / support.CACHE.name / "environments",
    }
    settings = {name: os.environ[name] for name in sorted(os.environ) if _is_passed_on(name)}
    configuration = {path: target for path, target in _PIP_CONFIGURATION.items() if path.exists()}
    named = _named_paths([*settings.values(), *(path.read_text() for path in configuration)])
    folders = {path: path for path in named if path.is_dir() and path != BUNDLE.parent}
    files = {path: path for path in (*_NETWORK, *named) if path.is_file()}
    debian = Chroot(root, {**kept, **folders}, settings)
    _bring(debian, {**files, **configuration})
    for source, target in kept.items():
        source.mkdir(parents=True, exist_ok=True)
        os.chown(source, UID, UID)
        debian.inside(target).mkdir(parents=True)
    _do("chown", "-R", f"{UID}:{UID}", debian.inside(HOME))
    return debian


def missing() -> str | None:
    """Why this machine cannot make a chroot; None if it can."""
    if os.geteuid() != 0:
        return "only root can make and enter a chroot"
    if shutil.which("debootstrap") is None:
        return "debootstrap is missing; fix: apt-get install debootstrap"
    words = ["unshare", "--mount", "--pid", "--fork", "--", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        # a local run reads /proc, which only a mount brings into a chroot
        return "root may not mount here; fix: run where root has the capability SYS_ADMIN"
    return None


def install_debootstrap() -> None:
    """From the machine's own package sources."""
    if os.geteuid() == 0 and shutil.which("debootstrap") is None and shutil.which("apt-get"):
        _do("apt-get", "update", "-q")
        _do("apt-get", "install", "-y", "-q", "--no-install-recommends", "debootstrap")


def _image(apt_lines: Sequence[str]) -> Path:
    sources = _package_sources()
    key = hashlib.sha256("\0".join([SUITE, platform.machine(), *sources, "", *apt_lines]).encode()).hexdigest()
    image = CACHE / "chroots" / f"{key}.tar"
    image.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{image}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not image.exists():
            with tempfile.TemporaryDirectory(prefix="adt-debootstrap-") as folder:
                _make_image(Path(folder) / "root", sources, apt_lines)
                _do("tar", "-cf", f"{image}.new", "-C", Path(folder) / "root", ".")
            os.replace(f"{image}.new", image)
    return image


def _make_image(root: Path, sources: Sequence[str], apt_lines: Sequence[str]) -> None:
    mirror = [line.split()[1] for line in sources if line.split()[2] == SUITE][:1]
    _do("debootstrap", "--variant=minbase", SUITE, root, *mirror)
    debian = Chroot(root, environment={"DEBIAN_FRONTEND": "noninteractive"})
    if sources:
        debian.inside("/etc/apt/sources.list").write_text("".join(f"{line}\n" for line in sources))
    settings = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout.splitlines()
    own = debian.inside("/etc/apt/apt.conf.d/00machine")
    own.write_text("".join(f"{line}\n" for line in settings if line.startswith("Acquire::")))
    _bring(debian, {path: path for path in _NETWORK if path.exists()})
    for command in ("apt-get update", *apt_lines, "apt-get clean"):
        ran = debian.run(command)
        assert ran.returncode == 0, f"{command}\n{ran.stdout}"
    _do("chroot", root, "useradd", "--create-home", "--uid", UID, "--shell", "/bin/bash", USER)
    own.unlink()


def _package_sources() -> list[str]:
    """This machine's own sources of Debian 12, as lines of sources.list; none where it is another system."""
    if shutil.which("apt-get") is None:
        return []
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
    words = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    lines = []
    for address, release, component, origin in (line.split(" ", 3) for line in listed):
        # the origin is known once the machine has read the source's index
        if release.partition("-")[0] == SUITE and component == "main" and origin in ("Debian", "$(ORIGIN)"):
            lines.append(f"deb {address} {release} {component}")
    return sorted(set(lines))


def _is_passed_on(name: str) -> bool:
    return name not in _OF_THIS_HOME and any(fnmatch.fnmatchcase(name, pattern) for pattern in _PASSED_ON)


def _named_paths(values: Iterable[str]) -> list[Path]:
    """Paths of this machine that settings name."""
    words = [word.strip("'\"") for value in values for word in value.replace("=", " ").split()]
    return sorted({Path(word) for word in words if word.startswith("/") and Path(word).exists()})


def _bring(debian: Chroot, files: Mapping[Path, Path]) -> None:
    """Files of this machine, as they are now, to where the chroot looks for them."""
    for path, target in files.items():
        debian.inside(target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, debian.inside(target))


def _do(*words: object) -> None:
    ran = support.run(words, Path("/"), timeout=1800)
    assert ran.returncode == 0, f"{words[0]}\n{ran.stdout}"
