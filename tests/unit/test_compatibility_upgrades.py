# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What may be upgraded, and what comes with it: over a small catalogue, then over the real one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import (
    catalogue,
    compatibility_upgrades,
    controller,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility import (
    accepted,
    judge,
    meant_for,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import Platform
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_upgrades import (
    Shelf,
    Upgrade,
    shelf,
    upgrades,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.tests.unit.solver_examples import CONSTRAINTS, TYPES

P5 = Platform("ubuntu2204", "x86_64", kernel="6.8.0-1066-aws", instance_type="p5.48xlarge")
B200 = replace(P5, instance_type="p6-b200.48xlarge")
SHELF = Shelf(
    {
        "nvidia_driver": ("595.91.07", "580.173.02", "570.211.01"),
        "nvidia_fabricmanager": ("595.91.07", "580.173.02", "570.211.01"),
        "nvlsm": ("2025.10.14",),
        "cuda": ("13.0.2", "12.9.1"),
        "nccl": ("2.31.2", "2.30.4", "2.28.9", "2.27.7"),
        "aws_ofi_nccl": ("1.21.1", "1.20.0"),
        "gdrcopy": ("2.5.2", "2.5"),
        "efa": ("1.50.0", "1.46.0", "1.43.2"),
    },
    {
        "efa": {
            "1.50.0": {"aws_ofi_nccl": "1.21.1", "efa_driver": "3.3.0", "libfabric": "2.6.0amzn1.0"},
            "1.46.0": {
                "aws_ofi_nccl": "1.17.2",
                "efa_driver": "2.17.3",
                "libfabric": "2.3.1amzn4.0",
                "rdma_core": "60",
            },
            "1.43.2": {
                "aws_ofi_nccl": "1.16.3",
                "efa_driver": "2.17.2",
                "libfabric": "2.1.0amzn5.0",
                "rdma_core": "58",
            },
        }
    },
)
OLD = {
    "nvidia_driver": "570.211.01",
    "nvidia_fabricmanager": "570.211.01",
    "cuda": "12.9.1",
    "gdrcopy": "2.5",
    "efa": "1.43.2",
    **SHELF.bundles["efa"]["1.43.2"],
}


def asked(component: str, chosen: Mapping[str, str] = OLD, platform: Platform = P5, **more: Any) -> list[Upgrade]:
    return upgrades(chosen, platform, component, CONSTRAINTS, TYPES, SHELF, **more)


def brief(one: Upgrade) -> tuple[str, dict[str, str]]:
    return one.then, {name: then for name, _, then in one.moves}


def test_a_driver_brings_its_fabric_manager_and_an_efa_that_knows_its_branch() -> None:
    newest, middle = asked("nvidia_driver")
    assert brief(newest) == ("595.91.07", {"nvidia_fabricmanager": "595.91.07", "efa": "1.50.0"})
    assert brief(middle) == ("580.173.02", {"nvidia_fabricmanager": "580.173.02", "efa": "1.50.0"})
    assert ("efa_driver", "2.17.2", "3.3.0") in newest.carried
    assert ("rdma_core", "58", "not stated") in newest.carried


def test_a_toolkit_brings_driver_gdrcopy_and_plugin() -> None:
    [found] = asked("cuda")
    assert found.then == "13.0.2"
    assert {name for name, *_ in found.moves} == {"nvidia_driver", "nvidia_fabricmanager", "gdrcopy", "efa"}


def test_what_goes_alone_moves_nothing_else() -> None:
    [found] = asked("gdrcopy")
    assert brief(found) == ("2.5.2", {})
    assert found.accepted


def test_one_version_may_be_asked_for_older_ones_too() -> None:
    chosen = {
        **OLD,
        "nvidia_driver": "580.173.02",
        "nvidia_fabricmanager": "580.173.02",
        "cuda": "13.0.2",
        "efa": "1.46.0",
    }
    chosen.update({**SHELF.bundles["efa"]["1.46.0"], "gdrcopy": "2.5.2"})
    [found] = asked("nvidia_driver", chosen, to="570.211.01")
    assert brief(found) == ("570.211.01", {"nvidia_fabricmanager": "570.211.01", "cuda": "12.9.1"})


def test_a_version_of_its_own_is_not_carried_by_the_bundle() -> None:
    chosen = {**OLD, "aws_ofi_nccl": "1.20.0"}
    [found] = asked("efa", chosen, to="1.50.0")
    assert "aws_ofi_nccl" not in {name for name, *_ in found.carried}


def test_what_is_built_stays_although_the_installer_has_the_same_inside() -> None:
    [found] = asked("efa", {**OLD, "nccl": "2.27.7"}, to="1.50.0", own={"aws_ofi_nccl"})
    assert "libfabric" in {name for name, *_ in found.carried}
    assert "aws_ofi_nccl" not in {name for name, *_ in found.carried}


def test_what_is_inside_and_not_for_the_node_stays_away() -> None:
    chosen = {"efa": "1.46.0", "efa_driver": "2.17.3", "libfabric": "2.3.1amzn4.0"}
    [found] = asked("efa", chosen, replace(P5, instance_type=None, accelerator="neuron"))
    assert {name for name, *_ in found.carried} == {"efa_driver", "libfabric"}


def test_a_rule_that_nothing_in_the_catalogue_meets_is_the_explanation() -> None:
    chosen = {"nvidia_driver": "580.173.02", "image_cuda": "11.8", "cuda": "12.9.1"}
    platform = replace(P5, instance_type="p3.16xlarge", settings={"modules": "proprietary"})
    [found] = asked("cuda", chosen, platform)
    assert not found.accepted
    assert found.exhausted
    assert {finding.rule for finding in found.refusals} == {"R24"}


def test_what_is_missing_is_added() -> None:
    chosen = {"nvidia_driver": "580.173.02", "nvidia_fabricmanager": "580.173.02"}
    [found] = asked("nvidia_driver", chosen, B200)
    assert ("nvlsm", None, "2025.10.14") in found.moves


def test_a_stated_kernel_does_not_move() -> None:
    offered = Shelf({"gdrcopy": ("2.5", "2.4.4"), "kernel": ("6.1",)})
    chosen = {"gdrcopy": "2.4.4"}
    found = upgrades(chosen, replace(P5, kernel="6.17"), "gdrcopy", CONSTRAINTS, TYPES, offered)
    assert [one.accepted for one in found] == [False]
    found = upgrades({**chosen, "kernel": "6.17"}, replace(P5, kernel=None), "gdrcopy", CONSTRAINTS, TYPES, offered)
    assert [brief(one) for one in found] == [("2.5", {"kernel": "6.1"})]


def test_the_kernel_itself_may_be_asked_for() -> None:
    offered = Shelf({"gdrcopy": ("2.6", "2.5"), "kernel": ("6.17", "6.8")})
    found = upgrades({"gdrcopy": "2.5"}, replace(P5, kernel="6.8"), "kernel", CONSTRAINTS, TYPES, offered)
    assert [brief(one) for one in found] == [("6.17", {"gdrcopy": "2.6"})]


def test_slurm_is_taken_to_run_in_the_version_that_it_has() -> None:
    offered = Shelf({"slurm": ("26.05.4", "25.05.9", "24.05.3")})
    found = upgrades({"slurm": "24.05.3"}, P5, "slurm", CONSTRAINTS, TYPES, offered)
    assert [(one.then, one.accepted) for one in found] == [("26.05.4", False), ("25.05.9", True)]
    assert "25.05.x" in found[0].refusals[0].fix


def test_new_warnings_come_with_an_upgrade_and_old_ones_do_not() -> None:
    chosen = {"nccl": "2.27.7", "aws_ofi_nccl": "1.21.1", "nvidia_driver": "570.211.01"}
    by_version = {one.then: one for one in asked("nccl", chosen, replace(P5, instance_type=None))}
    assert [finding.rule for finding in by_version["2.31.2"].warnings] == []
    assert [finding.rule for finding in by_version["2.30.4"].warnings] == ["R27"]


@pytest.mark.parametrize(
    ("component", "more", "message"),
    [
        ("nvidia_drivr", {}, "component 'nvidia_drivr' is not in this set; fix: did you mean nvidia_driver?"),
        ("libfabric", {}, "libfabric comes inside of efa 1.43.2 only; fix: ask what efa may be"),
        (
            "cuda",
            {"to": "14.0"},
            "cuda 14.0 is not in the catalogue for ubuntu2204, x86_64; fix: did you mean 13.0.2?",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(component: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError) as refused:
        asked(component, **more)
    assert str(refused.value).startswith(message)


def test_a_search_that_ends_early_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compatibility_upgrades, "MOST_JUDGED", 3)
    found = asked("cuda")[0]
    assert not found.accepted
    assert not found.exhausted


@pytest.mark.parametrize("component", ["nvidia_driver", "cuda", "efa"])
def test_no_smaller_set_of_moves_would_do(component: str) -> None:
    """Against all sets of moves, smallest first, in a catalogue that is small enough for that."""
    names = [name for name in SHELF.versions if name in OLD and name != component]
    for found in asked(component):
        fewest = None
        for size in range(len(names) + 1):
            for group in itertools.combinations(names, size):
                options = [[text for text in SHELF.versions[name] if text != OLD[name]] for name in group]
                for texts in itertools.product(*options):
                    moves = {component: found.then, **dict(zip(group, texts))}
                    chosen = compatibility_upgrades._Search(dict(OLD), P5, CONSTRAINTS, TYPES, SHELF).moved(moves)
                    if fewest is None and accepted(judge(chosen, P5, CONSTRAINTS, TYPES)):
                        fewest = size
        assert fewest is not None
        assert len(found.moves) == fewest


STACK = controller.read_catalogue("stack")
REAL = Platform("ubuntu2204", "x86_64", instance_type="p5.48xlarge")
REAL_SET = meant_for(catalogue.chosen(STACK, "long_term", "ubuntu2204", "x86_64"), REAL, CONSTRAINTS, TYPES)
REAL_SHELF = shelf(STACK, "ubuntu2204", "x86_64")


@pytest.mark.parametrize("component", sorted(set(REAL_SET) & set(REAL_SHELF.versions)))
def test_what_the_answer_says_is_accepted_and_is_the_same_every_time(component: str) -> None:
    found = upgrades(REAL_SET, REAL, component, CONSTRAINTS, TYPES, REAL_SHELF)
    assert found == upgrades(dict(reversed(REAL_SET.items())), REAL, component, CONSTRAINTS, TYPES, REAL_SHELF)
    for one in found:
        after = dict(REAL_SET)
        for name, _, then in (*one.moves, *one.carried, (component, None, one.then)):
            after[name] = then
            if then == "not stated":
                del after[name]
        assert accepted(judge(after, REAL, CONSTRAINTS, TYPES)) == one.accepted


def test_every_driver_of_the_catalogue_brings_what_goes_with_it() -> None:
    found = upgrades(REAL_SET, REAL, "nvidia_driver", CONSTRAINTS, TYPES, REAL_SHELF)
    assert found
    for one in found:
        assert {name for name, *_ in one.moves} == {"nvidia_fabricmanager", "nvidia_imex", "nvidia_persistenced"}
        assert {then for *_, then in one.moves} == {one.then}


def test_the_shelf_has_what_an_os_and_architecture_can_get() -> None:
    document = {
        "components": {
            "docker": {
                "versions": {
                    "29.8.1": {"repositories": [{"os": ["ubuntu2204"]}]},
                    "25.0.16": {"system": [{"os": ["amazon2023"]}]},
                }
            },
            "efa": {"versions": {"1.50.0": {"files": [{"arch": ["x86_64"]}], "bundles": {"libfabric": "2.6.0"}}}},
        }
    }
    assert shelf(document, "ubuntu2204", "aarch64") == Shelf({"docker": ("29.8.1",)}, {})
    offered = shelf(document, "amazon2023", "x86_64")
    assert offered.versions == {"docker": ("25.0.16",), "efa": ("1.50.0",)}
    assert offered.known()["libfabric"] == ["2.6.0"]
