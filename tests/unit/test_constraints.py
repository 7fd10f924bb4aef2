# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""data/constraints.yml: it is whole, it speaks of what there is, and each of its rules decides both ways."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility import (
    accepted,
    inconsistencies,
    judge,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_rules import FORMS
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import (
    Platform,
    checked,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_versions import version_range
from ansible_collections.awsome.distributed_training.plugins.module_utils.jsonschema_subset import validate
from ansible_collections.awsome.distributed_training.tests.unit.solver_examples import (
    CONSTRAINTS,
    EXAMPLES,
    TYPES,
    judged,
    read,
    verdicts,
)

STACK = controller.read_catalogue("stack")
SCHEMA = controller.schema("constraints")
WARNED = {"K20", "K26", "K45", "K47"}
FOR_NODES = {"K37", "K39", "K40", "K41"}
SETS = [
    pytest.param(case, about, one, id=f"{case}-{index}")
    for case, about in CONSTRAINTS["known_bad"].items()
    for index, one in enumerate(about["sets"], 1)
]


def test_every_rule_of_the_facts_is_decided_or_said_not_to_be() -> None:
    since = {"R77"}
    rules = {f"R{number:02d}" for number in range(1, 77)} | since
    decided = {rule for rule in CONSTRAINTS["rules"] if rule.startswith("R")}
    assert decided | set(CONSTRAINTS["not_decided"]) == rules
    assert not decided & set(CONSTRAINTS["not_decided"])


def test_every_known_bad_set_of_the_facts_is_there() -> None:
    missing = {3, 5, 8, 12, 15, 22, 30, 35, 36, 42}
    assert set(CONSTRAINTS["known_bad"]) == {f"K{n:02d}" for n in range(1, 48) if n not in missing}


def test_the_known_bad_sets_are_expected_as_the_project_decided() -> None:
    expected = {case: about["expect"] for case, about in CONSTRAINTS["known_bad"].items()}
    assert {case for case, verdict in expected.items() if verdict == "warn"} == WARNED
    assert {case for case, verdict in expected.items() if verdict == "check"} == FOR_NODES
    assert {case for case, verdict in expected.items() if verdict == "refuse"} == set(expected) - WARNED - FOR_NODES


def test_it_speaks_of_components_systems_and_settings_that_there_are() -> None:
    inside = {
        name
        for about in STACK["components"].values()
        for entry in about["versions"].values()
        for name in entry.get("bundles", {})
    }
    assert inconsistencies(CONSTRAINTS, {*STACK["components"], *inside}, TYPES["accelerators"]) == []


def test_what_is_observed_is_no_component_of_the_stack() -> None:
    assert not set(CONSTRAINTS["observed"]) & set(STACK["components"])


def test_every_accelerator_of_the_types_is_known_to_the_rules() -> None:
    gpus = {model for model, about in TYPES["accelerators"].items() if about["kind"] == "cuda"}
    assert gpus <= set(CONSTRAINTS["gpus"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d["rules"]["R20"]["clauses"][0]["within"].update(nvidia_drver=">=1"), "component 'nvidia_drver'"),
        (lambda d: d["rules"]["R04"]["clauses"][0]["when"].update(group="nvswich"), "group 'nvswich'"),
        (lambda d: d["rules"]["R48"]["clauses"][0]["when"].update(os=["ubuntu"]), "OS 'ubuntu'"),
        (lambda d: d["rules"]["R11"]["clauses"][0]["when"].update(models=["H20"]), "model 'H20'"),
        (lambda d: d["rules"]["R08"]["clauses"][0]["setting"].update(modules=["closed"]), "modules=closed"),
        (lambda d: d["rules"]["R11"]["clauses"][0]["when"]["settings"].update(moduls=["open"]), "moduls=open"),
        (lambda d: d["rules"]["R01"]["clauses"][0].update(verdict="check"), "verdict check and form node go together"),
        (lambda d: d["known_bad"]["K01"]["sets"][0].update(by=["R99"]), "there is no rule R99"),
        (lambda d: d["known_bad"]["K01"]["sets"][0]["versions"].update(nvidia="1"), "component 'nvidia'"),
        (lambda d: d["left_out"][0].update(os=["debian"]), "OS 'debian'"),
        (lambda d: d["only_on"]["cuda"].append("cudda"), "component 'cudda'"),
        (lambda d: d["settings"]["gin"].update(default="no"), "gin=no"),
    ],
)
def test_a_slip_in_a_name_is_found(change: Any, problem: str) -> None:
    document = copy.deepcopy(CONSTRAINTS)
    change(document)
    found = inconsistencies(document, STACK["components"], TYPES["accelerators"])
    assert any(problem in line for line in found), found


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: d["rules"]["R01"].pop("fact_source"), "rules.R01.fact_source"),
        (lambda d: d["rules"]["R01"].update(mark="guessed"), "rules.R01.mark"),
        (lambda d: d["rules"]["R01"]["clauses"][0].update(verdict="forbid"), "rules.R01.clauses[0].verdict"),
        (lambda d: d["rules"]["R01"]["clauses"][0].pop("same"), "rules.R01.clauses[0]"),
        (lambda d: d["rules"]["R01"]["clauses"][0].update(node="two forms"), "rules.R01.clauses[0]"),
        (lambda d: d["rules"]["R20"]["clauses"][0]["within"].update(nvidia_driver="580"), "nvidia_driver"),
        (lambda d: d["rules"]["R20"]["clauses"][0]["when"].update(kernels=["6"]), "when.kernels"),
        (lambda d: d["rules"].update(X01=d["rules"]["R01"]), "rules.X01"),
        (lambda d: d["known_bad"]["K01"].update(expect="maybe"), "known_bad.K01.expect"),
        (lambda d: d["known_bad"]["K01"]["sets"][0].pop("by"), "known_bad.K01.sets[0].by"),
    ],
)
def test_the_schema_refuses(change: Any, where: str) -> None:
    document = copy.deepcopy(CONSTRAINTS)
    change(document)
    problems = validate(document, SCHEMA, "constraints.yml")
    assert problems
    assert where in str(problems[0])


def test_every_form_is_used_and_has_its_place_in_the_schema() -> None:
    used = {
        form
        for about in CONSTRAINTS["rules"].values()
        for clause in about["clauses"]
        for form in FORMS
        if form in clause
    }
    assert used == set(FORMS)
    assert {form["required"][0] for form in SCHEMA["$defs"]["clause"]["oneOf"]} == set(FORMS)


def test_no_clause_stands_twice() -> None:
    clauses = [repr(clause) for about in CONSTRAINTS["rules"].values() for clause in about["clauses"]]
    assert len(set(clauses)) == len(clauses)


@pytest.mark.parametrize(("case", "about", "one"), SETS)
def test_a_known_bad_set_is_decided_as_expected(case: str, about: dict[str, Any], one: dict[str, Any]) -> None:
    platform = checked(
        Platform(**{"os": "ubuntu2204", "arch": "x86_64", **one.get("platform", {})}), CONSTRAINTS, TYPES
    )
    findings = judge(one["versions"], platform, CONSTRAINTS, TYPES)
    said = {finding.rule for finding in findings if finding.verdict == about["expect"]}
    assert set(one["by"]) <= said
    assert accepted(findings) == (about["expect"] != "refuse")


def test_each_rule_has_an_example() -> None:
    assert [rule for rule, *_ in EXAMPLES] == list(CONSTRAINTS["rules"])


@pytest.mark.parametrize(("rule", "verdict", "bad", "well"), EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_a_rule_decides_both_ways(rule: str, verdict: str, bad: str, well: str) -> None:
    assert verdict in verdicts(bad, rule)
    assert verdict not in verdicts(well, rule)


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("R46", "efa_driver=2.11.0 @kernel=6.11"),
        ("R46", "efa_driver=2.15.1 @kernel=4.13"),
        ("R48", "efa=1.32.0 @os=ubuntu2404"),
        ("R48", "efa=1.24.0 @os=amazon2023"),
        ("R48", "efa=1.51.0 @os=debian11"),
        ("R33", "aws_ofi_nccl=1.14.2 @type=p6-b200.48xlarge"),
        ("R33", "aws_ofi_nccl=1.17.1 @type=g7e.48xlarge"),
        ("R33", "aws_ofi_nccl=1.18.0 @model=GB200 %container=privileged"),
        ("R38", "efa=1.39.0 @arch=aarch64 %plugin_from=installer"),
        ("R55", "gdrcopy=2.4.1 nvidia_driver=580.173.02"),
        ("R55", "gdrcopy=2.5 cuda=13.0.2"),
        ("R55", "gdrcopy=2.5 @type=p6-b200.48xlarge"),
        ("R20", "cuda=12.9.1 nvidia_driver=470.256.02"),
        ("R29", "cuda=12.9.1 image_cuda=13.0 aws_ofi_nccl=1.17.0"),
        ("R43", "nccl=2.31.2 aws_ofi_nccl=1.20.0 gdrcopy=2.5.2 %gin=proxy"),
        ("R43", "nccl=2.31.2 libfabric=2.6.0amzn1.0 gdrcopy=2.5.2 %gin=gda @type=p5.48xlarge $NCCL_GIN_TYPE=5"),
        ("R43", "nccl=2.31.2 aws_ofi_nccl=1.21.1 %gin=proxy"),
        ("R44", "nvidia_driver=580.173.02 efa_driver=2.5.0 %modules=open"),
        ("R45", "efa_driver=2.17.2 @kernel=6.17"),
        ("R51", "libfabric=2.6.0amzn1.0 aws_ofi_nccl=1.21.1 $FI_EFA_USE_DEVICE_RDMA=1"),
        ("R51", "efa=1.50.0 $FI_EFA_FORK_SAFE=1 @kernel=6.8.0-1066-aws"),
        ("R65", "slurm=25.05.9 ^slurm=25.11.8"),
        ("R69", "enroot=4.1.2 nvidia_driver=580.173.02 @type=p5.48xlarge"),
        ("R71", "neuron_dkms=2.29.0.0 @type=inf1.24xlarge"),
        ("R73", "efa=1.50.0 neuron_sdk=2.2 @type=inf1.24xlarge"),
        ("R11", "nvidia_driver=575.64.05 @type=p6-b300.48xlarge %modules=open"),
        ("R59", "dcgm=3.3.9 @type=p6-b200.48xlarge"),
    ],
)
def test_what_follows_from_the_rules_is_refused(rule: str, bad: str) -> None:
    assert "refuse" in verdicts(bad, rule)
    assert not accepted(judged(bad))


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("R21", "cuda=12.9.1 nvidia_driver=570.211.01"),
        ("R28", "nccl=2.30.7-1 aws_ofi_nccl=1.19.0"),
        ("R34", "nccl=2.18.3 @type=p5.48xlarge"),
        ("R47", "efa_nv_peermem=1.2.3"),
        ("R66", "slurm=24.11.5"),
        ("R66", "parallelcluster=3.16.0 %cluster=parallelcluster"),
        ("R74", "nvidia_driver=595.91.07 %cluster=eks"),
        ("R18", "nvidia_driver=580.159.03 @kernel=7.0"),
        ("K19", "nvidia_container_toolkit=1.18.1 %image_mode=legacy"),
        ("K23", "nccl=2.28.9 aws_ofi_nccl=1.18.0 libfabric=2.3.1 @type=p5.48xlarge"),
        ("K24", "nccl=2.28.9 aws_ofi_nccl=1.17.2 libfabric=2.1.0amzn5.0"),
    ],
)
def test_what_was_not_tested_or_runs_worse_is_warned_of(rule: str, bad: str) -> None:
    assert verdicts(bad, rule) == {"warn"}


@pytest.mark.parametrize(
    ("taken", "words", "rule", "verdict"),
    [
        ("595 on GB200 is warned of", "nvidia_driver=595.91.07 efa=1.50.0 @model=GB200", "R14", {"warn"}),
        ("V100 takes no open module", "nvidia_driver=595.91.07 @type=p3.16xlarge %modules=open", "R08", {"refuse"}),
        ("the plugin on AWS takes libfabric 1.22", "aws_ofi_nccl=1.19.0 libfabric=1.18.0", "R30", {"refuse"}),
        ("and 1.22 will do", "aws_ofi_nccl=1.19.0 libfabric=1.22.0", "R30", set()),
    ],
)
def test_contradictions_are_decided_as_taken(taken: str, words: str, rule: str, verdict: set[str]) -> None:
    assert verdicts(words, rule) == verdict


def test_a_finding_names_sides_reason_source_and_fix() -> None:
    for _, _, bad, _ in EXAMPLES:
        for finding in judged(bad):
            assert all((*finding.sides, finding.reason, finding.source, finding.fix)), finding
            assert finding.mark in ("seen", "inferred")
            assert "\n" not in str(finding)


def test_a_refusal_names_the_versions_of_both_sides() -> None:
    versions, platform = read("nccl=2.28.9-1 aws_ofi_nccl=1.17.1")
    known = {"aws_ofi_nccl": ["1.17.2", "1.18.0"], "nccl": ["2.28.9-1", "2.27.5-1", "2.29.2-1"]}
    [finding] = [f for f in judge(versions, platform, CONSTRAINTS, TYPES, known) if f.verdict == "refuse"]
    assert finding.sides == ("aws_ofi_nccl 1.17.1", "nccl 2.28.9-1")
    assert finding.fix == (
        "aws_ofi_nccl 1.17.2 or newer (catalogue: 1.18.0, 1.17.2), "
        "or nccl other than 2.28.x (catalogue: 2.29.2-1, 2.27.5-1)"
    )
    assert re.match(r"R28: aws_ofi_nccl 1.17.1 against nccl 2.28.9-1: .* \[aws/aws-ofi-nccl .*\] fix: ", str(finding))


@pytest.mark.parametrize("written", ["580", "=>580", "~580", "2.28.x", "*", ">=1.13,<1.22", ""])
def test_the_schema_refuses_what_the_solver_cannot_read(written: str) -> None:
    document = copy.deepcopy(CONSTRAINTS)
    document["rules"]["R12"]["clauses"][0]["within"]["nvidia_driver"] = written
    assert "nvidia_driver" in str(validate(document, SCHEMA, "constraints.yml")[0])
    with pytest.raises(ValueError, match="is no condition"):
        version_range(written or "''")


def test_the_solver_reads_every_range_that_the_schema_lets_through() -> None:
    ranges = [
        wanted
        for about in CONSTRAINTS["rules"].values()
        for clause in about["clauses"]
        for wanted in (*clause.get("within", {}).values(), *clause.get("when", {}).get("versions", {}).values())
    ]
    assert len(ranges) > 150
    for wanted in ranges:
        assert version_range(wanted).words()
