"""Docker images of the systems of data/stack.yml, with systemd.

usage: python3 molecule/system_image.py SYSTEM[,PACKAGE...] ...     (root, Docker, mmdebstrap; prints the images' names)

A package is one of the Debian that the image is made from, which it then has.
debian12 and debian13 are real (base_image.py). ubuntu2204, ubuntu2404 and amazon2023 are stand-ins: a Debian that calls
itself so in the files by which a system is known, and for Amazon Linux has dnf and rpm in place of apt and dpkg.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import base_image

NAME = "adt-mol-stand-in"

SUITES = {
    "debian12": "bookworm",
    "debian13": "trixie",
    "ubuntu2204": "bookworm",
    "ubuntu2404": "trixie",
    "amazon2023": "bookworm",
}
"""The suite of Debian that a system's image is, or is made from."""

UBUNTU = {"ubuntu2204": ("22.04", "jammy", "Jammy Jellyfish"), "ubuntu2404": ("24.04", "noble", "Noble Numbat")}

STAND_INS: dict[str, str] = {
    **{
        system: f"""\
rm --force /etc/os-release
cat >/etc/os-release <<'END'
PRETTY_NAME="Ubuntu {version} LTS (stand-in)"
NAME="Ubuntu"
VERSION_ID="{version}"
VERSION="{version} LTS ({called})"
VERSION_CODENAME={codename}
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME={codename}
END
cat >/etc/lsb-release <<'END'
DISTRIB_ID=Ubuntu
DISTRIB_RELEASE={version}
DISTRIB_CODENAME={codename}
DISTRIB_DESCRIPTION="Ubuntu {version} LTS (stand-in)"
END
"""
        for system, (version, codename, called) in UBUNTU.items()
    },
    "amazon2023": """\
apt-get update -qq
apt-get install -qq --no-install-recommends dnf dnf-plugins-core rpm gpgv kmod make unzip xz-utils >/dev/null
rm --force --recursive /var/lib/apt/lists/* /var/cache/apt/*.bin /etc/apt/sources.list
rm --force /etc/debian_version /etc/os-release /usr/bin/apt* /usr/bin/dpkg*
cat >/etc/os-release <<'END'
NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PLATFORM_ID="platform:al2023"
PRETTY_NAME="Amazon Linux 2023 (stand-in)"
END
echo 'Amazon Linux release 2023 (stand-in)' >/etc/system-release
mkdir --parents /etc/dnf/plugins /etc/yum.repos.d /etc/pki/rpm-gpg
""",
}
"""What makes a Debian call itself another system: commands of a shell."""


INSTALL = """\
apt-get update -qq
apt-get install -qq --no-install-recommends {packages} >/dev/null
rm --force --recursive /var/lib/apt/lists/* /var/cache/apt/*.bin
"""


def image(system: str, packages: Sequence[str] = ()) -> str:
    """The name of a system's image, which is built where it is not there yet.

    :param packages: what it has beside a bare system's own, real packages.
    """
    base = base_image.image(SUITES[system])
    commands = (INSTALL.format(packages=" ".join(packages)) if packages else "") + STAND_INS.get(system, "")
    if not commands:
        return base
    digest = hashlib.sha256(f"{base}\0{commands}".encode()).hexdigest()
    name = f"{NAME}:{system}-{digest[:16]}"
    lock = Path(tempfile.gettempdir()) / f"{NAME}-{digest[:16]}.lock"
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not docker("image", "ls", "--quiet", name):
            made = docker("run", "--detach", base, "sleep", "900")
            try:
                docker("exec", "--env=DEBIAN_FRONTEND=noninteractive", made, "sh", "-euc", commands)
                docker("commit", f"--change={base_image.COMMAND}", made, name)
            finally:
                docker("rm", "--force", made)
    return name


def docker(*words: str) -> str:
    """What docker prints; its complaints go where this program's go."""
    ran = subprocess.run(["docker", *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    return ran.stdout.strip()


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        name, *more = wanted.split(",")
        print(image(name, more))
