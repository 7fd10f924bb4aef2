"""ansible-test sanity: those of its tests that need nothing but ansible-core."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support

TESTS = (
    "action-plugin-docs",
    "compile",
    "empty-init",
    "ignores",
    "line-endings",
    "no-assert",
    "no-get-exception",
    "no-illegal-filenames",
    "no-smart-quotes",
    "replace-urlopen",
    "shebang",
    "symlinks",
    "use-argspec-type-path",
    "use-compat-six",
)
"""The others (ansible-doc, import, pep8, pylint, runtime-metadata, shellcheck, validate-modules, yamllint) first fetch
a pip of their own; make lint and tests/packaging/test_documentation.py look at most of the same."""


@pytest.fixture(scope="module")
def checkout(make_workplace: Callable[[str], Path]) -> Path:
    """A copy of the project's files where ansible-test looks for a collection."""
    root = make_workplace("sanity") / "ansible_collections" / support.COLLECTION.replace(".", "/")
    for name in support.project_files():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(support.ROOT / name, root / name, follow_symlinks=False)
    return root


def sanity(checkout: Path, *names: str) -> tuple[int, str]:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    words: list[str | Path] = [Path(sys.executable).parent / "ansible-test", "sanity", "--python", python]
    ran = support.run([*words, *(word for name in names for word in ("--test", name))], checkout, timeout=300)
    return ran.returncode, ran.stdout


def test_sanity(checkout: Path) -> None:
    status, said = sanity(checkout, *TESTS)
    assert status == 0, said


def test_what_sanity_refuses_is_seen(checkout: Path) -> None:
    broken = checkout / "plugins/modules/broken.py"
    broken.write_text("#!/bin/sh\n")
    status, said = sanity(checkout, "shebang")
    broken.unlink()
    assert status != 0
    assert "plugins/modules/broken.py" in said
