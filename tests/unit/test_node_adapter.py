"""tests/node over testinfra's local connection, with fake commands in place of a node's."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ansible_collections.awsome.distributed_training.tests import support

SHOWN = "LoadState=loaded\\nActiveState={state}\\nUnitFileState=enabled\\n"


def checked(folder: Path, state: str, expected: dict[str, object]) -> tuple[int, str]:
    programs = folder / "bin"
    programs.mkdir()
    for name, says in (("systemctl", SHOWN.format(state=state)), ("dpkg-query", "one\\t1.0\\tii \\n")):
        (programs / name).write_text(f"#!/bin/sh\nprintf '{says}'\n")
        (programs / name).chmod(0o755)
    (folder / "expected.json").write_text(json.dumps(expected))
    words = [sys.executable, "-m", "pytest", "tests/node", "--hosts=local://", "--groups=dcgm", "-rA", "-q"]
    variables = {"PATH": f"{programs}:{os.environ['PATH']}", "CI": None}
    ran = support.run([*words, f"--expected={folder}/expected.json"], support.ROOT, variables)
    return ran.returncode, ran.stdout


def test_what_holds_passes_and_what_is_not_known_is_skipped(tmp_path: Path) -> None:
    status, said = checked(tmp_path, "active", {"system": "debian12", "packages": {"dcgm": {"one": "1.0"}}})
    assert status == 0, said
    assert "2 passed, 1 skipped" in said
    assert "not known: repositories.dcgm" in said


def test_what_does_not_hold_fails_with_its_fix(tmp_path: Path) -> None:
    status, said = checked(tmp_path, "failed", {"system": "debian12", "packages": {"dcgm": {"one": "2.0"}}})
    assert status == 1
    assert "dcgm.service: nvidia-dcgm is failed; fix: journalctl --unit nvidia-dcgm" in said
    assert "dcgm.packages: one 1.0, not 2.0; fix: apply role dcgm" in said
