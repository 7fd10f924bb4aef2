"""Pythons that run the training code under test: a case's own, and beside it what the tests need there."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from ansible_collections.awsome.distributed_training.plugins.module_utils.case_environment import CaseEnvironment
from ansible_collections.awsome.distributed_training.tests import support


def case_python(framework: str) -> Path:
    """The interpreter of a framework's cases: the environment that the play takes too, built where it is not there."""
    folder = support.ROOT / "test_cases" / framework
    cpu_lock = folder / "requirements-cpu.lock"
    environment = CaseEnvironment(
        str(support.CACHE),
        str(folder / "requirements.lock"),
        str(cpu_lock) if cpu_lock.exists() else None,
        sys.executable,
    )
    if environment.record() is None:
        environment.build()
    return Path(environment.interpreter)


def packages_for(python: Path, lock: Path) -> Path:
    """A folder for PYTHONPATH with what a lock file names, made once for a version of Python and kept in the cache."""
    asked = [str(python), "-c", "import sys; print(sys.version)"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    key = hashlib.sha256(f"{version}\0{lock.read_text()}".encode()).hexdigest()
    path = support.CACHE / "test-environments" / f"packages-{key}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (path / "complete").exists():
            shutil.rmtree(path, ignore_errors=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
            options = ["--require-hashes", "--requirement", str(lock), "--target", str(path)]
            subprocess.run([*pip, *options], check=True)
            (path / "complete").touch()
    return path
