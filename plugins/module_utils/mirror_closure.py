# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Which packages of a repository belong to those that are asked for: versions compared, dependencies followed. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Callable

from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import (
    Package,
    Relation,
    Repository,
    architectures_of,
    matching,
    missing,
)

Compare = Callable[[str, str], int]
"""Less than 0, 0 or more than 0, as the first version is older than, the same as or newer than the second."""


def compare_deb(one: str, other: str) -> int:
    """Two versions in the order of deb-version(7)."""
    for first, second in zip(_deb_parts(one), _deb_parts(other)):
        order = _compare_deb_part(first, second)
        if order:
            return order
    return 0


def _deb_parts(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return (epoch, upstream, revision) if dash else (epoch, rest, "0")


def _compare_deb_part(one: str, other: str) -> int:
    """Text and numbers in turns; ~ is before the end, letters before all other characters."""
    while one or other:
        text_one, text_other = (_leading(rest, r"\D*") for rest in (one, other))
        for at in range(max(len(text_one), len(text_other))):
            order = _deb_weight(text_one, at) - _deb_weight(text_other, at)
            if order:
                return order
        one, other = one[len(text_one) :], other[len(text_other) :]
        number_one, number_other = (_leading(rest, r"\d*") for rest in (one, other))
        order = int(number_one or 0) - int(number_other or 0)
        if order:
            return order
        one, other = one[len(number_one) :], other[len(number_other) :]
    return 0


def _leading(text: str, pattern: str) -> str:
    found = re.match(pattern, text)
    return found[0] if found else ""


def _deb_weight(text: str, at: int) -> int:
    if at >= len(text):
        return 0
    return -1 if text[at] == "~" else ord(text[at]) if text[at].isalpha() else ord(text[at]) + 256


def compare_rpm(one: str, other: str) -> int:
    """Two versions in the order of rpm; without a release on one side releases do not count."""
    parts = [_rpm_parts(version) for version in (one, other)]
    for at, (first, second) in enumerate(zip(*parts)):
        if at == 2 and not (first and second):
            return 0
        order = _compare_rpm_part(first, second)
        if order:
            return order
    return 0


def _rpm_parts(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    number, dash, release = rest.rpartition("-")
    return (epoch, number, release) if dash else (epoch, rest, "")


def _compare_rpm_part(one: str, other: str) -> int:
    """Numbers and words; ~ is before the end, ^ after it but before anything else, a number after a word."""
    words = [re.findall(r"\d+|[A-Za-z]+|~|\^", version) for version in (one, other)]
    for at in range(max(map(len, words))):
        first, second = (side[at] if at < len(side) else "" for side in words)
        if first == second:
            continue
        weights = [_rpm_weight(first), _rpm_weight(second)]
        if weights[0] != weights[1]:
            return weights[0] - weights[1]
        if first.isdigit():
            if int(first) != int(second):
                return int(first) - int(second)
        else:
            return 1 if first > second else -1
    return 0


def _rpm_weight(word: str) -> int:
    if not word:
        return 1
    return {"~": 0, "^": 2}.get(word, 4 if word.isdigit() else 3)


COMPARE: dict[str, Compare] = {"apt": compare_deb, "dnf": compare_rpm}
"""By kind of repository."""


def newest_of(repository: Repository, wanted: Mapping[str, str], packages: Sequence[Package]) -> list[Package]:
    """The package for each name and version that is asked for; of several that fit the newest."""
    newest = functools.cmp_to_key(COMPARE[repository.kind])
    found = []
    for name, version in wanted.items():
        fitting = [one for one in matching(packages, name, version) if one.arch in architectures_of(repository)]
        if not fitting:
            raise missing(repository, packages, name, version)
        found.append(max(fitting, key=lambda one: newest(one.version)))
    return found


def satisfies(version: str, relation: Relation, compare: Compare) -> bool:
    """Whether a version is one that a relation allows; no version only allows what asks for none."""
    if not relation.operator:
        return True
    if not version:
        return False
    order = compare(version, relation.version)
    return {
        "=": order == 0,
        "<<": order < 0,
        "<": order <= 0,  # Debian's old spelling of <=
        "<=": order <= 0,
        ">>": order > 0,
        ">": order >= 0,
        ">=": order >= 0,
    }[relation.operator]


def closure(asked: Sequence[Package], packages: Iterable[Package], compare: Compare) -> list[Package]:
    """The packages that are asked for, and those of the same repository and architecture that they need, in turn.

    What a repository does not have is the system's own. Of several that would do, one that is already taken is kept;
    else the first alternative, and of that the newest.
    """
    newest = functools.cmp_to_key(compare)
    newest_first = sorted(packages, key=lambda one: newest(one.version), reverse=True)
    providers: dict[str, list[tuple[Package, str]]] = {}
    for package in newest_first:
        for relation in package.provides:
            providers.setdefault(relation.name, []).append((package, relation.version))
    taken: dict[tuple[str, str, str], Package] = {}
    todo = list(asked)

    def doing(relation: Relation) -> list[Package]:
        return [one for one, version in providers.get(relation.name, []) if satisfies(version, relation, compare)]

    # all that are asked for come first, so that they are what others are held to
    for package in asked:
        taken[_key(package)] = package
    while todo:
        package = todo.pop(0)
        for group in package.needs:
            candidates = [one for relation in group for one in doing(relation)]
            if not candidates or any(_key(one) in taken for one in candidates):
                continue
            taken[_key(candidates[0])] = candidates[0]
            todo.append(candidates[0])
    return sorted(taken.values(), key=lambda one: (one.name, one.version, one.arch))


def _key(package: Package) -> tuple[str, str, str]:
    return package.name, package.version, package.arch
