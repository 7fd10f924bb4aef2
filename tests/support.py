"""What tests of several tiers share: commands, the play, environments of Python, and the project's own files."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "awsome-distributed-training"
COLLECTION = "awsome.distributed_training"
PLAYBOOK = f"{COLLECTION}.run_test_case"


def run(
    words: Sequence[object], cwd: Path, env: Mapping[str, str | None] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """A command, with its output and complaints together in ``stdout``.

    :param env: variables that differ from the caller's; None takes one away.
    """
    changed = {**os.environ, **(env or {})}
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={name: value for name, value in changed.items() if value is not None},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )


def play(
    args: Sequence[str],
    cwd: Path,
    env: Mapping[str, str | None] | None = None,
    ansible: Path = BIN,
    playbook: str = PLAYBOOK,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """The play, as a user in folder ``cwd`` types it, with the environment whose bin folder is ``ansible`` active."""
    active = {"PATH": f"{ansible}:{os.environ['PATH']}", "VIRTUAL_ENV": str(ansible.parent), **(env or {})}
    return run([ansible / "ansible-playbook", playbook, *args], cwd, active, timeout)


def missing_programs(packages: Mapping[str, str]) -> str | None:
    """What to do about programs that are not on the PATH; None where all are.

    With CI=true or INSTALL_DOCKER=1 root gets them from the machine's own package sources.

    :param packages: by program, the Debian package that has it.
    """

    def missing() -> dict[str, str]:
        return {program: package for program, package in packages.items() if shutil.which(program) is None}

    allowed = os.environ.get("CI") == "true" or os.environ.get("INSTALL_DOCKER") == "1"
    if missing() and allowed and os.geteuid() == 0:
        CACHE.mkdir(parents=True, exist_ok=True)
        with open(CACHE / "apt.lock", "w") as lock:  # groups of tests begin at the same time
            fcntl.flock(lock, fcntl.LOCK_EX)
            if absent := sorted(set(missing().values())):
                for words in (["update"], ["install", "--yes", "--no-install-recommends", *absent]):
                    run(["apt-get", "--quiet", *words], ROOT, {"DEBIAN_FRONTEND": "noninteractive"}, timeout=600)
    found = missing()
    if not found:
        return None
    packages_named = " ".join(sorted(set(found.values())))
    return f"{', '.join(found)} {'is' if len(found) == 1 else 'are'} missing; fix: apt-get install {packages_named}"


def latest_run(folder: Path, case: str) -> Path:
    """The newest run of a case under the folder that the user stood in."""
    return (folder / "runs" / case / "latest").resolve(strict=True)


def environment(lock: Path) -> Path:
    """The bin folder of an environment with what a lock file names: made once, and kept in the cache."""
    key = hashlib.sha256(f"{sys.version}\0{lock.read_text()}".encode()).hexdigest()
    path = CACHE / "test-environments" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (path / "complete").exists():
            shutil.rmtree(path, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", path], check=True)
            pip: list[str | Path] = [
                path / "bin/pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-input",
            ]
            subprocess.run([*pip, "--require-hashes", "-r", lock], check=True)
            (path / "complete").touch()
    return path / "bin"


def linked_collection(folder: Path) -> dict[str, str | None]:
    """Variables with which Python and Ansible find this checkout under the collection's full name."""
    link = folder / "ansible_collections" / COLLECTION.replace(".", "/")
    link.parent.mkdir(parents=True)
    link.symlink_to(ROOT)
    return {"PYTHONPATH": str(folder)}


def project_files() -> list[str]:
    """What git tracks here, or would: the project without anything that it ignores."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return sorted({name for name in listing.split("\0") if name and (ROOT / name).is_file()})


def files_under(folder: Path) -> set[str]:
    """Paths of all files and links under a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
