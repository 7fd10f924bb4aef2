# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Does a set of versions go together on a platform? Rules are data, data/constraints.yml; this carries them out. Pure.

``judge`` finds what speaks against a set; it is ``accepted`` where nothing refuses it. What may be upgraded, and what
comes with it, is in compatibility_upgrades.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_rules import (
    Breach,
    Known,
    breaches,
    choices,
    named,
    way_out,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import (
    KERNEL,
    Document,
    Platform,
    Subject,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_versions import version_range

VERDICTS = ("refuse", "warn", "check")
"""What a finding may say: the set is refused; it is not what was tested; only a node shows it."""


@dataclass(frozen=True)
class Finding:
    """One thing that a rule has to say about a set.

    :param rule: its id in data/constraints.yml.
    :param verdict: one of VERDICTS.
    :param sides: what does not fit, and what it does not fit; each with its version.
    :param reason: the rule in one sentence.
    :param source: where the rule is stated.
    :param fix: which version of which side would do; for a check, what the node must show.
    :param mark: whether the source was seen to say it, or it is inferred.
    :param components: whose versions could be changed.
    """

    rule: str
    verdict: str
    sides: tuple[str, str]
    reason: str
    source: str
    fix: str
    mark: str
    components: tuple[str, ...]

    def __str__(self) -> str:
        inferred = ", inferred" if self.mark == "inferred" else ""
        return (
            f"{self.rule}: {self.sides[0]} against {self.sides[1]}: {self.reason} [{self.source}{inferred}] "
            f"fix: {self.fix}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a module's result."""
        return {**asdict(self), "sides": list(self.sides), "components": list(self.components)}


def judge(
    chosen: Mapping[str, str],
    platform: Platform,
    document: Document,
    types: Document,
    known: Known | None = None,
) -> list[Finding]:
    """All that the rules have to say about a set of versions on a platform, in the order of the rules.

    :param chosen: component and version: those of a stack, or those that a node or an image was found to have.
    :param document: data/constraints.yml.
    :param types: data/instance_types.yml.
    :param known: component and versions of the catalogue, which fixes then name.
    """
    subject = Subject(chosen, platform, document, types)
    found: list[Finding] = []
    for rule, about in document["rules"].items():
        for clause in about["clauses"]:
            found += _found(rule, about, clause, subject, known or {})
    return list(dict.fromkeys(found))


def accepted(findings: Iterable[Finding]) -> bool:
    """Nothing refuses."""
    return all(finding.verdict != "refuse" for finding in findings)


def meant_for(chosen: Mapping[str, str], platform: Platform, document: Document, types: Document) -> dict[str, str]:
    """What of a stack a platform gets: without the components of accelerators that it does not have."""
    kind = Subject({}, platform, document, types).kind
    foreign = {name for other, names in document["only_on"].items() if kind and other != kind for name in names}
    return {name: version for name, version in chosen.items() if name not in foreign}


def host_architecture(name: str, document: Document, types: Document) -> str:
    """The processor architecture of an EC2 type."""
    model = types["instance_types"][name]["accelerator"]["model"]
    arch: str = document["gpus"].get(model, {}).get("host", "x86_64")
    return arch


def inconsistencies(document: Document, components: Iterable[str], models: Iterable[str]) -> list[str]:
    """What a schema cannot see in data/constraints.yml: names of nothing, and values that a setting does not have.

    :param components: names of data/stack.yml, with those that come inside of others.
    :param models: accelerators of data/instance_types.yml.
    """
    names = {*components, *document["observed"], KERNEL}
    known_models = {*models, *document["gpus"], *(about["model"] for about in document["types"].values())}
    problems: list[str] = []

    def condition(where: str, asked: Mapping[str, Any]) -> None:
        for setting, values in asked.get("settings", {}).items():
            choose(where, setting, values)
        for kind, value, allowed in (
            ("OS", asked.get("os", []), document["systems"]),
            ("group", [asked["group"]] if "group" in asked else [], document["groups"]),
            ("model", asked.get("models", []), known_models),
        ):
            problems.extend(f"{where}: {kind} {name!r} is not known" for name in value if name not in allowed)

    def choose(where: str, setting: str, values: Iterable[str]) -> None:
        allowed = document["settings"].get(setting, {"values": []})["values"]
        problems.extend(f"{where}: {setting}={value} is not known" for value in values if value not in allowed)

    for rule, about in document["rules"].items():
        for clause in about["clauses"]:
            problems += [f"{rule}: component {name!r} is not known" for name in named(clause) if name not in names]
            condition(rule, clause.get("when", {}))
            condition(rule, clause.get("unless", {}))
            for setting, values in clause.get("setting", {}).items():
                choose(rule, setting, values)
            if ("node" in clause) != (clause["verdict"] == "check"):
                problems.append(f"{rule}: verdict check and form node go together")
    for setting, about in document["settings"].items():
        stated = [about["default"]] if "default" in about else []
        choose(f"settings.{setting}", setting, [*stated, *(one["value"] for one in about.get("defaults", []))])
        for default in about.get("defaults", []):
            condition(f"settings.{setting}", default["when"])
    for case, about in document["known_bad"].items():
        for one in about["sets"]:
            problems += [f"{case}: component {name!r} is not known" for name in one["versions"] if name not in names]
            problems += [f"{case}: there is no rule {rule}" for rule in one["by"] if rule not in document["rules"]]
    for kind, listed in document["only_on"].items():
        problems += [f"only_on.{kind}: component {name!r} is not known" for name in listed if name not in names]
    for one in document["left_out"]:
        problems += [f"left_out: component {name!r} is not known" for name in one["components"] if name not in names]
        problems += [f"left_out: OS {name!r} is not known" for name in one["os"] if name not in document["systems"]]
    return problems


def missing_omissions(
    document: Document, chosen: Mapping[str, str], left_out: Mapping[str, str], platform: Platform
) -> list[str]:
    """What the facts do not have on a platform, and a stack fails to leave out by name, one line each.

    :param chosen: component and version of the stack there.
    :param left_out: component and reason of what the stack does not have there.
    """
    kernel = platform.kernel or chosen.get(KERNEL)
    lines = []
    for about in document["left_out"]:
        if platform.os not in about["os"]:
            continue
        if "kernel" in about and not (kernel and version_range(about["kernel"]).holds(kernel)):
            continue
        for name in about["components"]:
            wrong = about.get("version", "any")
            there = name in chosen and version_range(wrong).holds(chosen[name])
            if there or (name not in chosen and name not in left_out):
                source = about["fact_source"]
                lines.append(f"{name} on {platform.os} is not left out by name, though the facts have none ({source})")
    return lines


def _found(
    rule: str, about: Mapping[str, Any], clause: Mapping[str, Any], subject: Subject, known: Known
) -> Iterator[Finding]:
    """What one clause has to say."""
    holds = subject.holds(clause.get("when"))
    spared = subject.holds(clause["unless"]) if "unless" in clause else False
    if holds is False or spared is True or ("node" in clause and holds is None):
        return
    for breach in breaches(clause, subject, known):
        missing = [
            *(subject.unknown(clause.get("when")) if holds is None else []),
            *(subject.unknown(clause.get("unless")) if spared is None else []),
            *([breach.unknown] if breach.unknown else []),
        ]
        reason = clause.get("why", about["statement"])
        yield Finding(
            rule=rule,
            verdict="check" if missing else clause["verdict"],
            sides=_sides(clause, breach, subject),
            reason=f"not known here: {', '.join(dict.fromkeys(missing))}. {reason}" if missing else reason,
            source=about["fact_source"],
            fix=_fix(clause, breach, subject, known),
            mark=clause.get("mark", about["mark"]),
            components=tuple(dict.fromkeys((*breach.components, *choices(clause.get("when"))))),
        )


def _sides(clause: Mapping[str, Any], breach: Breach, subject: Subject) -> tuple[str, str]:
    others = [*breach.others, *subject.tells(clause.get("when"))]
    others = [other for other in dict.fromkeys(others) if other != breach.side]
    if not others:
        return breach.side, "every set"
    return breach.side, ", ".join(others)


def _fix(clause: Mapping[str, Any], breach: Breach, subject: Subject, known: Known) -> str:
    if "fix" in clause:
        text: str = clause["fix"]
        return text
    if "absent" in clause or "node" in clause:
        return breach.fix
    return ", or ".join([breach.fix, *way_out(clause.get("when"), known, breach.components)])
