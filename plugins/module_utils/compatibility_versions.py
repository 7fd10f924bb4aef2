# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Versions as vendors write them, and ranges of versions as data/constraints.yml writes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

# 5:2.4.0amzn5.0-1+x: epoch, release, the suffix of AWS's builds, revision, build
_VERSION = re.compile(
    r"(?:\d+:)?v?(?P<release>\d+(?:\.\d+)*)(?:\.?amzn(?P<amzn>\d+(?:\.\d+)*))?(?P<rest>(?:(?:[-~+a-z]|\.[a-z]).*)?)"
)
_CANDIDATE = re.compile(r"[-.~]?(rc|alpha|beta|dev)\b")
_NUMBER = re.compile(r"\d+")
_TERM = re.compile(
    r"(?P<negated>!?)(?:(?P<word>any|amzn|upstream)|(?P<parts>\d+(?:\.\d+)*)\.\*|(?P<sign>>=|<=|>|<|=)(?P<bound>[0-9a-z][0-9a-z.+~-]*))"
)

_Key = tuple[tuple[int, ...], bool, tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Version:
    """A version, taken apart. Parts compare as numbers; ``text`` is what was written.

    ``release`` is empty for what is no number, such as the name of a branch: it is equal to itself and else
    not to be compared.
    """

    text: str
    release: tuple[int, ...] = ()
    final: bool = True
    amzn: tuple[int, ...] = ()
    revision: tuple[int, ...] = ()

    def key(self, like: Version | None = None) -> _Key:
        """What is compared. A bound (``like``) that states no revision leaves it out: 2.30.7-1 is 2.30.7."""
        release = self.release
        while release and release[-1] == 0:
            release = release[:-1]
        stated = like is None or bool(like.revision)
        return release, self.final, self.amzn, self.revision if stated else ()


@cache
def version(text: str) -> Version:
    """Read a version: 580.173.02, 2.30.7-1, 2.4.0amzn5.0, 6.8.0-1066-aws, 1.18.0-rc.1, 4.6.1-4.8.4."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return Version(text)
    rest = match["rest"].split("+")[0]
    return Version(
        text,
        _numbers(match["release"]),
        not _CANDIDATE.match(rest),
        _numbers(match["amzn"] or ""),
        _numbers(rest),
    )


def newest_first(texts: Iterable[str]) -> list[str]:
    """Versions in order; those that are no numbers come last."""
    return sorted(dict.fromkeys(texts), key=lambda text: (version(text).key(), text), reverse=True)


def same_parts(one: str, other: str, parts: int) -> bool:
    """The first parts of two releases are equal, zeros standing for those that are not written."""
    if not version(one).release or not version(other).release:
        return one == other
    padded = [(version(text).release + (0,) * parts)[:parts] for text in (one, other)]
    return padded[0] == padded[1]


@dataclass(frozen=True)
class Term:
    """One condition on a version: ``>=2.1``, ``2.28.*``, ``amzn`` (AWS's build), ``upstream`` (not AWS's), ``any``."""

    sign: str
    bound: Version
    negated: bool = False

    def holds(self, tested: Version) -> bool | None:
        """None where the tested version cannot be compared."""
        held = self._holds(tested)
        return held if held is None else held != self.negated

    def _holds(self, tested: Version) -> bool | None:
        if self.sign == "any" or self.bound.text and tested.text == self.bound.text:
            return self.sign not in ("<", ">")
        if not tested.release:
            return False if self.sign == "=" and not self.bound.release else None
        if self.sign in ("amzn", "upstream"):
            return bool(tested.amzn) == (self.sign == "amzn")
        if not self.bound.release:
            return False
        if self.sign == "*":
            return (tested.release + (0,) * len(self.bound.release))[: len(self.bound.release)] == self.bound.release
        one, other = tested.key(self.bound), self.bound.key()
        return {"=": one == other, ">=": one >= other, "<=": one <= other, ">": one > other, "<": one < other}[
            self.sign
        ]

    def words(self, negated: bool = False) -> str:
        """The condition for a reader; with ``negated``, its contrary."""
        contrary, bound = self.negated != negated, self.bound.text
        if self.sign == "any":
            return "none" if contrary else "any version"
        if self.sign in ("amzn", "upstream"):
            return "AWS's own build" if (self.sign == "amzn") != contrary else "a build that is not AWS's"
        plain = {
            "*": f"{bound}.x",
            "=": bound,
            ">=": f"{bound} or newer",
            "<=": f"{bound} or older",
            ">": f"newer than {bound}",
            "<": f"older than {bound}",
        }
        turned = {">=": "<", "<": ">=", ">": "<=", "<=": ">"}
        if not contrary:
            return plain[self.sign]
        return plain[turned[self.sign]] if self.sign in turned else f"other than {plain[self.sign]}"


@dataclass(frozen=True)
class Range:
    """Alternatives of terms: one alternative holds when all of its terms do."""

    alternatives: tuple[tuple[Term, ...], ...]

    def holds(self, text: str) -> bool | None:
        """None where it cannot be decided, as for a version that is no number."""
        tested = version(text)
        return either([both([term.holds(tested) for term in terms]) for terms in self.alternatives])

    def words(self) -> str:
        """The range for a reader: ``1.22.0 or newer``."""
        return ", or ".join(" and ".join(term.words() for term in terms) for terms in self.alternatives)

    def contrary(self) -> str:
        """What lies outside, for a reader."""
        if len(self.alternatives) == 1:
            return ", or ".join(term.words(negated=True) for term in self.alternatives[0])
        return f"other than {self.words()}"

    def bounds(self) -> list[str]:
        """The versions that it names."""
        return [term.bound.text for terms in self.alternatives for term in terms if term.bound.text]


@cache
def version_range(text: str) -> Range:
    """Read a range: terms between spaces all hold, ``|`` stands between alternatives, ``!`` negates a term.

    :raises ValueError: a term that is none.
    """
    return Range(tuple(tuple(_term(word) for word in part.split()) for part in text.split("|")))


def both(verdicts: Iterable[bool | None]) -> bool | None:
    """And of three values: None stands for what is not known."""
    found = list(verdicts)
    return False if False in found else None if None in found else True


def either(verdicts: Iterable[bool | None]) -> bool | None:
    """Or of three values."""
    found = list(verdicts)
    return True if True in found else None if None in found else False


def _term(word: str) -> Term:
    match = _TERM.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is no condition on a version; fix: like >=2.1, 2.28.*, =1.17.0, !=1.17.0, any")
    negated = bool(match["negated"])
    if match["word"]:
        return Term(match["word"], Version(""), negated)
    if match["parts"]:
        return Term("*", version(match["parts"]), negated)
    return Term(match["sign"], version(match["bound"]), negated)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(text))
