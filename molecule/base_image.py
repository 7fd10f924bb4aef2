"""Docker images of bare Debian systems with systemd, built from this machine's own package sources.

usage: python3 molecule/base_image.py SUITE [SUITE ...]     (root, Docker and mmdebstrap; prints each image's name)

The tar lies in the cache, named by the digest of all that goes into it, and is built once; the image carries that
digest as its tag, so that a name always means the same content.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

NAME = "adt-mol-debian"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "python3-apt", "ca-certificates", "iproute2", "procps")
COMMAND = 'CMD ["/lib/systemd/systemd"]'
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SECURITY = re.compile(r"-security$")


def mirrors(sources: Iterable[str]) -> dict[str, str]:
    """The addresses of Debian's archive and of its security updates ("main", "security") in apt's source files.

    Both of apt's forms are read: one line for each source, and paragraphs of fields (deb822).
    """
    found: dict[str, str] = {}
    for text in sources:
        for uri, suites in [*one_line(text), *paragraphs(text)]:
            for suite in suites:
                if re.match(r"(bookworm|trixie|stable|oldstable)(-security)?$", suite):
                    found.setdefault("security" if SECURITY.search(suite) else "main", uri.rstrip("/"))
    return found


def one_line(text: str) -> list[tuple[str, list[str]]]:
    """Address and suite of each ``deb [options] ADDRESS SUITE COMPONENT ...``."""
    lines = re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", text, re.MULTILINE)
    return [(uri, [suite]) for uri, suite in lines]


def paragraphs(text: str) -> list[tuple[str, list[str]]]:
    """Address and suites of each paragraph with ``URIs:`` and ``Suites:``."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^(\w[\w-]*):\s*(.+)$", paragraph, re.MULTILINE))
        if "deb" in fields.get("Types", "").split() and "Suites" in fields:
            found += [(uri, fields["Suites"].split()) for uri in fields.get("URIs", "").split()]
    return found


def source_lines(suite: str, found: dict[str, str]) -> list[str]:
    """The image's sources: the suite, its updates and its security updates."""
    main = found["main"]
    security = found.get("security", f"{main}-security")
    return [f"deb {main} {suite} main", f"deb {main} {suite}-updates main", f"deb {security} {suite}-security main"]


def authorities() -> dict[str, str]:
    """Certificates that this machine trusts beside Debian's own: it may stand behind a proxy that signs anew."""
    return {path.name: path.read_text() for path in sorted(Path("/usr/local/share/ca-certificates").glob("*.crt"))}


def build(suite: str, tar: Path, lines: list[str]) -> None:
    """Write the tar; a build that fails leaves nothing under its name."""
    if shutil.which("mmdebstrap") is None:
        raise SystemExit("mmdebstrap is missing; fix: apt-get install mmdebstrap")
    new = tar.with_suffix(".new.tar")
    words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--keyring={KEYRING}", f"--include={','.join(PACKAGES)}"]
    if authorities():
        words += ["--customize-hook=copy-in /usr/local/share/ca-certificates /usr/local/share"]
        words += ['--customize-hook=chroot "$1" update-ca-certificates']
    words += ['--customize-hook=truncate -s 0 "$1/etc/machine-id"']
    subprocess.run([*words, suite, str(new), *lines], check=True, stdout=sys.stderr, start_new_session=True)
    new.rename(tar)


def image(suite: str) -> str:
    """The name of the suite's image, which is built where it is not there yet."""
    sources = sorted(path for path in Path("/etc/apt").glob("**/*") if path.suffix in (".list", ".sources"))
    found = mirrors(path.read_text() for path in sources)
    if "main" not in found:
        raise SystemExit("no Debian archive among the sources of apt; fix: run this on Debian 12 or 13")
    lines = source_lines(suite, found)
    inputs = json.dumps([suite, lines, PACKAGES, COMMAND, authorities(), Path(__file__).read_text()])
    digest = hashlib.sha256(inputs.encode()).hexdigest()
    name = f"{NAME}:{suite}-{digest[:16]}"
    if not subprocess.run(["docker", "image", "ls", "--quiet", name], check=True, capture_output=True).stdout:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "awsome-distributed-training"
        tar = cache / "node-images" / f"{digest}.tar"
        tar.parent.mkdir(parents=True, exist_ok=True)
        with open(tar.with_suffix(".lock"), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not tar.exists():
                build(suite, tar, lines)
        subprocess.run(["docker", "import", "-c", COMMAND, str(tar), name], check=True, stdout=sys.stderr)
    return name


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        print(image(wanted))
