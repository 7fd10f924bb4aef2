"""The test session itself: what --keep-artifacts leaves, and which skips CI lets pass."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parent.parent / "conftest.py"
Session = Callable[..., subprocess.CompletedProcess[str]]

LEAVES_A_FILE = """
def test_leaves_a_file(workplace):
    (workplace / "log.txt").write_text("kept")
    print(f"workplace is {workplace}")
"""
SKIPS = """
import pytest

def test_passes():
    pass

@pytest.mark.skip(reason="no engine here")
def test_skips():
    pass
"""


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Runs pytest on one test file beside a copy of conftest.py; arguments: its text, options, allowed skips, CI."""
    tests = tmp_path / "tests"
    tests.mkdir()
    shutil.copy(CONFTEST, tests)
    (tmp_path / "tmp").mkdir()

    def run(
        text: str, *options: str, allowed: str = "# none\n", ci: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        (tests / "test_it.py").write_text(text)
        (tests / "allowed_skips.txt").write_text(allowed)
        env = {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "CI": ci or ""}
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", *options, "tests"]
        return subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    return run


def test_a_workplace_is_removed_after_its_test(session: Session, tmp_path: Path) -> None:
    ran = session(LEAVES_A_FILE, "-s")
    assert ran.returncode == 0, ran.stdout
    workplace = Path(ran.stdout.partition("workplace is ")[2].split()[0])
    assert workplace.is_relative_to(tmp_path / "tmp")
    assert not workplace.exists()


def test_keep_artifacts_leaves_the_workplace_and_prints_its_path(session: Session, tmp_path: Path) -> None:
    ran = session(LEAVES_A_FILE, "-s", "--keep-artifacts=t")
    assert ran.returncode == 0, ran.stdout
    kept = tmp_path / "build/kept/t/test_leaves_a_file"
    assert f"kept: {kept}" in ran.stdout
    assert (kept / "log.txt").read_text() == "kept"


def test_keep_artifacts_does_not_take_a_path_for_its_prefix(session: Session) -> None:
    ran = session(LEAVES_A_FILE, "--keep-artifacts", "tests/test_it.py")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "fix: write --keep-artifacts=PREFIX" in ran.stderr


def test_a_skip_passes_outside_ci(session: Session) -> None:
    ran = session(SKIPS)
    assert ran.returncode == 0, ran.stdout


def test_a_skip_that_is_not_listed_fails_in_ci(session: Session) -> None:
    ran = session(SKIPS, ci="true")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    assert "not in tests/allowed_skips.txt: tests/test_it.py::test_skips  Skipped: no engine here" in ran.stdout


def test_a_listed_skip_passes_in_ci(session: Session) -> None:
    ran = session(SKIPS, ci="true", allowed="# skips\ntests/test_it.py::test_skips  no engine on this kind of CI\n")
    assert ran.returncode == 0, ran.stdout


def test_a_module_that_skips_as_a_whole_fails_in_ci(session: Session) -> None:
    ran = session('import pytest\npytest.importorskip("no_such_module")\n', ci="true")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    assert "not in tests/allowed_skips.txt: tests/test_it.py" in ran.stdout


def test_an_expected_failure_is_no_skip(session: Session) -> None:
    ran = session("import pytest\n\n@pytest.mark.xfail\ndef test_known():\n    raise ValueError\n", ci="true")
    assert ran.returncode == 0, ran.stdout
