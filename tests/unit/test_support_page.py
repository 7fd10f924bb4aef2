# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""docs/support.md, from evidence, from the list of subjects, and from the roles' own platforms."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.lint import support_page
from ansible_collections.awsome.distributed_training.tests.molecule import scenarios

SUBJECTS = """
subjects:
  - what: launcher
    not_run: not yet on a moon
  - what: images
    not_run: written, not built
  - what: rendering
"""
META = """
galaxy_info:
  platforms:
    - {name: Debian, versions: [bookworm, trixie]}
    - {name: Ubuntu, versions: [jammy]}
    - {name: Amazon Linux, versions: ["2023"]}
"""


def shows(*what: str, systems: list[str], state: str = "ran", **note: str) -> dict[str, Any]:
    return {"what": list(what), "systems": systems, "state": state, **note}


def files(**evidence: list[dict[str, Any]]) -> dict[str, str]:
    """A project with role efa, and rows of evidence by their names."""
    rows = {f"evidence/{name}.json": json.dumps({"shows": shown}) for name, shown in evidence.items()}
    return {"data/support.yml": SUBJECTS, "roles/efa/meta/main.yml": META, **rows}


def row(page: str, what: str) -> list[str]:
    """The cells of a line, without the first."""
    [line] = [line for line in page.splitlines() if line.startswith(f"| {what} |")]
    return [cell.strip() for cell in line.strip("| ").split(" | ")[1:]]


def test_what_no_evidence_shows_is_only_written_for() -> None:
    page = support_page.page(files())
    assert row(page, "launcher") == ["–", "–", "not yet on a moon", "–"]
    assert row(page, "`efa`") == ["–", "–", "written for Debian 12, Debian 13, Ubuntu 22.04, Amazon Linux 2023", "–"]


def test_the_real_system_and_stand_ins_have_a_column_each() -> None:
    evidence = [
        shows("role efa", systems=["debian12"]),
        shows("role efa", "launcher", systems=["amazon2023"], state="stand-in"),
    ]
    page = support_page.page(files(molecule=evidence))
    assert row(page, "`efa`") == [
        "Debian 12",
        "Amazon Linux 2023",
        "written for Debian 13, Ubuntu 22.04",
        "molecule",
    ]
    assert row(page, "launcher")[:2] == ["–", "Amazon Linux 2023"]


def test_what_is_rendered_did_not_run() -> None:
    evidence = [
        shows("role efa", systems=["arm64"], state="rendered"),
        shows("rendering", systems=["x"], state="rendered"),
    ]
    page = support_page.page(files(golden=evidence))
    assert row(page, "rendering") == ["–", "–", "rendered for x", "golden"]
    assert row(page, "`efa`")[:2] == ["–", "–"]
    assert row(page, "`efa`")[2].startswith("rendered for arm64; written for Debian 12, ")


def test_notes_of_one_system_stand_together_and_rows_of_evidence_are_named_once() -> None:
    page = support_page.page(
        files(
            a=[shows("launcher", systems=["one GPU"], note="ddp"), shows("launcher", systems=["one GPU"], note="jax")],
            b=[shows("launcher", systems=["one GPU", "two GPUs"])],
        )
    )
    assert row(page, "launcher") == ["one GPU (ddp; jax); two GPUs", "–", "not yet on a moon", "a, b"]


def test_the_systems_of_a_role_are_in_the_catalogues_order() -> None:
    evidence = [shows("role efa", systems=["debian13", "debian12"])]
    assert row(support_page.page(files(z=evidence)), "`efa`")[0] == "Debian 12; Debian 13"


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (shows("lancher", systems=["x"]), "'lancher' is no subject of data/support.yml, and no role"),
        (shows("role eva", systems=["debian12"]), "'role eva' is no subject"),
        (shows("role efa", systems=["debian 12"]), "system 'debian 12' of role efa is none of debian12, "),
    ],
)
def test_a_slip_in_a_name_is_told_with_its_place(shown: dict[str, Any], said: str) -> None:
    [(path, what)] = support_page.unknown(files(slip=[shown]))
    assert path == "evidence/slip.json"
    assert said in what


def test_a_role_without_platforms_prepares_no_node() -> None:
    page = support_page.page({**files(), "roles/inner/meta/main.yml": "galaxy_info: {description: x}"})
    assert "`inner`" not in page


@pytest.mark.parametrize("role", sorted(path.parent.parent.name for path in support.ROOT.glob("roles/*/meta/main.yml")))
def test_no_role_is_written_for_a_system_on_which_no_stack_has_its_components(role: str) -> None:
    document = controller.read_catalogue("stack")
    meta = {f"roles/{role}/meta/main.yml": (support.ROOT / f"roles/{role}/meta/main.yml").read_text()}
    needed = set(scenarios.components_of(role))
    for system in support_page.platforms(meta).get(role, []):
        assert any(needed <= set(catalogue.chosen(document, stack, system, "x86_64")) for stack in document["stacks"])
