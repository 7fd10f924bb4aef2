"""What molecule/<scenario>/scenario.yml says, and which scenarios a change asks for. Pure but for reading files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError, did_you_mean
from ansible_collections.awsome.distributed_training.plugins.module_utils.jsonschema_subset import validate
from ansible_collections.awsome.distributed_training.tests import support

SYSTEMS = ("debian12", "debian13", "ubuntu2204", "ubuntu2404", "amazon2023")
"""The systems of data/stack.yml, those that are no stand-ins first."""

REAL = frozenset({"debian12", "debian13"})
"""Systems whose containers are what they say; the others are stand-ins."""

Command = str | list[str]


@dataclass(frozen=True)
class Mutation:
    """Something that is broken on a node, and the check that has to see it.

    :param undo: how it is mended by hand; None where the role itself mends it.
    """

    name: str
    breaks: Command
    caught_by: str
    undo: Command | None


@dataclass(frozen=True)
class Scenario:
    """A folder of molecule/ with what is asked of its roles.

    :param systems: in the order in which they are named; mutations and another version are tried on the first.
    :param installed: by system, real packages of the OS that its containers have from the start.
    :param variables: of each node, as an inventory gives them.
    :param other_version: components, and the version that a node has first.
    :param other_kept: whether ``keep`` keeps that version; else the solver refuses it.
    """

    name: str
    roles: tuple[str, ...]
    systems: tuple[str, ...]
    instance_type: str = ""
    network: str = "default"
    composed: bool = False
    installed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    os_packages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    other_version: Mapping[str, str] = field(default_factory=dict)
    other_kept: bool = True
    mutations: tuple[Mutation, ...] = ()


def names(root: Path = support.ROOT) -> list[str]:
    """Every scenario."""
    return sorted(path.parent.name for path in root.glob("molecule/*/molecule.yml"))


def read(name: str, root: Path = support.ROOT) -> Scenario:
    """A scenario, held to its schema and to sense.

    :raises TrainingError: a name that is not there, or a file that says what it cannot mean.
    """
    folder = root / "molecule" / name
    if not (folder / "molecule.yml").exists():
        raise TrainingError(f"scenario {name!r} is not in molecule/", did_you_mean(name, names(root)))
    path = folder / "scenario.yml"
    where = str(path.relative_to(root))
    if not path.exists():
        raise TrainingError(f"there is no {where}", "write one; molecule/README.md says how")
    return parsed(name, yaml.safe_load(path.read_text()), where, default_systems)


def parsed(name: str, document: Any, where: str, systems_of: Any) -> Scenario:
    """What a document says.

    :param systems_of: the systems for roles whose scenario names none.
    """
    problems = validate(document, controller.schema("molecule_scenario"), where)
    if problems:
        raise TrainingError(str(problems[0]))
    mutations = []
    for one in document.get("mutations", []):
        if ("undo" in one) == one.get("mended", False):
            raise TrainingError(f"{where}: mutation {one['name']!r} needs either undo or mended: true", "write one")
        if one["caught_by"].partition(".")[0] not in document["roles"]:
            raise TrainingError(
                f"{where}: mutation {one['name']!r} is caught by {one['caught_by']}, which is no check of its roles",
                f"a check of {', '.join(document['roles'])}",
            )
        mutations.append(Mutation(one["name"], one["break"], one["caught_by"], one.get("undo")))
    return Scenario(
        name,
        tuple(document["roles"]),
        tuple(document.get("systems") or systems_of(document["roles"])),
        document.get("instance_type", ""),
        document.get("network", "default"),
        document.get("composed", False),
        document.get("installed", {}),
        document.get("variables", {}),
        document.get("os_packages", {}),
        document.get("other_version", {}),
        document.get("other_version_kept", True),
        tuple(mutations),
    )


def default_systems(roles: Sequence[str]) -> list[str]:
    """The systems on which the stack has every component of some roles."""
    document = controller.read_catalogue("stack")
    needed = {name for role in roles for name in components_of(role)}
    return [system for system in SYSTEMS if needed <= set(catalogue.chosen(document, None, system, "x86_64"))]


def components_of(role: str) -> list[str]:
    """The components that a role plans: those its tasks hand to component_plan, as a list or by a name of its vars."""
    folder = support.ROOT / "roles" / role
    found: list[str] = []
    for path in sorted((folder / "tasks").glob("*.yml")):
        for task in yaml.safe_load(path.read_text()) or []:
            given = task.get(f"{support.COLLECTION}.component_plan", {}).get("components", [])
            if isinstance(given, str):
                given = yaml.safe_load((folder / "vars/main.yml").read_text())[given.strip("{} ")]
            found += given
    return sorted(set(found))
