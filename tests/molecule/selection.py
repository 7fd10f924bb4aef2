"""Which scenarios a change asks for. Pure but for asking git."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

HARNESS = ("molecule", "tests/molecule", "tests/stand_ins")
"""Where a change counts for one scenario alone: all of them would take too long for each."""

SAMPLE = "dcgm"
"""That scenario."""

CHECKS = "plugins/module_utils/checks"

MOST = 5
"""How many scenarios fit into the tier of make test: each takes some two minutes, two at a time."""


@dataclass(frozen=True)
class Known:
    """What has to be known of a scenario to select it."""

    roles: tuple[str, ...]
    composed: bool = False


def selected(scenarios: Mapping[str, Known], changed: Iterable[str]) -> list[str]:
    """The composed scenarios, and those that a change touches: their own files, a role of theirs, its checks.

    :param changed: paths from the project's root.
    """
    asked = {name for name, known in scenarios.items() if known.composed}
    for path in changed:
        asked |= touched(scenarios, PurePosixPath(path))
    return sorted(asked & set(scenarios))


def fitting(scenarios: Mapping[str, Known], chosen: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those that make test runs, composed ones and the sample first, and those that are left to make molecule."""
    ordered = sorted(chosen, key=lambda name: (not scenarios[name].composed, name != SAMPLE, name))
    return sorted(ordered[:MOST]), sorted(ordered[MOST:])


def touched(scenarios: Mapping[str, Known], path: PurePosixPath) -> set[str]:
    """The scenarios that one changed file asks for."""
    parts = path.parts
    if parts[0] == "molecule" and len(parts) > 2 and parts[1] in scenarios:
        return {parts[1]}
    if any(path.is_relative_to(folder) for folder in HARNESS):
        return {SAMPLE}
    role = parts[1] if parts[0] == "roles" and len(parts) > 2 else path.stem if str(path.parent) == CHECKS else ""
    return {name for name, known in scenarios.items() if role in known.roles}


def changed_files(root: Path) -> list[str]:
    """What differs from where this branch left origin/main, committed or not; on main itself from the commit before.

    Without history nothing is known to differ.
    """
    here = _git(root, "rev-parse", "HEAD")
    base = _git(root, "merge-base", "HEAD", "origin/main")
    if here is None:
        return []
    if base is None or base == here or _git(root, "symbolic-ref", "--short", "HEAD") == ["main"]:
        base = _git(root, "rev-parse", "--verify", "--quiet", "HEAD~1")
    if base is None:
        return []
    found = _git(root, "diff", "--name-only", "--no-renames", base[0]) or []
    new = _git(root, "ls-files", "--others", "--exclude-standard") or []
    return sorted({*found, *new})


def _git(root: Path, *words: str) -> Sequence[str] | None:
    """The lines that git prints; None where it fails."""
    try:
        ran = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return ran.stdout.splitlines() if ran.returncode == 0 else None
