"""Check types with mypy, as pyproject.toml sets it up. A file types.py would hide the module of that name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COLLECTION = "ansible_collections.awsome.distributed_training"
LINK = ROOT / "build/types" / COLLECTION.replace(".", "/")
"""The collection under its full name, at a place from which mypy takes sources."""


def main() -> int:
    """Exit status 1 where any part has an error."""
    LINK.parent.mkdir(parents=True, exist_ok=True)
    if not LINK.is_symlink():
        LINK.symlink_to(ROOT)
    passed = [
        mypy("collection", ["build/types", *_TRAINING], "-p", f"{COLLECTION}.plugins", "-p", f"{COLLECTION}.tests"),
        mypy("scripts", ["."], "requirements/lock.py", *files("roles/*/files/*.py")),
        mypy("library", ["test_cases/lib"], "-p", "adt_train"),
    ]
    # each case by itself: several have a train.py
    for case in sorted({os.path.dirname(path) for path in files("test_cases/*/*/case.yml")}):
        scripts = files(f"{case}/*.py")
        options = ("--follow-imports=silent", "--no-warn-return-any")
        passed.append(mypy(case, ["test_cases/lib", case], *options, *scripts))
    return int(not all(passed))


_TRAINING = ["test_cases/lib", "test_cases/pytorch/fsdp", "test_cases/pytorch/ddp"]
"""What the tests of the training code import from."""


def files(pattern: str) -> list[str]:
    """Files that match a pattern, from the project's root."""
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))


def mypy(part: str, sources: list[str], *what: str) -> bool:
    """One run over modules that are found in some folders; prints what is wrong."""
    command = [sys.executable, "-m", "mypy", f"--cache-dir=.mypy_cache/{part}", *what]
    environment = {**os.environ, "MYPYPATH": ":".join(sources)}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        print((ran.stdout + ran.stderr).replace(f"{LINK.relative_to(ROOT)}/", ""), end="")
    return ran.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
