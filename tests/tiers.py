"""Run tiers of the tests, each to its closing line "N passed, N failed, N skipped"; exit status 1 where one failed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BUILD = ROOT / "build"


@dataclass
class Count:
    """Passed, failed and skipped tests."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def command(*words: str) -> Count:
    """One command is one test: it passes with exit status 0."""
    print(f"$ {' '.join(words)}", flush=True)
    status = subprocess.run(words, cwd=ROOT, check=False).returncode
    return Count(passed=int(status == 0), failed=int(status != 0))


def pytest(*groups: str) -> Count:
    """Groups of tests, paths and options of pytest, all groups at once; counted from pytest's own reports."""
    BUILD.mkdir(exist_ok=True)
    started = [start_pytest(group) for group in groups]
    total = Count()
    for process, report, log in started:
        status = process.wait()
        print(log.read_text(), flush=True)
        total.add(reported(report, status))
    return total


def start_pytest(group: str) -> tuple[subprocess.Popen[bytes], Path, Path]:
    """A process, where its report will be and where its output goes."""
    name = re.sub(r"\W+", "-", group)
    report, log = BUILD / f"junit-{name}.xml", BUILD / f"pytest-{name}.log"
    report.unlink(missing_ok=True)
    words = [sys.executable, "-m", "pytest", "-q", "--no-header", f"--junitxml={report}", *shlex.split(group)]
    print(f"$ pytest {group}", flush=True)
    with open(log, "wb") as file:
        return subprocess.Popen(words, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT), report, log


def reported(report: Path, status: int) -> Count:
    """What a junit report counts; a pytest that failed has at least one failure."""
    suite = ElementTree.parse(report).getroot().find("testsuite") if report.exists() else None
    if suite is None:
        return Count(failed=1)
    tests, failures, errors, skipped = (int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped"))
    failed = failures + errors
    return Count(tests - failed - skipped, failed or int(status != 0), skipped)


def lint() -> Count:
    """Style, types and rules, without asking anything of a network."""
    count = Count()
    for words in (
        (str(BIN / "ruff"), "check", "."),
        (str(BIN / "ruff"), "format", "--check", "."),
        (sys.executable, "tests/lint/static_types.py"),
        (sys.executable, "tests/lint/rules.py"),
        (str(BIN / "ansible-lint"), "--offline", "--profile", "production", "-q"),
    ):
        count.add(command(*words))
    return count


def unit() -> Count:
    training = "tests/unit/test_training_code.py"
    return pytest(training, f"tests/unit --ignore={training}", "tests/rendering")


def local() -> Count:
    whole_presets = ("tests/local/test_fsdp.py", "tests/local/test_jax.py")
    return pytest(" ".join(whole_presets), " ".join(["tests/local", *(f"--ignore={path}" for path in whole_presets)]))


def fresh() -> Count:
    return pytest("tests/fresh", "tests/packaging")


def molecule() -> Count:
    return pytest("tests/molecule -k munge", "tests/molecule -k slurm")


def mirror() -> Count:
    half = [f"tests/mirror/test_{name}.py" for name in ("refusals", "stand_ins", "openpgp")]
    return pytest(" ".join(half), " ".join(["tests/mirror", *(f"--ignore={path}" for path in half)]))


def slurm() -> Count:
    return pytest("tests/slurm -m 'not full'", "tests/faults -m 'not full'")


def faults() -> Count:
    return pytest("tests/faults", "tests/slurm -m full")


TIERS: dict[str, tuple[Callable[[], Count], int]] = {
    "lint": (lint, 30),
    "unit": (unit, 150),
    "local": (local, 240),
    "fresh": (fresh, 180),
    "slurm": (slurm, 480),
    "molecule": (molecule, 600),
    "mirror": (mirror, 240),
    "faults": (faults, 900),
}
"""Each tier, and the seconds that it may take with warm caches on two cores."""


def main(names: list[str]) -> int:
    os.environ["PATH"] = f"{BIN}:{os.environ['PATH']}"
    total = Count()
    for name in names:
        run, budget = TIERS[name]
        print(f"== {name}", flush=True)
        started = time.monotonic()
        count = run()
        seconds = time.monotonic() - started
        print(f"== {name}: {seconds:.0f} s of {budget} s")
        print(count, flush=True)
        total.add(count)
    if len(names) > 1:
        print("== all tiers")
        print(total)
    return int(total.failed > 0 or total.passed == 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
