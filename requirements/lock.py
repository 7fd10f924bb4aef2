"""Write the lock files again: ``make lock``. Needs uv on the PATH (pip install uv).

Each NAME.in becomes NAME.lock, every file with its digest; ``{torch}`` in it is the version that data/stack.yml
states. A line ``# cpu build: PACKAGE==VERSION`` in NAME.in asks for NAME-cpu.lock besides: the same without that
package and what only its GPU build needs, for machines whose package configuration offers a CPU build of it. Lines
``# size:`` and ``# cpu size:`` are carried over, for the user to see.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
# input, oldest Python, constraint
LOCKS = (
    ("requirements/runtime", "3.11", None),
    ("requirements/dev", "3.11", "requirements/runtime.lock"),
    ("requirements/molecule", "3.11", "requirements/runtime.lock"),
    ("requirements/oldest", "3.11", None),
    ("requirements/real-sources", "3.11", None),
    ("requirements/training-tests", "3.10", None),
    ("test_cases/pytorch/requirements", "3.10", None),
    ("test_cases/jax/requirements", "3.11", None),
)
_GPU_ONLY = re.compile(r"^(nvidia-|cuda-|triton\b)")


def main() -> int:
    """Resolve and write."""
    catalogue = yaml.safe_load((ROOT / "data/stack.yml").read_text())
    versions = catalogue["stacks"][catalogue["default"]]["components"]
    for name, python, constraint in LOCKS:
        wanted = (ROOT / f"{name}.in").read_text().format(**versions)
        lock = ROOT / f"{name}.lock"
        command = [
            "uv",
            "pip",
            "compile",
            "--quiet",
            "--universal",
            "--generate-hashes",
            "--no-header",
            "--no-annotate",
        ]
        command += ["--python-version", python, "--output-file", str(lock), "-"]
        command += ["--constraint", str(ROOT / constraint)] if constraint else []
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, input=wanted, text=True)
        text = lock.read_text()
        lock.write_text(header(name, wanted, "size") + text)
        build = re.search(r"^# cpu build: (\S+)==\S+$", wanted, re.MULTILINE)
        if build:
            (ROOT / f"{name}-cpu.lock").write_text(
                header(name, wanted, "cpu size") + build.group(0) + "\n" + without(text, build.group(1))
            )
    return 0


def header(name: str, wanted: str, size: str) -> str:
    """Where a lock file comes from, and how large what it installs is."""
    stated = re.search(rf"^# {size}: (.+)$", wanted, re.MULTILINE)
    return f"# From {name}.in by make lock.\n" + (f"# size: {stated.group(1)}\n" if stated else "")


def without(lock: str, package: str) -> str:
    """A lock file without a package and those of its GPU build."""
    entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)
    kept = [e for e in entries if not e.startswith(f"{package}==") and not _GPU_ONLY.match(e)]
    return "".join(kept)


if __name__ == "__main__":
    sys.exit(main())
