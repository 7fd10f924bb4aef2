# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What make solve and playbook solve are asked, and what they answer: lines for a reader, and a verdict. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility import (
    Finding,
    accepted,
    host_architecture,
    judge,
    meant_for,
    missing_omissions,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import (
    KERNEL,
    Document,
    Platform,
    Subject,
    checked,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_upgrades import (
    Shelf,
    Upgrade,
    shelf,
    upgrades,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import (
    TrainingError,
    did_you_mean,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.values import convert, split_assignments

EVERY = "every"
"""In place of a component: all that have newer versions."""

PUBLIC: dict[str, dict[str, Any]] = {
    "stack": {"type": "str", "help": "a stack of data/stack.yml; the default one where none is named"},
    "stack_overrides": {"type": "map", "help": "what differs from data/stack.yml, in its form"},
    "os": {"type": "str", "help": "debian12, debian13, ubuntu2204, ubuntu2404 or amazon2023"},
    "kernel": {"type": "str", "help": "the kernel's release; the stack's where none is given"},
    "arch": {"type": "str", "help": "x86_64 or aarch64; the type's where none is given; alone, all on it"},
    "instance_type": {"type": "str", "help": "an EC2 type"},
    "settings": {"type": "assignments", "help": "choices that are no version: 'modules=open cluster=eks'"},
    "job_environment": {"type": "assignments", "help": "variables of the job: 'NCCL_NET_PLUGIN=ofi'"},
    "running": {"type": "assignments", "help": "what runs now: 'slurm=25.05.9'"},
    "upgrade": {"type": "str", "help": "a component, or every: what may it be, and what comes with it"},
    "upgrade_to": {"type": "str", "help": "one version of it"},
}
"""The public variables of playbook solve. Without any but ``stack_overrides`` and ``arch`` the matrix is judged."""


@dataclass(frozen=True)
class Catalogues:
    """What an answer comes from.

    :param stack: data/stack.yml, with overrides where there are any.
    :param constraints: data/constraints.yml.
    :param types: data/instance_types.yml.
    """

    stack: Document
    constraints: Document
    types: Document


@dataclass(frozen=True)
class Answer:
    """``lines`` for a reader, whether all that was asked is accepted, and the same as plain values.

    ``refusal`` says in one line what is refused, and its fix.
    """

    lines: list[str]
    accepted: bool
    refusal: tuple[str, str] = ("", "")
    values: dict[str, Any] = field(default_factory=dict)


def read_request(given: Mapping[str, Any], extra_names: Iterable[str] = ()) -> dict[str, Any]:
    """The request, with None or an empty map for what is not given.

    :param extra_names: names of all variables of the command line; an unknown one is a slip, and refused.
    :raises TrainingError: a variable that is not known, or not in its form.
    """
    for name in extra_names:
        if name not in PUBLIC and not name.startswith(("adt_", "ansible_")):
            raise TrainingError(f"variable {name!r} is not known", did_you_mean(name, PUBLIC))
    request: dict[str, Any] = {}
    for name, about in PUBLIC.items():
        value = given.get(name)
        if about["type"] == "assignments":
            request[name] = {key: str(text) for key, text in split_assignments(value, name).items()}
        elif value is None or value == "":
            request[name] = None
        elif about["type"] == "map":
            request[name] = value
        else:
            request[name] = convert(name, about, value, "-e")
    if request["upgrade_to"] and not request["upgrade"]:
        raise TrainingError(f"upgrade_to={request['upgrade_to']} without upgrade", "upgrade=COMPONENT")
    return request


def answer(request: Mapping[str, Any], of: Catalogues) -> Answer:
    """The matrix, a verdict on one stack and platform, or what may be upgraded there."""
    for stack, about in of.stack["stacks"].items():
        for name in about["components"]:
            if name not in of.stack["components"]:
                raise TrainingError(
                    f"component {name!r} of stack {stack} is not in the catalogue",
                    did_you_mean(name, of.stack["components"]),
                )
    if not any(value for name, value in request.items() if name not in ("stack_overrides", "arch")):
        return _matrix(of, request["arch"])
    stack, platform = _asked(request, of)
    chosen = meant_for(
        catalogue.chosen(of.stack, stack, platform.os, platform.arch), platform, of.constraints, of.types
    )
    offered = shelf(of.stack, platform.os, platform.arch)
    if request["upgrade"]:
        return _upgrade(request, stack, platform, chosen, offered, of)
    return _verdict(stack, platform, chosen, offered, of)


def _asked(request: Mapping[str, Any], of: Catalogues) -> tuple[str, Platform]:
    """Stack and platform, checked and complete."""
    if not request["os"]:
        raise TrainingError("os is not given", f"one of {', '.join(catalogue.SYSTEMS)}")
    if request["os"] not in catalogue.SYSTEMS:
        raise TrainingError(f"os={request['os']} is not known", did_you_mean(request["os"], catalogue.SYSTEMS))
    stack = request["stack"] or of.stack["default"]
    if stack not in of.stack["stacks"]:
        raise TrainingError(f"stack {stack!r} is not in the catalogue", did_you_mean(stack, of.stack["stacks"]))
    name, arch = request["instance_type"], request["arch"]
    if name in of.types["instance_types"]:
        host = host_architecture(name, of.constraints, of.types)
        if arch and arch != host:
            raise TrainingError(f"arch={arch}: type {name} is {host}", f"arch={host}, or leave it out")
        arch = host
    platform = Platform(
        os=request["os"],
        arch=arch or "x86_64",
        kernel=request["kernel"],
        instance_type=name,
        settings={**_stack_settings(of.stack, stack, request["os"]), **request["settings"]},
        environment=request["job_environment"] or None,
        running=request["running"],
    )
    for component in request["running"]:
        if component not in of.stack["components"]:
            raise TrainingError(
                f"running: component {component!r} is not in the catalogue",
                did_you_mean(component, of.stack["components"]),
            )
    return stack, checked(platform, of.constraints, of.types)


def _stack_settings(document: Document, stack: str, os: str) -> dict[str, str]:
    """Settings that the stack itself tells: whether its aws-ofi-nccl comes inside of the EFA installer."""
    inside = _is_inside(document, "aws_ofi_nccl", stack, os)
    return {"plugin_from": "installer" if inside else "own_build"}


def _is_inside(document: Document, name: str, stack: str, os: str) -> bool:
    """A component comes inside of another one: the stack itself does not say its version on this OS."""
    stated = document["stacks"][stack]["components"].get(name)
    return stated is None or isinstance(stated, Mapping) and os not in stated


def _verdict(stack: str, platform: Platform, chosen: Mapping[str, str], offered: Shelf, of: Catalogues) -> Answer:
    findings = judge(chosen, platform, of.constraints, of.types, offered.known())
    without = _left_out(stack, platform, of)
    lines = [_head(stack, platform, chosen, of)]
    for verdict, word in _WORDS.items():
        lines += [f"{word} {_told(finding)}" for finding in findings if finding.verdict == verdict]
    lines += [f"left out {name}: {reason}" for name, reason in without.items()]
    counts = Counter(finding.verdict for finding in findings)
    numbers = f"{_count(counts['warn'], 'warning')}, {_count(counts['check'], 'check')} on the node"
    if counts["refuse"]:
        lines.append(f"verdict: refused by {_rules(findings, 'refuse')}; {numbers}")
    else:
        lines.append(f"verdict: accepted; {numbers}")
    values = {"findings": [finding.as_dict() for finding in findings], "left_out": without, "chosen": dict(chosen)}
    return Answer(lines, accepted(findings), _refusal(stack, findings), values)


def _upgrade(
    request: Mapping[str, Any],
    stack: str,
    platform: Platform,
    chosen: Mapping[str, str],
    offered: Shelf,
    of: Catalogues,
) -> Answer:
    own = {name for name in chosen if not _is_inside(of.stack, name, stack, platform.os)}

    def ask(component: str) -> list[Upgrade]:
        return upgrades(chosen, platform, component, of.constraints, of.types, offered, request["upgrade_to"], own)

    component = request["upgrade"]
    head = _head(stack, platform, chosen, of)
    if component == EVERY:
        if request["upgrade_to"]:
            raise TrainingError(f"upgrade_to={request['upgrade_to']} for every component", "upgrade=COMPONENT")
        return _upgrade_every(head, {name: ask(name) for name in sorted(chosen) if name in offered.versions})
    without = _left_out(stack, platform, of)
    if component in without:
        raise TrainingError(
            f"stack {stack} has no {component} on {platform.os}: {without[component]}",
            "ask for another component or OS",
        )
    if component in catalogue.chosen(of.stack, stack, platform.os, platform.arch) and component not in chosen:
        machine = Subject(chosen, platform, of.constraints, of.types).machine
        raise TrainingError(f"{component} is not for {machine}", "ask for a type that has it")
    found = ask(component)
    values = {"upgrades": [_upgrade_values(one) for one in found]}
    if not found:
        return Answer(
            [head, f"{component} {chosen[component]} is the newest of the catalogue here"], True, values=values
        )
    ways = sum(one.accepted for one in found)
    last = f"verdict: {ways} of {_count(len(found), 'version')} of {component} may be taken"
    lines = [head, *(line for one in found for line in _upgrade_lines(one)), last]
    refusal = (f"no other version of {component} may be taken", "see what the lines above name")
    return Answer(lines, bool(ways), refusal, values)


def _upgrade_every(head: str, found: Mapping[str, Sequence[Upgrade]]) -> Answer:
    """For each component that has newer versions, the newest that may be taken, or why none may."""
    newer = {name: several for name, several in found.items() if several}
    told = {name: next((one for one in several if one.accepted), several[0]) for name, several in newer.items()}
    ways = sum(one.accepted for one in told.values())
    last = f"verdict: {ways} of {_count(len(newer), 'component')} with newer versions may be upgraded"
    lines = [head, *(line for one in told.values() for line in _upgrade_lines(one)), last]
    values = {"upgrades": [_upgrade_values(one) for several in newer.values() for one in several]}
    return Answer(lines, True, values=values)


def _upgrade_values(one: Upgrade) -> dict[str, Any]:
    return {
        "component": one.component,
        "now": one.now,
        "then": one.then,
        "accepted": one.accepted,
        "moves": [{"component": name, "now": now, "then": then} for name, now, then in one.moves],
        "carried": [{"component": name, "now": now, "then": then} for name, now, then in one.carried],
        "warnings": [finding.as_dict() for finding in one.warnings],
        "refusals": [finding.as_dict() for finding in one.refusals],
    }


def _upgrade_lines(one: Upgrade) -> list[str]:
    head = f"{one.component} {one.now} -> {one.then}"
    if not one.accepted:
        why = "" if one.exhausted else "; the search ended before it had tried every set"
        return [f"{head}: no{why}", *(f"  refused {_told(finding)}" for finding in one.refusals)]
    moves = [f"{name} {now or 'nothing'} -> {then}" for name, now, then in one.moves]
    carried = [f"{name} {now or 'nothing'} -> {then}" for name, now, then in one.carried]
    lines = [f"{head}: yes{', with ' + ', '.join(moves) if moves else ', alone'}"]
    if carried:
        lines.append(f"  inside of what moves: {', '.join(carried)}")
    return lines + [f"  warned  {_told(finding)}" for finding in one.warnings]


@dataclass(frozen=True)
class _Refusal:
    line: str
    places: list[str] = field(default_factory=list)


def _matrix(of: Catalogues, only: str | None) -> Answer:
    """Every stack on every OS, architecture and type; on one architecture where that alone is asked for."""
    if only and only not in catalogue.ARCHITECTURES:
        raise TrainingError(f"arch={only} is not known", did_you_mean(only, catalogue.ARCHITECTURES))
    rows: list[list[str]] = [["stack", "OS", "arch", "types", "accepted", "warned by", "left out"]]
    refused: dict[tuple[str, tuple[str, str]], _Refusal] = {}
    missing: list[str] = []
    totals: Counter[str] = Counter()
    for stack in of.stack["stacks"]:
        for os in catalogue.SYSTEMS:
            for arch in [only] if only else catalogue.ARCHITECTURES:
                names = [
                    n for n in of.types["instance_types"] if host_architecture(n, of.constraints, of.types) == arch
                ]
                if not names:
                    continue
                chosen = catalogue.chosen(of.stack, stack, os, arch)
                without = catalogue.left_out(of.stack, stack, os, arch)
                where = f"{stack} on {os} {arch}"
                missing += [
                    f"{where}: {line}"
                    for line in missing_omissions(of.constraints, chosen, without, Platform(os, arch))
                ]
                known = shelf(of.stack, os, arch).known()
                warned: set[str] = set()
                good = 0
                settings = _stack_settings(of.stack, stack, os)
                for name in names:
                    platform = Platform(os, arch, instance_type=name, settings=settings)
                    mine = meant_for(chosen, platform, of.constraints, of.types)
                    findings = judge(mine, platform, of.constraints, of.types, known)
                    good += accepted(findings)
                    totals["warned"] += accepted(findings) and any(f.verdict == "warn" for f in findings)
                    totals["checks"] += sum(finding.verdict == "check" for finding in findings)
                    warned |= {finding.rule for finding in findings if finding.verdict == "warn"}
                    for finding in findings:
                        if finding.verdict == "refuse":
                            # fixes differ with what the catalogue has there; the first stands for all
                            told = refused.setdefault((finding.rule, finding.sides), _Refusal(_told(finding)))
                            told.places.append(f"{where} {name}")
                totals["combinations"] += len(names)
                totals["accepted"] += good
                rows.append(
                    [stack, os, arch, str(len(names)), str(good), " ".join(sorted(warned)) or "-", _listed(without)]
                )
    lines = _table(rows)
    for told in refused.values():
        places = ", ".join(told.places[:3]) + _more(told.places)
        lines.append(f"refused {told.line} ({_count(len(told.places), 'combination')}: {places})")
    lines += [f"missing {line}" for line in missing]
    lines.append(
        f"{_count(totals['combinations'], 'combination')}: {totals['accepted']} accepted "
        f"({totals['warned']} with warnings), {totals['combinations'] - totals['accepted']} refused; "
        f"{_count(totals['checks'], 'check')} on nodes; {_count(len(missing), 'expected omission')} missing"
    )
    if of.stack.get("overridden"):
        lines.append("stack_overrides took part: this is not data/stack.yml itself")
    values = {"combinations": totals["combinations"], "accepted": totals["accepted"], "missing": missing}
    return Answer(lines, not refused and not missing, (lines[-1], "see what the lines above name"), values)


_WORDS = {"refuse": "refused ", "warn": "warned  ", "check": "to check"}


def _told(finding: Finding) -> str:
    if finding.verdict == "check" and finding.sides[0] == "the node":
        return f"{finding.rule}: {finding.fix} ({finding.sides[1]})"
    return str(finding)


def _head(stack: str, platform: Platform, chosen: Mapping[str, str], of: Catalogues) -> str:
    subject = Subject(chosen, platform, of.constraints, of.types)
    kernel = platform.kernel or chosen.get(KERNEL)
    parts = [subject.system, platform.arch, f"kernel {kernel}" if kernel else "a kernel that is not stated"]
    note = ", with stack_overrides" if of.stack.get("overridden") else ""
    return f"stack {stack}{note} on {', '.join([*parts, subject.machine])}"


def _left_out(stack: str, platform: Platform, of: Catalogues) -> dict[str, str]:
    without = catalogue.left_out(of.stack, stack, platform.os, platform.arch)
    return meant_for(without, platform, of.constraints, of.types)


def _refusal(stack: str, findings: Iterable[Finding]) -> tuple[str, str]:
    refused = [finding for finding in findings if finding.verdict == "refuse"]
    if not refused:
        return "", ""
    first = refused[0]
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    return f"stack {stack} is refused by {first.rule}: {first.sides[0]} against {first.sides[1]}{more}", first.fix


def _rules(findings: Iterable[Finding], verdict: str) -> str:
    return ", ".join(dict.fromkeys(finding.rule for finding in findings if finding.verdict == verdict))


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _listed(without: Mapping[str, str]) -> str:
    return " ".join(sorted(without)) or "-"


def _more(places: Sequence[str]) -> str:
    return f" and {len(places) - 3} more" if len(places) > 3 else ""


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]]) for row in rows]
