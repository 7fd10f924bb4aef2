"""Program adt-checks: one file that needs Python alone, told by exit status and JSON, and the way out of Slurm."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks_program, controller

DATA: dict[str, Any] = {"types": {}, "xids": {}, "version": "1.2.3+abc"}
REGISTRY = f"{checks_program.PACKAGE.replace('.', '/')}/checks/registry.py"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "adt-checks"
    path.write_bytes(checks_program.program(controller.ROOT, DATA))
    path.chmod(0o755)
    return path


def ran(program: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it with commands of this folder alone, by a Python that knows nothing of the collection."""
    command = [sys.executable, "-I", str(program), f"--record={folder / 'checks.json'}", *words]
    return subprocess.run(
        command, env={"PATH": str(folder), "SLURMD_NODENAME": "gpu-1"}, capture_output=True, text=True, check=False
    )


def tool(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_the_same_files_give_the_same_program(program: Path) -> None:
    assert program.read_bytes() == checks_program.program(controller.ROOT, DATA)


def test_it_holds_the_registry_and_all_that_it_reaches(program: Path) -> None:
    names = zipfile.ZipFile(io.BytesIO(program.read_bytes())).namelist()
    assert REGISTRY in names
    assert not [name for name in names if "controller" in name or "/action/" in name]


def test_its_version_changes_with_what_it_does() -> None:
    one = checks_program.version(controller.ROOT, DATA, "1.2.3")
    assert one.startswith("1.2.3+")
    assert checks_program.version(controller.ROOT, {**DATA, "xids": {"79": {}}}, "1.2.3") != one


def test_a_failing_check_is_told_and_gives_status_1(program: Path, tmp_path: Path) -> None:
    tool(tmp_path, "systemctl", "echo LoadState=loaded; echo ActiveState=failed; echo UnitFileState=enabled")
    done = ran(program, tmp_path, "--groups=dcgm", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["verdict"], told["node"]) == (1, "fail", "gpu-1")
    assert "nv-hostengine" in done.stdout or "nvidia-dcgm is failed" in done.stdout


def test_nothing_to_check_is_no_success(program: Path, tmp_path: Path) -> None:
    done = ran(program, tmp_path)
    assert done.returncode == 1
    assert "nothing was checked: no check applies" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--groups=gpux",), "did you mean gpu"),
        (("--tags=gpux",), "did you mean gpu"),
    ],
)
def test_what_it_does_not_know_is_refused_with_status_2(
    program: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    done = ran(program, tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_spoilt_record_gives_status_2(program: Path, tmp_path: Path) -> None:
    (tmp_path / "checks.json").write_text("{")
    done = ran(program, tmp_path)
    assert done.returncode == 2
    assert "move the file away" in done.stderr


def test_drain_takes_the_node_out_with_its_reason(program: Path, tmp_path: Path) -> None:
    tool(tmp_path, "systemctl", "echo LoadState=loaded; echo ActiveState=failed; echo UnitFileState=enabled")
    tool(tmp_path, "scontrol", f'printf "%s\\n" "$@" >{tmp_path}/asked')
    done = ran(program, tmp_path, "--groups=dcgm", "--drain")
    assert done.returncode == 1
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[:3] == ["update", "nodename=gpu-1", "state=drain"]
    assert asked[3].startswith("reason=adt-checks: dcgm.")


def test_drain_without_slurm_is_told(program: Path, tmp_path: Path) -> None:
    tool(tmp_path, "systemctl", "echo LoadState=loaded; echo ActiveState=failed; echo UnitFileState=enabled")
    done = ran(program, tmp_path, "--groups=dcgm", "--drain", "--scontrol=")
    assert done.returncode in (1, 2)
    assert "scontrol" in done.stderr


def test_help_says_what_the_exit_status_means(program: Path, tmp_path: Path) -> None:
    done = ran(program, tmp_path, "--help")
    assert done.returncode == 0
    assert "2 the checks did not run" in " ".join(done.stdout.split())
