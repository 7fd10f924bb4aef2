"""Run tiers of the tests, each to its closing line "N passed, N failed, N skipped"; exit status 1 where one failed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BUILD = ROOT / "build"


@dataclass
class Count:
    """Passed, failed and skipped tests, and lines in which they say what they tried."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.notes += other.notes

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def side_by_side(*commands: Sequence[str]) -> Count:
    """Commands at the same time; each is one test, which passes with exit status 0, and is shown once it has ended."""
    total = Count()
    with ThreadPoolExecutor(len(commands)) as pool:
        for count in pool.map(command, commands):
            total.add(count)
    return total


def command(words: Sequence[str]) -> Count:
    ran = subprocess.run(words, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(f"$ {' '.join(words)}\n{ran.stdout}", end="", flush=True)
    return Count(passed=int(ran.returncode == 0), failed=int(ran.returncode != 0))


def pytest(*groups: str, at_once: int | None = None) -> Count:
    """Groups of tests, paths and options of pytest, counted from pytest's own reports.

    :param at_once: how many groups run at the same time; all of them where it is not said.
    """
    BUILD.mkdir(exist_ok=True)
    total = Count()
    with ThreadPoolExecutor(at_once or len(groups) or 1) as pool:
        for count in pool.map(one_group, groups):
            total.add(count)
    return total


def one_group(group: str) -> Count:
    """Run a group; its output is shown once it has ended."""
    process, report, log = start_pytest(group)
    status = process.wait()
    text = log.read_text()
    print(text, flush=True)
    count = reported(report, status)
    count.notes = re.findall(r"^[a-z ]+: \d+ tried, \d+ [a-z]+$", text, re.MULTILINE)
    return count


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
    """Style, types and rules, without asking anything of a network.

    ansible-lint has one process for its rules: so the roles have one, and all else another.
    """
    ansible = (str(BIN / "ansible-lint"), "--offline", "--profile", "production", "-q", "--exclude")
    folders = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
    return side_by_side(
        (*ansible, *(name for name in folders if name not in ("roles", "meta"))),
        (*ansible, "roles"),
        (sys.executable, "tests/lint/static_types.py"),
        (sys.executable, "tests/lint/rules.py"),
        (str(BIN / "ruff"), "check", "."),
        (str(BIN / "ruff"), "format", "--check", "."),
    )


def unit() -> Count:
    training = "tests/unit/test_training_code.py"
    return pytest(training, f"tests/unit --ignore={training}", "tests/rendering")


def local() -> Count:
    whole_presets = ("tests/local/test_fsdp.py", "tests/local/test_jax.py")
    return pytest(" ".join(whole_presets), " ".join(["tests/local", *(f"--ignore={path}" for path in whole_presets)]))


def fresh() -> Count:
    return pytest("tests/fresh", "tests/packaging")


def molecule() -> Count:
    """The scenarios of SCENARIO, else every one; AT_ONCE of them at the same time."""
    asked = os.environ.get("SCENARIO", "").replace(",", " ").split()
    return scenarios(asked or sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")))


def molecule_changed() -> Count:
    """The composed scenarios, and those of the roles that differ from origin/main."""
    # not above: the other tiers need no Ansible here
    from ansible_collections.awsome.distributed_training.tests.molecule import scenarios as all_scenarios
    from ansible_collections.awsome.distributed_training.tests.molecule import selection

    read = [all_scenarios.read(name) for name in all_scenarios.names()]
    known = {one.name: selection.Known(one.roles, one.composed) for one in read}
    chosen, left = selection.fitting(known, selection.selected(known, selection.changed_files(ROOT)))
    print(f"scenarios of what changed, and composed ones: {', '.join(chosen) or 'none'}", flush=True)
    if left:
        print(f"left to make molecule: {', '.join(left)}", flush=True)
    return scenarios(chosen)


def scenarios(names: list[str]) -> Count:
    """Scenarios by their names, with the sum of their mutations."""
    groups = [f"'tests/molecule/test_scenarios.py::test_scenario[{name}]'" for name in names]
    count = pytest(*groups, at_once=int(os.environ.get("AT_ONCE") or 2)) if groups else Count()
    for kind in ("mutations", "other versions"):
        found = [re.findall(r"\d+", line) for line in count.notes if line.startswith(f"{kind}: ")]
        tried, caught = (sum(int(numbers[place]) for numbers in found) for place in (0, 1))
        print(f"{kind} in all: {tried} tried, {caught} {'caught' if kind == 'mutations' else 'met'}")
    return count


def mirror() -> Count:
    half = [f"tests/mirror/test_{name}.py" for name in ("refusals", "stand_ins", "openpgp")]
    return pytest(" ".join(half), " ".join(["tests/mirror", *(f"--ignore={path}" for path in half)]))


def real_sources() -> Count:
    """The parts of PARTS, else every one, with what MIRROR holds; none where it lacks something."""
    # not above: the other tiers need no Ansible here
    from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
    from ansible_collections.awsome.distributed_training.tests.real_sources import sources

    try:
        parts = sources.chosen(os.environ.get("PARTS", ""))
    except TrainingError as error:
        found = [str(error)]
    else:
        mirror = os.environ.get("MIRROR", "")
        os.environ["MIRROR"] = mirror and str(Path(mirror).expanduser().resolve())  # pytest stands in another folder
        found = sources.lacks(os.environ["MIRROR"], parts)
    for line in found:
        print(line)
    if found:
        return Count(failed=len(found))
    return pytest(*(f"tests/real_sources/test_{part}.py" for part in parts), at_once=1)


def validate() -> Count:
    return pytest("tests/validate --ignore=tests/validate/test_slurm_prolog.py", "tests/validate/test_slurm_prolog.py")


def slurm() -> Count:
    return pytest("tests/slurm -m 'not full'", "tests/faults -m 'not full'")


def faults() -> Count:
    return pytest("tests/faults", "tests/slurm -m full")


TIERS: dict[str, tuple[Callable[[], Count], int]] = {
    "lint": (lint, 60),
    "unit": (unit, 120),
    "local": (local, 240),
    "fresh": (fresh, 180),
    "slurm": (slurm, 480),
    "molecule": (molecule, 3600),
    "molecule-changed": (molecule_changed, 600),
    "mirror": (mirror, 240),
    "validate-e2e": (validate, 300),
    "faults": (faults, 900),
    "real-sources": (real_sources, 1800),
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
