"""A throw-away Debian in a folder: a suite's packages, and namespaces in which their daemons run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
ADDRESS = "192.0.2.1"
"""Of the root's host, on its loopback device: one that is reserved for documentation (RFC 5737)."""
_NAMESPACES = ("--mount", "--pid", "--uts", "--net", "--ipc")


def missing() -> str | None:
    """Why this machine cannot make such a Debian; None if it can."""
    if os.geteuid() != 0:
        return "only root can make and enter a root; fix: run as root"
    for tool in ("mmdebstrap", "unshare", "nsenter"):
        if shutil.which(tool) is None:
            return f"{tool} is missing; fix: apt-get install mmdebstrap util-linux"
    words = ["unshare", *_NAMESPACES, "--fork", "--", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        return "root may not mount here; fix: run where root has the capability SYS_ADMIN"
    return None


def archive() -> str:
    """Address of the Debian archive from which this machine takes its own packages."""
    form = "$(REPO_URI) $(COMPONENT) $(ORIGIN) $(RELEASE)"
    words = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    for address, component, origin, release in (line.split(" ", 3) for line in listed):
        # a suite without a dash is the archive's own, not its updates or security
        if component == "main" and origin == "Debian" and "-" not in release:
            return address
    raise SystemExit("apt knows no source of Debian's main packages; fix: apt-get update")


@dataclass
class Root:
    """Daemons and commands in one root; all of them end with it."""

    folder: Path
    holder: subprocess.Popen[bytes]

    @classmethod
    def unpack(cls, image: Path, folder: Path, hostname: str) -> Root:
        """The root of an image, entered: own processes, network with the loopback device alone, and host name."""
        folder.mkdir(parents=True)
        subprocess.run(["tar", "-xpf", image, "--numeric-owner", "-C", folder], check=True)
        (folder / "etc/hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} {hostname}\n")
        (folder / "etc/hostname").write_text(f"{hostname}\n")
        at = shlex.quote(str(folder))
        lines = [
            f"mount --bind {at} {at}",
            f"mount -t proc proc {at}/proc",
            f"mount -t sysfs -o ro sysfs {at}/sys",
            # empty: slurmd looks for the hierarchy, and uses none of it where Slurm tracks processes without
            f"mount -t tmpfs tmpfs {at}/sys/fs/cgroup",
            *(f"mount --bind /dev/{name} {at}/dev/{name}" for name in _DEVICES),
            f"mount -t tmpfs -o mode=1777 tmpfs {at}/dev/shm",
            f"mount -t tmpfs -o mode=0755 tmpfs {at}/run",
            f"hostname {hostname}",
            # a host with 127.0.0.1 alone counts as one without a network: Slurm finds no address to listen on
            f"chroot {at} ip link set lo up && chroot {at} ip address add {ADDRESS}/32 dev lo",
            f"touch {at}/run/entered",
            f"exec chroot {at} sleep infinity",
        ]
        words = ["unshare", *_NAMESPACES, "--fork", "--kill-child", "--", "bash", "-euc", "\n".join(lines)]
        root = cls(folder, subprocess.Popen(words, stdin=subprocess.DEVNULL))
        deadline = time.monotonic() + 20
        while root.run("test -e /run/entered").returncode:
            if time.monotonic() > deadline or root.holder.poll() is not None:
                root.close()
                raise SystemExit("the root could not be entered; fix: read the mount errors above")
            time.sleep(0.1)
        return root

    def run(
        self, command: str, user: str = "root", settings: Sequence[str] = (), timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """A command of bash, its output and complaints apart."""
        words = self._entered(command, user, settings)
        if not words:
            return subprocess.CompletedProcess([], 1, "", "not entered yet")
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )

    def do(self, command: str, user: str = "root") -> str:
        """Output of a command that must succeed."""
        ran = self.run(command, user)
        if ran.returncode:
            raise SystemExit(f"{command}: exit status {ran.returncode}: {ran.stdout}{ran.stderr}")
        return ran.stdout

    def start(self, command: str, log: IO[bytes], user: str = "root") -> subprocess.Popen[bytes]:
        """A daemon in the foreground."""
        words = self._entered(f"exec {command}", user, ())
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def write(self, path: str, text: str, owner: str = "root:root", mode: str = "0644") -> None:
        """A file of the root."""
        (self.folder / path.lstrip("/")).write_text(text)
        self.do(f"chown {owner} {path} && chmod {mode} {path}")

    def close(self) -> None:
        """End everything in it, and remove it."""
        self.holder.kill()
        self.holder.wait()
        deadline = time.monotonic() + 10
        while True:
            try:
                shutil.rmtree(self.folder)
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _entered(self, command: str, user: str, settings: Sequence[str]) -> list[str]:
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
        if not children:
            return []
        home = "/root" if user == "root" else f"/home/{user}"
        own = [f"PATH={_PATH}", f"HOME={home}", f"USER={user}", "LANG=C.UTF-8", *settings]
        enter = ["nsenter", f"--target={children[0]}", *_NAMESPACES, "--", "chroot"]
        bash = ["env", "-i", *own, "bash", "-c", f"cd {home} 2>/dev/null || cd /; {command}"]
        return [*enter, f"--userspec={user}", str(self.folder), *bash]
