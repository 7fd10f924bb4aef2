# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What a clause of data/constraints.yml asks for, and how a subject breaks it. Pure: one function for each form.

Each form yields a breach per thing that is wrong; nothing where all is well, or where what it speaks of is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import KERNEL, Subject
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_versions import (
    Range,
    Term,
    newest_first,
    same_parts,
    version,
    version_range,
)

Known = Mapping[str, Sequence[str]]
"""Component and the versions that the catalogue has of it."""


@dataclass(frozen=True)
class Breach:
    """One way in which a clause is broken.

    :param side: what breaks it, with its version.
    :param others: what it does not fit, where the clause's condition does not say so.
    :param components: whose versions could be changed.
    :param fix: what would do.
    :param unknown: what is not known, if that alone keeps it from being decided.
    """

    side: str
    others: tuple[str, ...]
    components: tuple[str, ...]
    fix: str
    unknown: str = ""


def breaches(clause: Mapping[str, Any], subject: Subject, known: Known) -> Iterator[Breach]:
    """How a subject breaks what a clause asks for; whether its condition holds is not asked here."""
    form = next(name for name in FORMS if name in clause)
    yield from FORMS[form](clause[form], subject, known)


def listed(name: str, known: Known, fits: Callable[[str], bool | None]) -> str:
    """The newest versions of the catalogue that fit, as a remark; empty where it knows none of the component."""
    versions = newest_first(known.get(name, ()))
    if not versions:
        return ""
    fitting = [text for text in versions if fits(text)]
    return f" (catalogue: {', '.join(fitting[:3])})" if fitting else " (none in the catalogue)"


def way_out(condition: Mapping[str, Any] | None, known: Known, broken: Sequence[str]) -> list[str]:
    """The other side's fixes: versions with which a condition would no longer hold.

    :param broken: components of the first side.
    """
    ways = []
    for name, wanted in (condition or {}).get("versions", {}).items():
        if name in broken:
            continue
        bounds = version_range(wanted)
        contrary = bounds.contrary()
        if contrary == "none":  # any version meets it
            continue
        remark = listed(name, known, lambda text, bounds=bounds: bounds.holds(text) is False)  # type: ignore[misc]
        if not remark.startswith(" (none"):
            ways.append(f"{name} {contrary}{remark}")
    return ways


def _within(asked: Mapping[str, str], subject: Subject, known: Known) -> Iterator[Breach]:
    for name, wanted in asked.items():
        held = subject.has(name, wanted) if name in subject.versions else True
        if not held:
            bounds = version_range(wanted)
            fix = f"{name} {bounds.words()}{listed(name, known, bounds.holds)}"
            unknown = "" if held is False else f"how {subject.told(name)} compares"
            yield Breach(subject.told(name), (), (name,), fix, unknown)


def _same(asked: Mapping[str, Any], subject: Subject, known: Known) -> Iterator[Breach]:
    like, parts = asked["as"], asked["parts"]
    for name in asked["of"]:
        if name not in subject.versions or like not in subject.versions:
            continue
        one, other = subject.versions[name], subject.versions[like]
        if not same_parts(one, other, parts):
            fixes = [
                f"{who} {_leading(of, parts)}{listed(who, known, lambda text, of=of: same_parts(text, of, parts))}"  # type: ignore[misc]
                for who, of in ((name, other), (like, one))
            ]
            fixes = [fix for fix in fixes if not fix.endswith("(none in the catalogue)")] or fixes
            yield Breach(subject.told(name), (subject.told(like),), (name, like), ", or ".join(fixes))


def _leading(text: str, parts: int) -> str:
    written = version(text).text.split(".")
    return text if len(written) <= parts else f"{'.'.join(written[:parts])}.x"


def _not_older(asked: Mapping[str, str], subject: Subject, known: Known) -> Iterator[Breach]:
    name, than = asked["of"], asked["than"]
    if name not in subject.versions or than not in subject.versions:
        return
    at_least = Range(((Term(">=", version(subject.versions[than])),),))
    held = at_least.holds(subject.versions[name]) if version(subject.versions[than]).release else None
    if not held:
        fix = f"{name} {at_least.words()}{listed(name, known, at_least.holds)}"
        unknown = "" if held is False else f"how {subject.told(name)} compares"
        yield Breach(subject.told(name), (subject.told(than),), (name, than), fix, unknown)


def _present(asked: Sequence[str], subject: Subject, known: Known) -> Iterator[Breach]:
    if not any(name in subject.versions for name in asked):
        fix = ", or ".join(f"add {name}{listed(name, known, lambda text: True)}" for name in asked)
        yield Breach(f"no {' or '.join(asked)}", (), tuple(asked), fix)


def _absent(asked: Sequence[str], subject: Subject, known: Known) -> Iterator[Breach]:
    for name in asked:
        if name in subject.versions:
            yield Breach(subject.told(name), (), (), f"leave {name} out")


def _tested(asked: Mapping[str, Any], subject: Subject, known: Known) -> Iterator[Breach]:
    name, partner = asked["of"], asked["with"]
    if name not in subject.versions or partner not in subject.versions:
        return
    rows = {versions: version_range(with_) for versions, with_ in asked["pairs"].items()}
    own = next((row for versions, row in rows.items() if subject.has(name, versions)), None)
    if own is None and not asked.get("others") or own is not None and own.holds(subject.versions[partner]):
        return
    fixes = [f"{partner} {own.words()}{listed(partner, known, own.holds)}"] if own is not None else []
    others = [version_range(versions) for versions, row in rows.items() if row.holds(subject.versions[partner])]
    fixes += [f"{name} {row.words()}{listed(name, known, row.holds)}" for row in others]
    fix = ", or ".join(fixes) or f"a pair that was tested, such as {name} {_last_pair(rows)}"
    yield Breach(subject.told(name), (subject.told(partner),), (name, partner), fix)


def _last_pair(rows: Mapping[str, Any]) -> str:
    versions, row = list(rows.items())[-1]
    return f"{version_range(versions).words()} with {row.words()}"


def _row(asked: Mapping[str, Mapping[str, str]], subject: Subject, known: Known) -> Iterator[Breach]:
    names = [name for name in next(iter(asked.values())) if name in subject.versions]
    if len(names) < 2:
        return
    fitting = {
        row: [name for name in names if same_parts(subject.versions[name], versions[name], 4)]
        for row, versions in asked.items()
    }
    nearest = max(fitting, key=lambda row: len(fitting[row]))
    if fitting[nearest] == names:
        return
    moved = [name for name in names if name not in fitting[nearest]]
    fix = f"all of {nearest}: " + ", ".join(f"{name} {asked[nearest][name]}" for name in names)
    others = tuple(subject.told(name) for name in names if name != moved[0])
    unknown = "" if fitting[nearest] else "which release these versions are of"
    yield Breach(subject.told(moved[0]), others, tuple(names), fix, unknown)


def _path(asked: Mapping[str, Any], subject: Subject, known: Known) -> Iterator[Breach]:
    name = asked["of"]
    now = subject.platform.running.get(name)
    if now is None or name not in subject.versions:
        return
    window = next((old for new, old in asked["to"].items() if subject.has(name, new)), None)
    if window is not None and version_range(window).holds(now) is False:
        fix = f"go by way of {name} {version_range(window).words()}{listed(name, known, version_range(window).holds)}"
        yield Breach(subject.told(name), (f"{name} {now}, which runs now",), (name,), fix)


def _setting(asked: Mapping[str, Sequence[str]], subject: Subject, known: Known) -> Iterator[Breach]:
    for name, values in asked.items():
        value = subject.settings[name]
        if value not in values:
            unknown = f"setting {name}" if value is None else ""
            yield Breach(f"{name}={value or 'not stated'}", (), (), f"{name}={' or '.join(values)}", unknown)


def _environment(asked: Mapping[str, str | None], subject: Subject, known: Known) -> Iterator[Breach]:
    given = subject.platform.environment
    for name, value in asked.items():
        held = (given or {}).get(name)
        if held == value:
            continue
        unknown = "" if given is not None else f"the job's {name}"
        fix = f"{name}={value}" if value is not None else f"do not set {name}"
        yield Breach(f"{name}={'not set' if held is None else held}", (), (), fix, unknown)


def _type(asked: Sequence[str], subject: Subject, known: Known) -> Iterator[Breach]:
    held = subject.is_type(asked)
    if not held:
        unknown = "instance type" if held is None else ""
        yield Breach(subject.machine, (), (), f"a type of {', '.join(asked)}", unknown)


def _node(asked: str, subject: Subject, known: Known) -> Iterator[Breach]:
    yield Breach("the node", (), (), f"show that {asked}")


FORMS: dict[str, Callable[[Any, Subject, Known], Iterator[Breach]]] = {
    "within": _within,
    "same": _same,
    "not_older": _not_older,
    "present": _present,
    "absent": _absent,
    "tested": _tested,
    "row": _row,
    "path": _path,
    "setting": _setting,
    "environment": _environment,
    "type": _type,
    "node": _node,
}


def named(clause: Mapping[str, Any]) -> list[str]:
    """Every component that a clause names, the kernel included."""
    names: list[str] = []
    for part in ("when", "unless"):
        names += [*clause.get(part, {}).get("versions", {}), *clause.get(part, {}).get("without", [])]
    names += [*clause.get("within", {}), *clause.get("present", []), *clause.get("absent", [])]
    if "same" in clause:
        names += [*clause["same"]["of"], clause["same"]["as"]]
    if "not_older" in clause:
        names += [clause["not_older"]["of"], clause["not_older"]["than"]]
    if "tested" in clause:
        names += [clause["tested"]["of"], clause["tested"]["with"]]
    if "path" in clause:
        names.append(clause["path"]["of"])
    for row in clause.get("row", {}).values():
        names += row
    return list(dict.fromkeys(names))


def choices(condition: Mapping[str, Any] | None) -> list[str]:
    """The components whose versions make a condition hold; the kernel is the node's, and counts too."""
    return [name for name, wanted in (condition or {}).get("versions", {}).items() if wanted != "any" or name == KERNEL]
