"""What a scenario.yml may say, and the plays that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import registry
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.molecule import plays, scenarios
from ansible_collections.awsome.distributed_training.tests.molecule.scenarios import Mutation, Scenario

CONVERGE = [
    {
        "name": "Converge",
        "hosts": "all",
        "vars": {"one": 1},
        "vars_files": "vars/main.yml",
        "roles": [{"role": "a.b.c"}],
    }
]
FOLDER = Path("/folder")
SEEN = "'c.service' in mutation_failing | default([])"
STOPPED = {"name": "stopped", "break": ["systemctl", "stop", "c"], "caught_by": "c.service"}


def parsed(**document: Any) -> Scenario:
    return scenarios.parsed("c", {"roles": ["c"], **document}, "molecule/c/scenario.yml", lambda roles: ["debian12"])


def mended(name: str, check: str) -> Mutation:
    return Mutation(name, "true", check, None)


@pytest.mark.parametrize("name", scenarios.names())
def test_every_scenario_can_be_read_and_its_mutations_name_checks_that_exist(name: str) -> None:
    scenario = scenarios.read(name)
    assert scenario.systems
    assert {one.caught_by for one in scenario.mutations} <= set(registry.CHECKS)
    for role in scenario.roles:
        assert (support.ROOT / "roles" / role / "tasks/verify.yml").exists()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"rolls": []}, "key rolls: no such key; fix: did you mean roles?"),
        ({"systems": ["debian11"]}, "debian11"),
        ({"mutations": [STOPPED]}, "mutation 'stopped' needs either undo or mended: true; fix: write one"),
        ({"mutations": [{**STOPPED, "undo": "true", "mended": True}]}, "needs either undo or mended"),
        ({"mutations": [{**STOPPED, "mended": False}]}, "needs either undo or mended"),
        ({"mutations": [{**STOPPED, "caught_by": "d.service", "mended": True}]}, "d.service, which is no check of its"),
    ],
)
def test_what_makes_no_sense_is_refused(document: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingError) as caught:
        parsed(**document)
    assert str(caught.value).startswith("molecule/c/scenario.yml: ")
    assert said in str(caught.value)


def test_a_scenario_that_is_not_there_is_refused_by_the_nearest_name() -> None:
    with pytest.raises(TrainingError, match=r"scenario 'dcmg' is not in molecule/; fix: .*dcgm"):
        scenarios.read("dcmg")


def test_without_systems_a_scenario_has_those_on_which_the_stack_has_its_components() -> None:
    assert scenarios.components_of("dcgm") == ["dcgm"]
    assert scenarios.default_systems(["dcgm"]) == ["debian12", "ubuntu2204", "ubuntu2404", "amazon2023"]
    assert scenarios.default_systems(["munge"]) == list(scenarios.SYSTEMS)


def test_no_round_has_two_mutations_that_one_check_catches() -> None:
    first, second, third, other = mended("1", "c.a"), mended("2", "c.a"), mended("3", "c.a"), mended("4", "c.b")
    assert plays.rounds([first, second, third, other]) == [[first, other], [second], [third]]
    assert plays.rounds([]) == []


def test_mutations_are_undone_one_by_one_and_mended_together() -> None:
    scenario = parsed(
        mutations=[
            {**STOPPED, "mended": True},
            {"name": "changed", "break": "echo >/f", "undo": ["cp", "/g", "/f"], "caught_by": "c.file"},
            {**STOPPED, "name": "disabled", "mended": True},
        ]
    )
    first, mended, stopped, mended_again, disabled, last, end = plays.mutations(scenario, CONVERGE, "node", FOLDER)
    assert [task["name"] for task in first["tasks"]] == [
        "Nothing fails",
        "All checks of c pass",
        "Break | changed",
        "Caught | changed",
        "Undo | changed",
        "All checks of c pass again",
        "Nothing fails",
    ]
    assert first["tasks"][2]["ansible.builtin.shell"] == {"cmd": "echo >/f"}
    assert first["tasks"][3]["vars"]["mutation_caught_by"] == "c.file"
    assert first["tasks"][4]["ansible.builtin.command"] == {"argv": ["cp", "/g", "/f"]}
    for play, name in ((stopped, "stopped"), (disabled, "disabled")):
        assert [task["name"] for task in play["tasks"]] == ["Mended", f"Break | {name}", f"Caught | {name}"]
        assert play["tasks"][0]["when"] == SEEN
    for play in (first, stopped, disabled, end):
        assert play["hosts"] == "node"
        assert play["vars"] == {"one": 1}
        assert play["vars_files"] == ["/folder/vars/main.yml"]
    assert mended == mended_again == {"import_playbook": "/folder/converge.yml", "when": SEEN}
    assert last == {"import_playbook": "/folder/converge.yml", "when": "inventory_hostname == 'node'"}
    assert [task["name"] for task in end["tasks"]] == ["All checks of c pass"]


def test_of_composed_roles_those_are_planned_that_a_mutation_is_caught_by() -> None:
    scenario = parsed(
        composed=True,
        roles=["b", "c"],
        mutations=[{**STOPPED, "undo": "true"}, {**STOPPED, "name": "again", "undo": "true"}],
    )
    (first,) = plays.mutations(scenario, CONVERGE, "node", FOLDER)
    assert [task["name"] for task in first["tasks"][:3]] == ["Nothing fails", "What c has here", "Break | stopped"]
    assert first["tasks"][1]["ansible.builtin.include_role"]["tasks_from"] == "preflight.yml"


@pytest.mark.parametrize("name", [name for name in scenarios.names() if scenarios.read(name).composed])
def test_a_composed_scenario_applies_an_image_and_checks_every_role_of_it(name: str) -> None:
    scenario, folder = scenarios.read(name), support.ROOT / "molecule" / name
    imported = [
        (folder / play["ansible.builtin.import_playbook"]).resolve()
        for play in yaml.safe_load((folder / "converge.yml").read_text())
        if "ansible.builtin.import_playbook" in play
    ]
    assert [path.parent for path in imported] == [support.ROOT / "playbooks/images"]
    (play,) = yaml.safe_load(imported[0].read_text())
    applied = [one["role"].removeprefix(f"{support.COLLECTION}.") for one in play["roles"]]
    elsewhere = {one["role"].rpartition(".")[2] for one in play["roles"] if "when" in one}
    assert [role for role in applied if role in scenario.roles] == list(scenario.roles)
    assert set(applied) - set(scenario.roles) <= elsewhere
    assert all(one["tags"] == one["role"].rpartition(".")[2] for one in play["roles"])


@pytest.mark.parametrize("kept", [True, False])
def test_another_version_is_refused_then_kept_or_not_then_replaced(kept: bool) -> None:
    scenario = parsed(other_version={"c": "1"}, other_version_kept=kept)
    first, then = plays.other_version(scenario, CONVERGE, "node", FOLDER, {"mirror": "other"}, {"mirror": "ours"})
    assert first == {"import_playbook": "/folder/converge.yml", "vars": {"mirror": "other"}}
    assert then["vars"] == {"one": 1, "mirror": "ours"}
    met = [task["vars"] for task in then["tasks"] if "other_refused" in task["vars"]]
    assert [(one["other_way"], one["c_preinstalled"], one["other_refused"]) for one in met] == [
        ("refuse", "refuse", True),
        ("keep", "keep", not kept),
        ("replace", "replace", False),
    ]
    left = [task["vars"] for task in then["tasks"] if "other_stays" in task["vars"]]
    assert [one["other_stays"] for one in left] == [True, True, False]
