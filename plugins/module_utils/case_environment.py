# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The Python environment of a case: built once from its lock file and kept, keyed by all that goes into it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

_SIZE = re.compile(r"^# size: (.+)$", re.MULTILINE)
_CPU_BUILD = re.compile(r"^# cpu build: (\S+)==(\S+)$", re.MULTILINE)


def environment_key(lock: str, cpu_lock: str | None, python_version: str) -> str:
    """sha256 over all that decides what an environment holds."""
    parts = [python_version, lock, cpu_lock or ""]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def stated_size(lock: str) -> str:
    """What the lock file's header says of its size, such as ``download 2.2 GiB, installed 4.8 GiB``."""
    found = _SIZE.search(lock)
    return found.group(1) if found else "size not stated"


def cpu_build(cpu_lock: str) -> tuple[str, str]:
    """The package of which the CPU lock wants a CPU build, and its version."""
    found = _CPU_BUILD.search(cpu_lock)
    if not found:
        raise TrainingError("the CPU lock file has no line '# cpu build: NAME==VERSION'", "make lock")
    return found.group(1), found.group(2)


def offered_cpu_build(report: dict[str, Any]) -> dict[str, str] | None:
    """The CPU build in a ``pip install --dry-run --report`` of one package: version, file, sha256; None without one.

    A CPU build says so in its local version, as in 2.13.0+cpu.
    """
    for item in report.get("install", []):
        version = item["metadata"]["version"]
        if version.partition("+")[2].startswith("cpu"):
            source = item["download_info"]
            return {
                "version": version,
                "file": unquote(urlsplit(source["url"]).path.rpartition("/")[2]),
                "sha256": source.get("archive_info", {}).get("hashes", {}).get("sha256", ""),
            }
    return None


class CaseEnvironment:
    """One environment: where it lies, whether it is complete, and how it is made."""

    def __init__(self, cache: str, lock_path: str, cpu_lock_path: str | None, python: str) -> None:
        self.python = python
        self.lock_path = lock_path
        self.cpu_lock_path = cpu_lock_path
        self.lock = _read(lock_path)
        self.cpu_lock = _read(cpu_lock_path) if cpu_lock_path else None
        self.version = _run([python, "-c", "import sys; print(sys.version)"]).strip()
        key = environment_key(self.lock, self.cpu_lock, self.version)
        self.path = os.path.join(cache, "environments", key)
        self.interpreter = os.path.join(self.path, "bin", "python")

    def record(self) -> dict[str, Any] | None:
        """What was installed; None until the environment is complete."""
        try:
            with open(os.path.join(self.path, "environment.json"), encoding="utf-8") as file:
                record: dict[str, Any] = json.load(file)
                return record
        except FileNotFoundError:
            return None

    def cpu_offer(self) -> dict[str, str] | None:
        """The CPU build that this machine's package configuration offers; asks the index, downloads nothing large."""
        if self.cpu_lock is None:
            return None
        name, version = cpu_build(self.cpu_lock)
        with tempfile.TemporaryDirectory() as folder:
            report = os.path.join(folder, "report.json")
            pip = self._pip(folder)
            asked = [
                *pip,
                "install",
                "--dry-run",
                "--ignore-installed",
                "--no-deps",
                "--quiet",
                "--report",
                report,
                f"{name}=={version}",
            ]
            try:
                _run(asked)
                with open(report, encoding="utf-8") as file:
                    return offered_cpu_build(json.load(file))
            except (TrainingError, FileNotFoundError):
                return None

    def build(self) -> dict[str, Any]:
        """Make the environment, or find that another run has made it meanwhile; returns its record."""
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with _locked(self.path + ".lock"):
            made = self.record()
            if made:
                return made
            shutil.rmtree(self.path, ignore_errors=True)
            try:
                return self._build()
            except BaseException:
                shutil.rmtree(self.path, ignore_errors=True)
                raise

    def _build(self) -> dict[str, Any]:
        offer = self.cpu_offer()
        _run([self.python, "-m", "venv", self.path])
        pip = [self.interpreter, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        options = ["install", "--quiet", "--progress-bar", "off"]
        if offer and self.cpu_lock_path:
            name, _ = cpu_build(self.cpu_lock or "")
            # No digest is known beforehand for a build of the user's own source: it is recorded instead.
            _run([*pip, *options, "--no-deps", f"{name}=={offer['version']}"])
            _run([*pip, *options, "--require-hashes", "-r", self.cpu_lock_path])
        else:
            _run([*pip, *options, "--require-hashes", "-r", self.lock_path])
        packages = {item["name"]: item["version"] for item in json.loads(_run([*pip, "list", "--format", "json"]))}
        record = {
            "python": self.version.split()[0],
            "build": "cpu" if offer else "default",
            "cpu_build": offer,
            "lock_sha256": hashlib.sha256(
                (self.cpu_lock if offer and self.cpu_lock else self.lock).encode()
            ).hexdigest(),
            "packages": packages,
        }
        with open(os.path.join(self.path, "environment.json"), "w", encoding="utf-8") as file:
            json.dump(record, file, indent=2, sort_keys=True)
        return record

    def _pip(self, folder: str) -> list[str]:
        """A pip to ask with: the interpreter's own, or one in a throw-away environment."""
        if subprocess.run([self.python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
            return [self.python, "-m", "pip"]
        _run([self.python, "-m", "venv", os.path.join(folder, "pip")])
        return [os.path.join(folder, "pip", "bin", "python"), "-m", "pip"]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise TrainingError(
            f"lock file {path}: {error.strerror}", "make lock, or correct environment.requirements"
        ) from error


def _run(command: list[str]) -> str:
    """What a command prints; its last line of complaint where it fails."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise TrainingError(f"{command[0]}: {error.strerror}", "give the path of a Python interpreter") from error
    if ran.returncode:
        complaint = next(
            (line for line in reversed((ran.stderr or ran.stdout).splitlines()) if line.strip()), "no message"
        )
        fix = (
            "apt-get install python3-venv"
            if "ensurepip" in ran.stdout + ran.stderr
            else "mend what it names and run again"
        )
        raise TrainingError(f"{' '.join(command[:4])} … failed: {complaint}", fix)
    return ran.stdout


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Only one process at a time builds an environment."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
