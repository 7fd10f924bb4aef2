# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What data/stack.yml holds: what is verified and how, what is not and why, and docs/stack.md. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue

RECIPE, CODE, CALCULATED, UNVERIFIED = "recipe", "code(n)", "calculated", "unverified"
_HOW = {
    RECIPE: "a recipe or the vendor's page states the digest or the signer",
    CODE: "n public repositories hold the same digest or signer, and no recipe was found",
    CALCULATED: "calculated from the tag in the project's repository",
}


_KINDS = {"base": "repository"}


@dataclass(frozen=True)
class Address:
    """One map of the catalogue with the key ``url``: a file, signature, key, repository base, image or index."""

    component: str
    version: str
    kind: str
    url: str
    how: str
    source: str
    """verified_from, or why it is unverified."""


def addresses(document: Mapping[str, Any]) -> list[Address]:
    """Every map with the key ``url``, in the order of the document. One that several versions share counts for each."""
    found = []
    for name, component in document["components"].items():
        for version, entry in component["versions"].items():
            for kind, about in _maps(entry, ""):
                source = about.get("verified_from") or about["unverified"]
                found.append(Address(name, version, _KINDS.get(kind, kind), about["url"], _how(about), source))
    return found


def report(document: Mapping[str, Any]) -> str:
    """Verified, unverified with each reason, total: the text of ``make stack-report``."""
    found = addresses(document)
    counts = Counter(address.how for address in found)
    different = Counter({address.url: address.how for address in found}.values())
    components = document["components"]
    versions = sum(len(component["versions"]) for component in components.values())
    lines = ["stack_overrides takes part"] if document.get("overridden") else []
    lines += [
        f"{len(components)} components, {versions} versions; files, signatures, keys, repositories, images:",
        f"verified    {_verified(counts):4}  {_ways_of(counts)}",
        f"unverified  {counts[UNVERIFIED]:4}",
        f"total       {len(found):4}",
        f"different addresses: verified {_verified(different)} ({_ways_of(different)}), "
        f"unverified {different[UNVERIFIED]}, total {sum(different.values())}",
    ]
    for reason, group in _unverified(found):
        lines.append(f"unverified: {reason}")
        lines += [f"  {address.component} {address.version}: {address.kind} {address.url}" for address in group]
    return "\n".join(lines) + "\n"


def page(document: Mapping[str, Any]) -> str:
    """docs/stack.md."""
    return "\n".join(_page(document)) + "\n"


def _page(document: Mapping[str, Any]) -> Iterator[str]:
    yield from (
        "# Stack",
        "",
        "Made from `data/stack.yml` by `make stack-report`. What the words mean: the head of that file.",
        "",
        "## Stacks",
        "",
    )
    stacks = document["stacks"]
    for name, stack in stacks.items():
        yield f"- `{name}`{' (default)' if name == document['default'] else ''}: {stack['summary']}"
    yield ""
    yield from _table(("component", *stacks), _side_by_side(document))
    yield from ("", "## Left out", "")
    yield from _table(("components", "stacks", "where", "why"), _left_out(document))

    found = addresses(document)
    counts = Counter(address.how for address in found)
    different = Counter({address.url: address.how for address in found}.values())
    rows = [(f"{how}: {words}", str(counts[how]), str(different[how])) for how, words in _HOW.items()]
    rows.append((UNVERIFIED, str(counts[UNVERIFIED]), str(different[UNVERIFIED])))
    rows.append(("total", str(len(found)), str(sum(different.values()))))
    yield from ("", "## How it is verified", "")
    yield from _table(("", "files, signatures, keys, repositories, images", "different addresses"), rows)
    yield from ("", "Unverified, which role `artifact` refuses until `stack_overrides` states a digest:", "")
    for reason, group in _unverified(found):
        names = dict.fromkeys(f"{address.component} {address.version}" for address in group)
        yield f"- {', '.join(names)}: {reason}"

    yield from ("", "## Components")
    for name, component in document["components"].items():
        yield from ("", f"### {name}", "", f"{component['summary']}. Licence: {component['licence']}.", "")
        versions = [
            (version, _origin(entry), _platforms(entry), _ways(entry), entry["fact_source"])
            for version, entry in component["versions"].items()
        ]
        if versions:
            yield from _table(("version", "from", "for", "verified", "stated in"), versions)
        inside = _holders(document, name)
        if inside:
            yield from ([""] if versions else [])
            yield f"Inside {', '.join(f'{holder} {outer}: {inner}' for holder, outer, inner in inside)}."


def _side_by_side(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Component, and what each stack has of it."""
    stacks = document["stacks"]
    names = sorted({n for s in stacks for system in catalogue.SYSTEMS for n in _chosen(document, s, system)})
    return [(name, *(_versions_of(document, stack, name) for stack in stacks)) for name in names]


def _versions_of(document: Mapping[str, Any], stack: str, name: str) -> str:
    """A version, or versions with the systems that have each; ``–`` for none."""
    systems: dict[str, list[str]] = {}
    for system in catalogue.SYSTEMS:
        if name in _chosen(document, stack, system):
            systems.setdefault(_chosen(document, stack, system)[name], []).append(system)
    if len(systems) == 1 and len(next(iter(systems.values()))) == len(catalogue.SYSTEMS):
        return next(iter(systems))
    return "; ".join(f"{version} ({', '.join(where)})" for version, where in systems.items()) or "–"


def _chosen(document: Mapping[str, Any], stack: str, system: str) -> dict[str, str]:
    """What a stack has on an OS, on any architecture."""
    found: dict[str, str] = {}
    for arch in catalogue.ARCHITECTURES:
        found.update(catalogue.chosen(document, stack, system, arch))
    return found


def _left_out(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Components, stacks, places, reason: one row for each reason."""
    places: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
    for stack, entry in document["stacks"].items():
        for name, reasons in entry.get("left_out", {}).items():
            for place, reason in reasons.items():
                places.setdefault((name, reason), {}).setdefault(place, {})[stack] = None
    rows: dict[tuple[str, str, str], list[str]] = {}
    for (name, reason), where in places.items():
        stacks = dict.fromkeys(stack for here in where.values() for stack in here)
        rows.setdefault((", ".join(stacks), ", ".join(where), reason), []).append(name)
    return [(", ".join(names), *row) for row, names in sorted(rows.items(), key=lambda item: item[1])]


def _holders(document: Mapping[str, Any], name: str) -> list[tuple[str, str, str]]:
    """Holder, its version, and the version of a component inside of it."""
    return [
        (holder, outer, about["bundles"][name])
        for holder, component in document["components"].items()
        for outer, about in component["versions"].items()
        if name in about.get("bundles", {})
    ]


def _maps(value: Any, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        if "url" in value:
            yield kind, value
        for key, inner in value.items():
            yield from _maps(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _maps(inner, kind)


def _verified(counts: Mapping[str, int]) -> int:
    return sum(counts[how] for how in _HOW)


def _ways_of(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{how} {counts[how]}" for how in _HOW)


def _how(about: Mapping[str, Any]) -> str:
    if "unverified" in about:
        return UNVERIFIED
    stated = about["verified_from"]
    return CODE if stated.startswith("code(") else CALCULATED if stated.startswith("calculated") else RECIPE


def _unverified(found: Iterable[Address]) -> list[tuple[str, list[Address]]]:
    groups: dict[str, list[Address]] = {}
    for address in found:
        if address.how == UNVERIFIED:
            groups.setdefault(address.source, []).append(address)
    return sorted(groups.items())


def _origin(entry: Mapping[str, Any]) -> str:
    hosts = [f"`{about['url'].split('/')[2]}`" for kind, about in _maps(entry, "") if kind not in ("signature", "key")]
    if "system" in entry:
        hosts.append("the OS")
    if "locked_in" in entry.get("python", {}):
        hosts.append("PyPI")
    return ", ".join(dict.fromkeys(hosts))


def _platforms(entry: Mapping[str, Any]) -> str:
    """Systems and architectures that a version has a source for; ``all`` where nothing is said."""
    sources = [s for kind in ("files", "repositories", "system", "images") for s in entry.get(kind, [])]
    shown = []
    for key, every in (("os", catalogue.SYSTEMS), ("arch", catalogue.ARCHITECTURES)):
        here = {name for source in sources for name in source.get(key, every)} or set(every)
        shown.append("" if here == set(every) else ", ".join(sorted(here)))
    return "; ".join(filter(None, shown)) or "all"


def _ways(entry: Mapping[str, Any]) -> str:
    counts = Counter(_how(about) for _, about in _maps(entry, ""))
    ways = [f"{how} {counts[how]}" for how in (*_HOW, UNVERIFIED) if counts[how]]
    if "system" in entry:
        ways.append("the OS's own keys")
    if "locked_in" in entry.get("python", {}):
        ways.append("lock file")
    return ", ".join(ways)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    cells = list(head)
    yield f"| {' | '.join(cells)} |"
    yield "|" + "---|" * len(cells)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
