# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What may be upgraded, and what comes with it: a search over the catalogue's versions. Pure and deterministic.

A set that a rule refuses can only be mended by a component that the refusal names, so only those are tried, with fewer
changes before more. So the first depth that has an answer has the smallest ones.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility import (
    Finding,
    judge,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import (
    KERNEL,
    Document,
    Platform,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_versions import (
    newest_first,
    version,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import (
    TrainingError,
    did_you_mean,
)

MOST_MOVES = 6
"""Components that may move beside the one that was asked for: imex, persistenced and the like move as one block."""

MOST_JUDGED = 4000
"""Sets that are judged for one version before the search gives up; a set takes about half a millisecond."""

Moves = Mapping[str, str]


@dataclass(frozen=True)
class Shelf:
    """What a catalogue offers on an OS and architecture.

    :param versions: component and its versions, newest first.
    :param bundles: component, version, and what comes inside of it.
    """

    versions: Mapping[str, tuple[str, ...]]
    bundles: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)

    def known(self) -> dict[str, list[str]]:
        """Component and versions, with those that come inside of others."""
        found = {name: list(versions) for name, versions in self.versions.items()}
        for versions in self.bundles.values():
            for inside in versions.values():
                for name, inner in inside.items():
                    found.setdefault(name, []).append(inner)
        return {name: newest_first(versions) for name, versions in found.items()}

    def holder(self, name: str, chosen: Mapping[str, str], own: Container[str] = ()) -> str | None:
        """The chosen component that a component comes inside of, in the version that is chosen.

        :param own: components that come by themselves, whatever is inside of others.
        """
        if name in own:
            return None
        for holder, versions in sorted(self.bundles.items()):
            inside = versions.get(chosen.get(holder, ""), {})
            if name in inside and inside[name] == chosen.get(name, inside[name]):
                return holder
        return None


def shelf(document: Document, os: str, arch: str) -> Shelf:
    """What data/stack.yml offers on an OS and architecture."""
    versions: dict[str, tuple[str, ...]] = {}
    bundles: dict[str, dict[str, dict[str, str]]] = {}
    for name, about in document["components"].items():
        there = [text for text, entry in about["versions"].items() if _is_there(entry, os, arch)]
        if there:
            versions[name] = tuple(newest_first(there))
        inside = {text: dict(about["versions"][text].get("bundles", {})) for text in there}
        if any(inside.values()):
            bundles[name] = inside
    return Shelf(versions, bundles)


def _is_there(entry: Mapping[str, Any], os: str, arch: str) -> bool:
    sources = catalogue.on_platform(entry, os, arch)
    return any(kind in sources for kind in ("files", "repositories", "system", "python", "images"))


@dataclass(frozen=True)
class Upgrade:
    """What it takes to bring a component to a version.

    :param moves: what else has to move: component, its version now (None: not there) and then.
    :param carried: what comes inside of something that moves, likewise.
    :param warnings: what the rules warn of then, and do not now.
    :param refusals: what refuses it where nothing was found: first what no other version could mend. Empty where there
        is a way.
    :param exhausted: every set within MOST_MOVES was tried; else the search ended at MOST_JUDGED.
    """

    component: str
    now: str
    then: str
    moves: tuple[tuple[str, str | None, str], ...] = ()
    carried: tuple[tuple[str, str | None, str], ...] = ()
    warnings: tuple[Finding, ...] = ()
    refusals: tuple[Finding, ...] = ()
    exhausted: bool = True

    @property
    def accepted(self) -> bool:
        """There is a way."""
        return not self.refusals


def upgrades(
    chosen: Mapping[str, str],
    platform: Platform,
    component: str,
    document: Document,
    types: Document,
    offered: Shelf,
    to: str | None = None,
    own: Container[str] = (),
) -> list[Upgrade]:
    """Every newer version of a component, newest first, each with the fewest other changes that make it accepted.

    :param chosen: component and version of what there is now; the component itself is taken to run.
    :param to: one version, newer or older, instead of all newer ones.
    :param own: components that come by themselves although another one has them inside, such as a plugin that is built.
    :raises TrainingError: a component that is not there, or that comes inside of another one only.
    """
    if component == KERNEL and platform.kernel:
        chosen, platform = {**chosen, KERNEL: platform.kernel}, replace(platform, kernel=None)
    platform = replace(platform, running={component: chosen.get(component, ""), **platform.running})
    if component not in chosen:
        raise TrainingError(f"component {component!r} is not in this set", did_you_mean(component, chosen))
    versions = offered.versions.get(component, ())
    holder = offered.holder(component, chosen, own)
    if not versions and holder:
        raise TrainingError(f"{component} comes inside of {holder} {chosen[holder]} only", f"ask what {holder} may be")
    if to is not None and to not in versions:
        raise TrainingError(
            f"{component} {to} is not in the catalogue for {platform.os}, {platform.arch}", did_you_mean(to, versions)
        )
    now = version(chosen[component]).key()
    wanted = [to] if to is not None else [text for text in versions if version(text).key() > now]
    search = _Search(dict(chosen), platform, document, types, offered, own)
    return [search.upgrade(component, text) for text in wanted]


class _Search:
    def __init__(
        self,
        chosen: dict[str, str],
        platform: Platform,
        document: Document,
        types: Document,
        offered: Shelf,
        own: Container[str] = (),
    ) -> None:
        self.chosen = chosen
        self.platform = platform
        self.document = document
        self.types = types
        self.offered = offered
        self.own = own
        self.known = offered.known()
        self.before = {finding for finding in self.judge({}) if finding.verdict == "warn"}

    def judge(self, moves: Moves) -> list[Finding]:
        return judge(self.moved(moves), self.platform, self.document, self.types, self.known)

    def moved(self, moves: Moves) -> dict[str, str]:
        """The set after some moves: what came inside of a component that moves, moves with it."""
        result = dict(self.chosen)
        for name, text in moves.items():
            inside = self.offered.bundles.get(name, {})
            old, new = inside.get(self.chosen.get(name, ""), {}), inside.get(text, {})
            for inner in {*old, *new}:
                if inner in self.own or inner in self.chosen and self.chosen[inner] != old.get(inner):
                    continue  # a version of its own, not the one inside
                if inner in old and inner not in self.chosen:
                    continue  # not for this node
                if inner in new:
                    result[inner] = new[inner]
                else:
                    result.pop(inner, None)
        return {**result, **moves}

    def upgrade(self, component: str, then: str) -> Upgrade:
        asked = {component: then}
        now = self.chosen[component]
        self.judged = 0
        for depth in range(MOST_MOVES + 1):
            self.cut = False
            self.tried: set[frozenset[tuple[str, str]]] = set()
            found = list(self.ways(asked, depth))
            if found:
                best = min(found, key=self.cost)
                return self.told(component, now, then, best)
            if not self.cut or self.judged >= MOST_JUDGED:
                break
        refusals = [finding for finding in self.judge(asked) if finding.verdict == "refuse"]
        final = [finding for finding in refusals if not self.candidates(finding, asked)]
        return Upgrade(component, now, then, refusals=tuple(final or refusals), exhausted=self.judged < MOST_JUDGED)

    def ways(self, moves: dict[str, str], depth: int) -> Iterator[dict[str, str]]:
        """Every accepted set of moves that adds at most ``depth``."""
        this = frozenset(moves.items())
        if this in self.tried or self.judged >= MOST_JUDGED:
            return
        self.tried.add(this)
        self.judged += 1
        refusals = [finding for finding in self.judge(moves) if finding.verdict == "refuse"]
        if not refusals:
            yield moves
            return
        choices = [self.candidates(finding, moves) for finding in refusals]
        fewest = min(choices, key=len)
        if fewest and not depth:
            self.cut = True
        if not depth:
            return
        for name, text in fewest:
            yield from self.ways({**moves, name: text}, depth - 1)

    def candidates(self, finding: Finding, moves: Moves) -> list[tuple[str, str]]:
        """What could mend a refusal: other versions of what it names, and of what that comes inside of."""
        current = self.moved(moves)
        found = []
        for name in finding.components:
            for mover in (name, self.offered.holder(name, current, self.own)):
                if mover is None or mover in moves or mover == KERNEL and self.platform.kernel:
                    continue
                versions = self.offered.versions.get(mover, ())
                found += [(mover, text) for text in versions if text != current.get(mover)]
        return list(dict.fromkeys(found))

    def cost(self, moves: Moves) -> tuple[Any, ...]:
        """Less is better: components that move, those that go back, new warnings, then the oldest versions."""
        others = {name: text for name, text in moves.items() if name in self.chosen}
        back = sum(version(text).key() < version(self.chosen[name]).key() for name, text in others.items())
        warned = sum(f.verdict == "warn" and f not in self.before for f in self.judge(moves))
        ages = [(name, self.offered.versions[name].index(moves[name])) for name in sorted(moves)]
        return len(moves), back, warned, sum(age for _, age in ages), ages

    def told(self, component: str, now: str, then: str, moves: Moves) -> Upgrade:
        after = self.moved(moves)
        changed = {name: (self.chosen.get(name), text) for name, text in after.items() if self.chosen.get(name) != text}
        changed.update({name: (text, "not stated") for name, text in self.chosen.items() if name not in after})
        warnings = [f for f in self.judge(moves) if f.verdict == "warn" and f not in self.before]
        return Upgrade(
            component,
            now,
            then,
            moves=tuple((name, *changed[name]) for name in sorted(moves) if name != component and name in changed),
            carried=tuple((name, *changed[name]) for name in sorted(changed) if name not in moves),
            warnings=tuple(warnings),
        )
