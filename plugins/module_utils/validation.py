# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Playbook validate: which checks a tag asks for, and one report of many nodes. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError, did_you_mean

FAIL, PASS, SKIP = "fail", "pass", "skip"

TAGS: Mapping[str, tuple[str, ...]] = {
    "gpu": ("gpu",),
    "nvlink": ("nvlink", "nvidia_fabricmanager"),
    "efa": ("efa", "efa_exporter", "aws_ofi_nccl"),
    "neuron": ("neuron", "pytorch_neuron"),
    "pytorch_env": ("pytorch_env",),
    "storage": ("lustre_client",),
    "slurm": ("munge", "slurm"),
}
"""Tag of playbook validate: groups of checks. Tag ``stack`` has all others that are on a node's record."""

STACK = "stack"

Result = Mapping[str, str]
"""A check's result, as module node_checks returns it."""


def groups_of(tags: Iterable[str], here: Sequence[str]) -> list[str]:
    """The groups of some tags, of those that a node is held to.

    :param tags: Ansible's ansible_run_tags: ``all`` where none is named.
    """
    asked = set(tags) - {"all", "always"}
    if not asked:
        return list(here)
    for tag in sorted(asked):
        if tag not in TAGS and tag != STACK:
            known = sorted({*TAGS, STACK})
            raise TrainingError(f"tag {tag!r} asks for no checks", did_you_mean(tag, known))
    others = {name for names in TAGS.values() for name in names}
    wanted = {name for tag in asked for name in TAGS.get(tag, ())}
    return [name for name in here if name in wanted or (STACK in asked and name not in others)]


def not_checked(node: str, reason: str, fix: str) -> dict[str, str]:
    """The result that stands for a node on which no check ran."""
    return {
        "id": "node.checked",
        "node": node,
        "verdict": FAIL,
        "value": "",
        "limit": "",
        "unit": "",
        "reason": reason,
        "fix": fix,
    }


def judged(results: Mapping[str, Sequence[Result]]) -> dict[str, list[dict[str, str]]]:
    """The results of each node; a node whose checks were all skipped fails, for nothing was proved of it."""
    found = {}
    for node, given in sorted(results.items()):
        found[node] = [dict(one) for one in given]
        if not any(one["verdict"] in (PASS, FAIL) for one in given):
            reasons = "; ".join(dict.fromkeys(f"{one['id']}: {one['reason']}" for one in given)) or "no check applies"
            found[node].append(
                not_checked(node, f"nothing was checked: {reasons}", "adt_instance_type says what the node is")
            )
    return found


def verdict(results: Mapping[str, Sequence[Result]]) -> str:
    """``pass`` where something was checked and nothing failed."""
    every = [one["verdict"] for given in results.values() for one in given]
    return PASS if PASS in every and FAIL not in every else FAIL


def document(results: Mapping[str, Sequence[Result]], tags: Iterable[str], ended: str) -> dict[str, Any]:
    """The report as data, in the form of schemas/validation.schema.json."""
    counts = Counter(one["verdict"] for given in results.values() for one in given)
    return {
        "schema": 1,
        "ended": ended,
        "tags": sorted(tags),
        "verdict": verdict(results),
        "nodes": {node: list(given) for node, given in sorted(results.items())},
        "counts": {name: counts[name] for name in (PASS, FAIL, SKIP)},
    }


def table(results: Mapping[str, Sequence[Result]]) -> str:
    """One line for what all nodes with the same outcome of a check have in common; failures first."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for node, given in sorted(results.items()):
        for one in given:
            told = one["reason"] if one["verdict"] != PASS else _valued(one)
            key = (one["verdict"], one["id"], told, one["fix"] if one["verdict"] == FAIL else "")
            alike.setdefault(key, []).append(node)
    order = {FAIL: 0, PASS: 1, SKIP: 2}
    rows = [("verdict", "check", "nodes", "found")]
    for (outcome, name, told, fix), nodes in sorted(alike.items(), key=lambda item: (order[item[0][0]], item[0][1:])):
        rows.append((outcome.upper(), name, _named(nodes), f"{told}; fix: {fix}" if fix else told))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]).rstrip() for row in rows
    )


def junit(results: Mapping[str, Sequence[Result]]) -> str:
    """The report as JUnit's XML: a suite for each node, a case for each check."""
    suites = ElementTree.Element("testsuites")
    for node, given in sorted(results.items()):
        counts = Counter(one["verdict"] for one in given)
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            {
                "name": node,
                "tests": str(len(given)),
                "failures": str(counts[FAIL]),
                "skipped": str(counts[SKIP]),
                "errors": "0",
            },
        )
        for one in given:
            group, _, name = one["id"].partition(".")
            case = ElementTree.SubElement(suite, "testcase", {"classname": f"{node}.{group}", "name": name})
            if one["verdict"] == FAIL:
                ElementTree.SubElement(case, "failure", {"message": _clean(f"{one['reason']}; fix: {one['fix']}")})
            elif one["verdict"] == SKIP:
                ElementTree.SubElement(case, "skipped", {"message": _clean(one["reason"])})
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """Without the letters that XML 1.0 cannot hold (its section 2.2)."""
    return "".join(letter for letter in text if letter >= " " and letter not in "\ufffe\uffff")


def _valued(one: Result) -> str:
    value = f"{one['value']} {one['unit']}".strip()
    return f"{value} ({one['reason']})" if value and one["reason"] else value or one["reason"]


def _named(nodes: Sequence[str]) -> str:
    """Names of a few nodes, else how many there are and the first."""
    return ", ".join(nodes) if len(nodes) <= 3 else f"{len(nodes)}: {nodes[0]}, {nodes[1]}, …"
