"""Plays that follow a scenario's verification: mutations, and another version that is already there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.molecule.scenarios import Mutation, Scenario

Play = dict[str, Any]
WAYS = ("refuse", "keep", "replace")
"""What a role may do with another version, in the order in which each finds what the one before left."""

COMMON = support.ROOT / "molecule/common/tasks"


def mutations(scenario: Scenario, converge: Sequence[Mapping[str, Any]], host: str, folder: Path) -> list[Play]:
    """Break, see it caught, mend: each mutation with an undo by itself; then those that the role mends, together.

    What the role mends stays broken as long as the next mutation's check does not fail already: where it does, the role
    is applied first, so that each is seen by what it broke itself.
    """
    by_hand = [task for one in scenario.mutations if one.undo is not None for task in (*_broken(one), *_undone(one))]
    tasks = [_settled(), *(_planned(scenario) if scenario.composed else _verified(scenario)), *by_hand]
    plays = [_play("The node is as it should be", converge, host, folder, tasks)]
    in_turn = [one for group in rounds([m for m in scenario.mutations if m.undo is None]) for one in group]
    for one in in_turn:
        seen = f"'{one.caught_by}' in mutation_failing | default([])"
        plays.append({"import_playbook": str(folder / "converge.yml"), "when": seen})
        again = {"name": "Mended", "when": seen, "block": [*_verified(scenario), _settled()]}
        plays.append(_play(f"Mutation: {one.name}", converge, host, folder, [again, *_broken(one)]))
    if in_turn:
        here = f"inventory_hostname == '{host}'"
        plays.append({"import_playbook": str(folder / "converge.yml"), "when": here})
        plays.append(_play("The roles mended it", converge, host, folder, _verified(scenario)))
    return plays


def rounds(mended: Sequence[Mutation]) -> list[list[Mutation]]:
    """Mutations in as few groups as it takes so that no group has two that one check catches: the best order."""
    groups: list[list[Mutation]] = []
    for one in mended:
        for group in groups:
            if one.caught_by not in {other.caught_by for other in group}:
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def other_version(
    scenario: Scenario,
    converge: Sequence[Mapping[str, Any]],
    host: str,
    folder: Path,
    others: Mapping[str, Any],
    stack: Mapping[str, Any],
) -> list[Play]:
    """Another version first, then the last role told to refuse, to keep and to replace it, on the one node there is.

    :param others: variables of the mirror with the other version.
    :param stack: variables of the mirror with the stack.
    """
    role = scenario.roles[-1]
    tasks = []
    for way in WAYS:
        told = {"other_role": role, "other_way": way, "other_version": dict(scenario.other_version)}
        refused = way == "refuse" or (way == "keep" and not scenario.other_kept)
        tasks += [
            {
                "name": f"Another version | {way}",
                "ansible.builtin.include_tasks": f"{COMMON}/other_version.yml",
                "vars": {**told, "other_refused": refused, f"{role}_preinstalled": way},
            },
            {
                "name": f"Another version | Look what the node has after {way}",
                "ansible.builtin.include_role": {"name": f"{support.COLLECTION}.{role}", "tasks_from": "preflight.yml"},
                "vars": {f"{role}_preinstalled": "replace"},
            },
            {
                "name": f"Another version | See what the node has after {way}",
                "ansible.builtin.include_tasks": f"{COMMON}/other_found.yml",
                "vars": {**told, "other_stays": way != "replace"},
            },
        ]
    play = _play("The role meets another version", converge, host, folder, tasks)
    play["vars"] = {**play.get("vars", {}), **stack}
    return [{"import_playbook": str(folder / "converge.yml"), "vars": dict(others)}, play]


def _play(
    name: str, converge: Sequence[Mapping[str, Any]], host: str, folder: Path, tasks: Sequence[dict[str, Any]]
) -> Play:
    """Tasks with the variables that converge.yml gives its roles."""
    play: Play = {"name": name, "hosts": host}
    for given in converge:
        if "vars" in given:
            play["vars"] = {**play.get("vars", {}), **given["vars"]}
        files = given.get("vars_files", [])
        named = [str(folder / file) for file in ([files] if isinstance(files, str) else files)]
        if named:
            play["vars_files"] = [*play.get("vars_files", []), *named]
    return {**play, "tasks": list(tasks)}


def _verified(scenario: Scenario) -> list[dict[str, Any]]:
    return [
        {
            "name": f"All checks of {role} pass",
            "ansible.builtin.include_role": {"name": f"{support.COLLECTION}.{role}", "tasks_from": "verify.yml"},
        }
        for role in scenario.roles
    ]


def _planned(scenario: Scenario) -> list[dict[str, Any]]:
    """What the checks of the mutations hold the node to, from before it is broken: of many roles, a verification of all
    would take as long as the mutations."""
    return [
        {
            "name": f"What {role} has here",
            "ansible.builtin.include_role": {"name": f"{support.COLLECTION}.{role}", "tasks_from": "preflight.yml"},
        }
        for role in dict.fromkeys(one.caught_by.partition(".")[0] for one in scenario.mutations)
    ]


def _settled() -> dict[str, Any]:
    return {"name": "Nothing fails", "ansible.builtin.set_fact": {"mutation_failing": []}}


def _broken(one: Mutation) -> list[dict[str, Any]]:
    """Break it, and see that the check of that id fails."""
    told = {
        "mutation_name": one.name,
        "mutation_caught_by": one.caught_by,
        "mutation_role": one.caught_by.partition(".")[0],
        "adt_checks_wait_s": 0,
    }
    return [
        _command(f"Break | {one.name}", one.breaks),
        {"name": f"Caught | {one.name}", "ansible.builtin.include_tasks": f"{COMMON}/caught.yml", "vars": told},
    ]


def _undone(one: Mutation) -> list[dict[str, Any]]:
    role = one.caught_by.partition(".")[0]
    passes = {
        "name": f"All checks of {role} pass again",
        "ansible.builtin.include_role": {"name": f"{support.COLLECTION}.{role}", "tasks_from": "verify.yml"},
    }
    return [_command(f"Undo | {one.name}", one.undo or []), passes, _settled()]


def _command(name: str, command: str | list[str]) -> dict[str, Any]:
    if isinstance(command, str):
        return {"name": name, "ansible.builtin.shell": {"cmd": command}}
    return {"name": name, "ansible.builtin.command": {"argv": command}}
