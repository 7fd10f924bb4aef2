"""The README word by word, as an ordinary user on a bare Debian 12.

The Debian, the clone and .venv are made anew. The Debian's packages, pip's downloads and the environment of PyTorch
come from the cache, since 5 GB cannot be installed in this tier's three minutes; what is not there yet is made by the
very commands below, and then kept. The cached environments belong to this chroot alone: its Python is another one than
that of the machine.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.fresh import chroot


@dataclass(frozen=True)
class Readme:
    """What the README tells a new user to type, up to the first run."""

    apt: list[str]
    clone: str
    enter: str
    run: str

    @classmethod
    def read(cls, text: str) -> Readme:
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
        first_run = next(number for number, line in enumerate(lines) if line.split()[:2] == ["make", "run"])
        typed = lines[: first_run + 1]

        apt = [line.removeprefix("sudo ") for line in typed if re.match(r"(sudo )?apt-get ", line)]
        clone = next(line for line in typed if line.startswith("git clone "))
        enter = next(line for line in typed if line.startswith("cd "))
        return cls(apt, clone, enter, typed[-1])

    def clone_from(self, path: str) -> str:
        """The clone command with its address replaced."""
        return shlex.join(["git", "clone", path, shlex.split(self.enter)[1]])


@dataclass(frozen=True)
class NewUser:
    """An ordinary user of a bare Debian, with the project at an address that git can clone."""

    debian: chroot.Chroot
    readme: Readme

    @property
    def project(self) -> Path:
        """The user's clone."""
        return self.debian.inside(chroot.HOME / shlex.split(self.readme.enter)[1])

    def types(self, *lines: str) -> subprocess.CompletedProcess[str]:
        ran = self.debian.run("\n".join(lines), chroot.USER)
        print(ran.stdout)
        return ran


@pytest.fixture(scope="module")
def user(make_workplace: Callable[[str], Path]) -> NewUser:
    if os.environ.get("CI") == "true":
        chroot.install_debootstrap()
    reason = chroot.missing()
    if reason:
        pytest.skip(reason)
    readme = Readme.read((support.ROOT / "README.md").read_text())
    assert readme.apt, "the README has no apt-get line"
    debian = chroot.bare_debian(make_workplace("fresh"), readme.apt)
    publish(debian.inside("/srv/project.git"))
    return NewUser(debian, readme)


@pytest.fixture(scope="module")
def first_run(user: NewUser) -> subprocess.CompletedProcess[str]:
    return user.types(user.readme.clone_from("/srv/project.git"), user.readme.enter, user.readme.run)


def test_the_readme_leads_from_a_bare_debian_to_a_verdict_and_a_report(
    user: NewUser, first_run: subprocess.CompletedProcess[str]
) -> None:
    shown = first_run.stdout
    assert first_run.returncode == 0, shown[-4000:]
    assert "setup: ansible-core into .venv" in shown
    assert len(re.findall(r"^step \d+/\d+  loss \d+\.\d+  [\d,]+ tokens/s .* left$", shown, re.MULTILINE)) > 5
    assert re.search(r"^check +verdict +value +limit +reason$", shown, re.MULTILINE)
    assert re.search(r"^held_out_loss +PASS ", shown, re.MULTILINE)
    assert "verdict: pass" in shown
    report = re.search(r"^report: (\S+/report\.html)$", shown, re.MULTILINE)
    assert report
    assert user.debian.inside(report[1]).is_relative_to(user.project / "runs/fsdp")
    assert user.debian.inside(report[1]).stat().st_uid == chroot.UID


def test_a_second_run_installs_nothing(user: NewUser, first_run: subprocess.CompletedProcess[str]) -> None:
    assert first_run.returncode == 0
    installed = (user.project / ".venv", chroot.CACHE / "environments")
    before = [state(folder) for folder in installed]

    ran = user.types(user.readme.enter, f"{user.readme.run} PARAMS='steps=20'")

    assert ran.returncode == 0, ran.stdout[-4000:]
    assert "setup:" not in ran.stdout
    assert "is made once" not in ran.stdout
    assert [state(folder) for folder in installed] == before


def publish(repository: Path) -> None:
    """The checkout as it stands, with what is not committed yet, as a bare repository that the user may clone."""

    def git(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return support.run(["git", *words], support.ROOT, variables)

    cloned = git("clone", "--quiet", "--bare", support.ROOT, repository)
    assert cloned.returncode == 0, cloned.stdout
    as_it_stands = {
        "GIT_DIR": str(repository),
        "GIT_WORK_TREE": str(support.ROOT),
        "GIT_INDEX_FILE": str(repository / "snapshot"),
    }
    added = git("add", "--all", **as_it_stands)
    assert added.returncode == 0, added.stdout
    if git("diff", "--cached", "--quiet", "HEAD", **as_it_stands).returncode:
        author = ("-c", "user.name=fresh", "-c", "user.email=fresh@localhost", "-c", "core.hooksPath=/dev/null")
        committed = git(*author, "commit", "--quiet", "--message", "What is not committed yet", **as_it_stands)
        assert committed.returncode == 0, committed.stdout
    for path in [repository, *repository.rglob("*")]:
        os.chown(path, chroot.UID, chroot.UID)


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file under a folder, but for bytecode, which Python writes when it likes."""
    stats = {path: path.lstat() for path in folder.rglob("*") if "__pycache__" not in path.parts}
    return {str(path): (about.st_size, about.st_mtime_ns) for path, about in stats.items()}
