# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A case's environment: what decides it, whether a CPU build is on offer, and how it is made, once."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.case_environment import (
    CaseEnvironment,
    cpu_build,
    environment_key,
    offered_cpu_build,
    stated_size,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def report(version: str, **source: Any) -> dict[str, Any]:
    """kind: reconstructed - the keys of pip's installation report, version 1 (pip 22.2 to 26.0), that we read."""
    return {
        "version": "1",
        "pip_version": "26.0",
        "install": [
            {
                "download_info": {
                    "url": f"https://example.com/whl/torch-{quote(version)}-cp311-none-any.whl",
                    **source,
                },
                "is_direct": False,
                "requested": True,
                "metadata": {"metadata_version": "2.1", "name": "torch", "version": version},
            }
        ],
    }


def test_a_cpu_build_says_so_in_its_local_version() -> None:
    hashes = {"archive_info": {"hash": "sha256=ab", "hashes": {"sha256": "ab"}}}
    assert offered_cpu_build(report("2.13.0+cpu", **hashes)) == {
        "version": "2.13.0+cpu",
        "file": "torch-2.13.0+cpu-cp311-none-any.whl",
        "sha256": "ab",
    }


@pytest.mark.parametrize("version", ["2.13.0", "2.13.0+cu130", "2.13.0+acpu"])
def test_another_build_is_no_offer(version: str) -> None:
    assert offered_cpu_build(report(version)) is None


def test_nothing_to_install_is_no_offer() -> None:
    assert offered_cpu_build({"version": "1", "install": []}) is None


def test_an_index_that_states_no_digest_leaves_it_empty() -> None:
    offer = offered_cpu_build(report("2.13.0+cpu.cxx11"))
    assert offer is not None
    assert offer["sha256"] == ""


def test_an_environment_is_keyed_by_both_locks_and_the_interpreter() -> None:
    keys = {
        environment_key("a", None, "3.11.2"),
        environment_key("b", None, "3.11.2"),
        environment_key("a", "c", "3.11.2"),
        environment_key("a", None, "3.12.1"),
        environment_key("", "a", "3.11.2"),
    }
    assert len(keys) == 5
    assert all(len(key) == 64 for key in keys)
    assert environment_key("a", None, "3.11.2") in keys


def test_the_size_is_what_the_lock_file_states() -> None:
    assert stated_size("# From x.in by make lock.\n# size: download 2.8 GB, installed 5.1 GB\na==1\n") == (
        "download 2.8 GB, installed 5.1 GB"
    )
    assert stated_size("a==1\n") == "size not stated"


def test_a_cpu_lock_names_the_package_of_which_it_wants_a_build() -> None:
    assert cpu_build("# size: small\n# cpu build: torch==2.13.0\nnumpy==2\n") == ("torch", "2.13.0")


def test_a_cpu_lock_that_names_no_package_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"no line '# cpu build: NAME==VERSION'; fix: make lock"):
        cpu_build("numpy==2\n")


def test_a_missing_lock_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^lock file .*/no\.lock: No such file or directory; fix: "):
        CaseEnvironment(str(tmp_path), str(tmp_path / "no.lock"), None, sys.executable)


def test_a_missing_interpreter_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.lock").write_text("")
    with pytest.raises(TrainingError, match=r"^/no/python: No such file or directory; fix: "):
        CaseEnvironment(str(tmp_path), str(tmp_path / "a.lock"), None, "/no/python")


def wheel(folder: Path, name: str, version: str) -> str:
    """A package of one module that states its version; returns the digest of its wheel."""
    info, path = f"{name}-{version}.dist-info", folder / f"{name}-{version}-py3-none-any.whl"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Shelf:
    """A folder of wheels that is all that pip sees, and the lock files over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock, self.cpu_lock = folder / "requirements.lock", folder / "requirements-cpu.lock"
        default, helper = wheel(folder, "torchlike", "1.0"), wheel(folder, "helper", "2.0")
        self.cpu_digest = wheel(folder, "torchlike", "1.0+cpu")
        helped = f"helper==2.0 --hash=sha256:{helper}\n"
        self.lock.write_text(f"{helped}torchlike==1.0 --hash=sha256:{default}\n")
        self.cpu_lock.write_text(f"# cpu build: torchlike==1.0\n{helped}")

    def environment(self, cpu: bool = True) -> CaseEnvironment:
        cpu_lock = str(self.cpu_lock) if cpu else None
        return CaseEnvironment(str(self.folder / "cache"), str(self.lock), cpu_lock, sys.executable)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return Shelf(tmp_path)


def imported(environment: CaseEnvironment) -> str:
    """The versions that a program of the environment gets."""
    script = "import helper, torchlike; print(torchlike.VERSION, helper.VERSION)"
    return subprocess.run(
        [environment.interpreter, "-c", script], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_cpu_build_is_taken_where_it_is_on_offer_and_made_once(shelf: Shelf) -> None:
    environment = shelf.environment()
    assert environment.record() is None
    made = environment.build()
    assert imported(environment) == "1.0+cpu 2.0"
    assert (made["build"], made["packages"]["torchlike"], made["packages"]["helper"]) == ("cpu", "1.0+cpu", "2.0")
    assert made["cpu_build"] == {
        "version": "1.0+cpu",
        "file": "torchlike-1.0+cpu-py3-none-any.whl",
        "sha256": shelf.cpu_digest,
    }
    assert made["lock_sha256"] == hashlib.sha256(shelf.cpu_lock.read_bytes()).hexdigest()

    for file in shelf.folder.glob("*.whl"):
        file.unlink()
    marked = Path(environment.path) / "marked"
    marked.touch()
    again = shelf.environment()
    assert (again.record(), again.build()) == (made, made)
    assert marked.exists()


def test_the_default_lock_is_taken_where_no_cpu_build_is_on_offer(shelf: Shelf) -> None:
    (shelf.folder / "torchlike-1.0+cpu-py3-none-any.whl").unlink()
    environment = shelf.environment()
    made = environment.build()
    assert imported(environment) == "1.0 2.0"
    assert (made["build"], made["cpu_build"]) == ("default", None)
    assert made["lock_sha256"] == hashlib.sha256(shelf.lock.read_bytes()).hexdigest()


def test_the_cpu_build_is_not_looked_for_on_a_node_with_gpus(shelf: Shelf) -> None:
    assert shelf.environment(cpu=False).cpu_offer() is None


def test_a_build_that_fails_says_why_and_leaves_nothing(shelf: Shelf) -> None:
    shelf.lock.write_text(f"torchlike==1.0 --hash=sha256:{'0' * 64}\n")
    environment = shelf.environment(cpu=False)
    with pytest.raises(TrainingError, match=r"pip .* failed: .*; fix: ") as refused:
        environment.build()
    assert "\n" not in str(refused.value)
    assert environment.record() is None
    assert not Path(environment.path).exists()
