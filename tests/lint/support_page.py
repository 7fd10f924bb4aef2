"""docs/support.md: what ran on which system, from evidence/*.json, data/support.yml and the roles' own platforms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

import yaml
from ansible_collections.awsome.distributed_training.plugins.module_utils.component import SYSTEM_NAMES

Files = Mapping[str, str]
"""Path from the project's root, and text."""

PAGE = "docs/support.md"
SUBJECTS = "data/support.yml"
ROLE = "role "
"""What a subject begins with that is a role; its systems are those of data/stack.yml, or arm64."""

_ARM64 = "arm64"
_PLACES = {**SYSTEM_NAMES, _ARM64: _ARM64}
_RELEASES = {
    ("Debian", "bookworm"): "debian12",
    ("Debian", "trixie"): "debian13",
    ("Ubuntu", "jammy"): "ubuntu2204",
    ("Ubuntu", "noble"): "ubuntu2404",
    ("Amazon Linux", "2023"): "amazon2023",
}
"""Platforms of meta/main.yml, as Galaxy names them, and the names of data/stack.yml."""

_HEAD = """# What ran where

Made from `evidence/`, `data/support.yml` and the roles' platforms by `make evidence`. "Ran" means: there, to the end,
with the checks passed. A stand-in is what answers in place of the real thing. "Written for" means: nobody has run it
there yet. "Rendered" means: what would run or be installed was made and checked, and nothing ran. Nothing else is
supported. The last column names rows of [evidence.md](evidence.md).

"""
_ROLES = """
## Roles

x86_64 where nothing else is said. The real system is a container with it. Of the node stack's roles the vendors'
packages, files and hardware were stand-ins, where no note says else; none ran on a real GPU, EFA or Neuron node yet.

"""
_FOOT = """
Measured numbers: [performance.md](performance.md). `data/baselines.yml` is empty, so check `throughput` is skipped
everywhere.
"""


def page(files: Files) -> str:
    """The page of all that evidence shows, and of what is written for more."""
    shown = _shown(files)
    subjects = yaml.safe_load(files[SUBJECTS])["subjects"]
    rows = [(one["what"], shown.get(one["what"], []), one.get("not_run", "")) for one in subjects]
    roles = [
        (f"`{name}`", shown.get(ROLE + name, []), _written_for(systems, shown.get(ROLE + name, [])))
        for name, systems in platforms(files).items()
    ]
    return _HEAD + _table("what", rows) + _ROLES + _table("role", roles) + _FOOT


def unknown(files: Files) -> Iterator[tuple[str, str]]:
    """Path of evidence, and what it shows that the page would not tell: no subject, no role, no system of one."""
    subjects = {one["what"] for one in yaml.safe_load(files[SUBJECTS])["subjects"]}
    roles = {ROLE + name for name in platforms(files)}
    for what, shown in _shown(files).items():
        for one in shown:
            if what not in subjects | roles:
                yield one["path"], f"{what!r} is no subject of {SUBJECTS}, and no role"
            elif what in roles and one["system"] not in _PLACES:
                yield one["path"], f"system {one['system']!r} of {what} is none of {', '.join(_PLACES)}"


def _shown(files: Files) -> dict[str, list[dict[str, str]]]:
    """Subject, and for each system of each row of evidence: path, system, state, and note where there is one."""
    shown: dict[str, list[dict[str, str]]] = {}
    for path in sorted(files):
        if path.startswith("evidence/") and path.endswith(".json"):
            for one in json.loads(files[path])["shows"]:
                rest = {"state": one["state"], "note": one.get("note", ""), "path": path}
                for what in one["what"]:
                    shown.setdefault(what, []).extend({"system": system, **rest} for system in one["systems"])
    return shown


def platforms(files: Files) -> dict[str, list[str]]:
    """Role and the systems of its meta/main.yml; a role without platforms prepares no node."""
    found = {}
    for path in sorted(files):
        parts = PurePath(path).parts
        if parts[0] == "roles" and parts[2:] == ("meta", "main.yml"):
            stated = yaml.safe_load(files[path])["galaxy_info"].get("platforms", [])
            found[parts[1]] = [_RELEASES[one["name"], str(release)] for one in stated for release in one["versions"]]
    return {name: systems for name, systems in found.items() if systems}


def _written_for(systems: Iterable[str], shown: Iterable[Mapping[str, str]]) -> str:
    ran = {one["system"] for one in shown}
    left = [_PLACES[system] for system in systems if system not in ran]
    return f"written for {', '.join(left)}" if left else ""


def _table(head: str, rows: Iterable[tuple[str, list[dict[str, str]], str]]) -> str:
    lines = [f"| {head} | ran on the real system | ran on a stand-in | not run | evidence |", "|---|---|---|---|---|"]
    for what, shown, left in rows:
        rendered = _places(shown, "rendered")
        cells = (
            what,
            _places(shown, "ran"),
            _places(shown, "stand-in"),
            "; ".join(filter(None, (rendered and f"rendered for {rendered}", left))),
            ", ".join(dict.fromkeys(PurePath(one["path"]).stem for one in shown)),
        )
        lines.append(f"| {' | '.join(cell or '–' for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _places(shown: Iterable[Mapping[str, str]], state: str) -> str:
    """The systems of a state, each once with all that is noted of it; those of data/stack.yml in their order."""
    notes: dict[str, dict[str, None]] = {}
    for one in shown:
        if one["state"] == state:
            notes.setdefault(one["system"], {}).update(dict.fromkeys([one["note"]] if one["note"] else []))
    order = list(_PLACES)
    systems = sorted(notes, key=lambda system: order.index(system) if system in order else 0)
    return "; ".join(
        _PLACES.get(system, system) + (f" ({'; '.join(notes[system])})" if notes[system] else "") for system in systems
    )
