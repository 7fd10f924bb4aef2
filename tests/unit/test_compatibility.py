# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The solver over both shipped stacks: accepted as they are, and refused by name when one version is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility import (
    Finding,
    accepted,
    host_architecture,
    judge,
    meant_for,
    missing_omissions,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import (
    Platform,
    Subject,
    checked,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_upgrades import shelf
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.tests.unit.solver_examples import (
    CONSTRAINTS,
    TYPES,
    judged,
    read,
    verdicts,
)

STACK = controller.read_catalogue("stack")
SHIPPED = [
    pytest.param(stack, os, name, id=f"{stack}-{os}-{name}")
    for stack in STACK["stacks"]
    for os in catalogue.SYSTEMS
    for name in TYPES["instance_types"]
]
BASES = [
    pytest.param(stack, platform, id=f"{stack}-{platform.os}-{platform.instance_type or platform.accelerator}")
    for stack in STACK["stacks"]
    for platform in (
        Platform("ubuntu2204", "x86_64", instance_type="p5.48xlarge"),
        Platform("ubuntu2404", "x86_64", instance_type="p6-b200.48xlarge"),
        Platform("amazon2023", "x86_64", instance_type="p4d.24xlarge"),
        Platform("debian12", "x86_64", instance_type="p5en.48xlarge", settings={"plugin_from": "own_build"}),
        Platform("ubuntu2204", "x86_64", accelerator="neuron"),
    )
]
LOCKSTEP = {
    "nvidia_driver": "R01",
    "nvidia_fabricmanager": "R01",
    "nvidia_imex": "R02",
    "nvidia_persistenced": "R02",
    "neuron_dkms": "R70",
    "neuron_runtime": "R70",
    "neuron_collectives": "R70",
    "neuron_tools": "R70",
}
"""Components that go with others, and the rule that says so: any other version of theirs alone is refused."""


def ship(stack: str, platform: Platform) -> dict[str, str]:
    """What a stack brings to a platform."""
    return meant_for(catalogue.chosen(STACK, stack, platform.os, platform.arch), platform, CONSTRAINTS, TYPES)


def says(chosen: Mapping[str, str], platform: Platform) -> list[Finding]:
    return judge(chosen, platform, CONSTRAINTS, TYPES)


@pytest.mark.parametrize(("stack", "os", "name"), SHIPPED)
def test_a_shipped_stack_is_accepted_everywhere(stack: str, os: str, name: str) -> None:
    platform = Platform(os, host_architecture(name, CONSTRAINTS, TYPES), instance_type=name)
    refused = [str(finding) for finding in says(ship(stack, platform), platform) if finding.verdict == "refuse"]
    assert refused == []


@pytest.mark.parametrize(
    ("stack", "os", "component"),
    [
        *((stack, os, "lustre_client") for stack in STACK["stacks"] for os in ("debian12", "debian13")),
        ("newest", "ubuntu2404", "lustre_client"),
        *((stack, "amazon2023", "pytorch_neuron") for stack in STACK["stacks"]),
        *((stack, "debian13", "cuda") for stack in STACK["stacks"]),
        *((stack, "debian13", "nvidia_driver") for stack in STACK["stacks"]),
        *((stack, "debian13", "nvidia_fabricmanager") for stack in STACK["stacks"]),
    ],
)
def test_what_the_facts_do_not_have_is_left_out_by_name(stack: str, os: str, component: str) -> None:
    assert component not in catalogue.chosen(STACK, stack, os, "x86_64")
    assert catalogue.left_out(STACK, stack, os, "x86_64")[component]


@pytest.mark.parametrize("stack", STACK["stacks"])
@pytest.mark.parametrize("os", catalogue.SYSTEMS)
def test_no_expected_omission_is_missing(stack: str, os: str) -> None:
    chosen, without = catalogue.chosen(STACK, stack, os, "x86_64"), catalogue.left_out(STACK, stack, os, "x86_64")
    assert missing_omissions(CONSTRAINTS, chosen, without, Platform(os, "x86_64")) == []


@pytest.mark.parametrize(
    ("chosen", "without", "os", "missing"),
    [
        ({"lustre_client": "2.15.6"}, {}, "debian12", "lustre_client"),
        ({"kernel": "7.0.0-1014-aws"}, {}, "ubuntu2404", "lustre_client"),
        ({"pytorch_neuron": "2.9.0"}, {}, "amazon2023", "pytorch_neuron"),
        ({"nvidia_driver": "595.91.07"}, {"lustre_client": "R54"}, "debian13", "nvidia_driver"),
    ],
)
def test_a_missing_omission_is_named(chosen: dict[str, str], without: dict[str, str], os: str, missing: str) -> None:
    lines = missing_omissions(CONSTRAINTS, chosen, without, Platform(os, "x86_64"))
    assert any(line.startswith(f"{missing} on {os} is not left out by name") for line in lines)


def test_what_a_kernel_can_have_need_not_be_left_out() -> None:
    chosen = {"kernel": "6.8.0-1057-aws", "lustre_client": "2.15.6"}
    assert missing_omissions(CONSTRAINTS, chosen, {}, Platform("ubuntu2404", "x86_64")) == []


@pytest.mark.parametrize(("stack", "platform"), BASES)
def test_one_other_version_of_the_catalogue_is_refused_by_its_name(stack: str, platform: Platform) -> None:
    base = ship(stack, platform)
    assert accepted(says(base, platform))
    offered = shelf(STACK, platform.os, platform.arch).known()
    refused = 0
    for component, now in base.items():
        for other in offered.get(component, []):
            if other == now:
                continue
            findings = [f for f in says({**base, component: other}, platform) if f.verdict == "refuse"]
            refused += bool(findings)
            for finding in findings:
                # the set was accepted before: whatever is refused now, this version is a side of it
                assert f"{component} {other}" in " ".join(finding.sides), finding
            if component in LOCKSTEP:
                assert LOCKSTEP[component] in {finding.rule for finding in findings}, (component, other)
    assert refused >= 8


@pytest.mark.parametrize(("stack", "platform"), BASES)
def test_one_component_less_is_refused_by_its_name(stack: str, platform: Platform) -> None:
    base = ship(stack, platform)
    needed: dict[str, set[str]] = {}
    for component in base:
        less = {name: version for name, version in base.items() if name != component}
        for finding in says(less, platform):
            if finding.verdict == "refuse":
                needed.setdefault(component, set()).add(finding.rule)
                assert f"no {component}" in finding.sides[0]
    expected: dict[str, set[str]] = {"enroot": {"R63"}}
    if "nvidia_driver" in base:
        expected["nvidia_container_toolkit"] = {"R69"}
        expected["nvidia_fabricmanager"] = {"R04"}
    if "b200" in (platform.instance_type or ""):
        expected["nvlsm"] = {"R05"}
    assert needed == expected


def just_outside(wanted: str) -> Iterator[str]:
    """Versions that break a range of one alternative by one step; read from the text, not by the solver."""
    for term in wanted.split():
        numbers = re.fullmatch(r"(!?)(>=|<=|>|<|=)?([0-9]+(?:\.[0-9]+)*)(amzn[0-9.]+)?(\.\*)?", term)
        if numbers is None:
            continue
        negated, sign, release, suffix, prefix = numbers.groups()
        parts = [int(part) for part in release.split(".")]
        if prefix and not negated:
            yield ".".join(str(part) for part in (*parts[:-1], parts[-1] + 1))
        elif negated or sign in ("<", ">"):
            yield release + (suffix or "")
        elif sign == ">=":
            yield f"{'.'.join(map(str, before(parts)))}.9999"


def before(parts: list[int]) -> list[int]:
    """The release before: 1.22.0 gives 1.21, 13.0 gives 12, 580 gives 579."""
    parts = list(parts)
    while parts[-1] == 0:
        parts.pop()
    return [*parts[:-1], parts[-1] - 1]


@pytest.mark.parametrize(("stack", "platform"), BASES)
def test_one_version_just_outside_of_a_bound_is_named_by_the_rule(stack: str, platform: Platform) -> None:
    base = ship(stack, platform)
    counts = {"refuse": 0, "warn": 0}
    for rule, about in CONSTRAINTS["rules"].items():
        for clause in about["clauses"]:
            for component, wanted in clause.get("within", {}).items():
                if component not in base or "|" in wanted:
                    continue
                for outside in just_outside(wanted):
                    there = {**base, component: outside}
                    subject = Subject(there, platform, CONSTRAINTS, TYPES)
                    if subject.holds(clause.get("when")) is not True or subject.holds(clause.get("unless", {"os": []})):
                        continue
                    named = [
                        finding
                        for finding in says(there, platform)
                        if finding.rule == rule and finding.verdict == clause["verdict"]
                    ]
                    assert any(finding.sides[0] == f"{component} {outside}" for finding in named), (rule, outside)
                    counts[clause["verdict"]] += 1
    assert counts["refuse"] >= (4 if platform.accelerator == "neuron" else 15), counts
    assert counts["warn"] >= 2, counts


def test_a_condition_on_what_is_not_known_makes_a_check() -> None:
    bad = "nvidia_driver=535.183.01 efa=1.38.0 %modules=proprietary @type=p5.48xlarge"
    assert verdicts(bad, "R44") == {"check"}
    assert verdicts(f"{bad} %kernel_gpl_symbols=changed", "R44") == {"refuse"}
    assert verdicts(f"{bad} %kernel_gpl_symbols=unchanged", "R44") == set()
    [finding] = [f for f in judged(bad) if f.rule == "R44"]
    assert finding.reason.startswith("not known here: setting kernel_gpl_symbols. ")


@pytest.mark.parametrize(
    ("words", "rule", "unknown"),
    [
        ("nvidia_driver=580.173.02", "R04", "instance type"),
        ("gdrcopy=2.3", "R55", "version of kernel"),
        ("nccl=2.24.3", "R35", "accelerator"),
        ("slurm=25.11.8", "R67", "setting cgroup"),
        ("parallelcluster=3.16.0", "R66", "setting cluster"),
        ("nccl=2.28.9 aws_ofi_nccl=main-2025-11", "R28", "how aws_ofi_nccl main-2025-11 compares"),
        ("libfabric=2.4.0 libfabric_at_build=2.6.0_RC", "R31", "how libfabric 2.4.0 compares"),
        ("nccl=2.31.2 gdrcopy=2.6 %gin=gda @type=p5en.48xlarge", "R43", "the job's NCCL_GIN_TYPE"),
    ],
)
def test_what_is_not_known_is_named(words: str, rule: str, unknown: str) -> None:
    findings = [finding for finding in judged(words) if finding.rule == rule]
    assert any(f"not known here: {unknown}" in finding.reason for finding in findings), findings
    assert accepted(findings)


def test_what_is_not_known_says_nothing_where_it_does_not_matter() -> None:
    assert verdicts("gdrcopy=2.6", "R55") == set()
    assert verdicts("nvidia_driver=580.173.02 nvidia_fabricmanager=580.173.02", "R04") == set()


def test_the_flavour_of_modules_has_the_default_of_its_branch() -> None:
    assert Subject(*read("nvidia_driver=560.35.03"), CONSTRAINTS, TYPES).settings["modules"] == "open"
    assert Subject(*read("nvidia_driver=550.163.01"), CONSTRAINTS, TYPES).settings["modules"] is None
    eks = "nvidia_driver=580.173.02 @type=g5g.xlarge %cluster=eks"
    assert Subject(*read(eks), CONSTRAINTS, TYPES).settings["modules"] == "proprietary"
    assert Subject(*read(f"{eks} %modules=open"), CONSTRAINTS, TYPES).settings["modules"] == "open"


def test_a_stated_kernel_stands_before_the_one_of_the_stack() -> None:
    chosen, platform = read("efa_driver=2.13.0 kernel=6.1")
    assert accepted(says(chosen, platform))
    assert not accepted(says(chosen, replace(platform, kernel="6.12")))


def test_components_of_other_accelerators_are_not_meant_for_a_node() -> None:
    chosen = {"nvidia_driver": "1", "neuron_dkms": "2", "efa": "3"}
    for platform, expected in (
        (Platform("ubuntu2204", "x86_64", instance_type="p5.48xlarge"), {"nvidia_driver", "efa"}),
        (Platform("ubuntu2204", "x86_64", accelerator="neuron"), {"neuron_dkms", "efa"}),
        (Platform("ubuntu2204", "x86_64"), set(chosen)),
    ):
        assert set(meant_for(chosen, platform, CONSTRAINTS, TYPES)) == expected


def test_a_model_stands_for_a_type_that_nobody_named() -> None:
    assert verdicts("nccl=2.24.3 @model=B200", "R35") == {"refuse"}
    assert verdicts("nccl=2.24.3 @model=H100", "R35") == set()
    assert verdicts("efa_nv_peermem=1.2.3 nvidia_driver=580.173.02 @accelerator=neuron", "R73") == {"refuse"}


def test_an_unknown_sdk_of_neuron_is_no_refusal() -> None:
    assert verdicts("neuron_dkms=2.24.13.0 neuron_runtime=2.28.23.0", "R70") == {"check"}


def test_the_order_of_what_is_chosen_does_not_matter() -> None:
    chosen, platform = read("nvidia_driver=570.211.01 nccl=2.28.9 aws_ofi_nccl=1.16.3 cuda=13.0.2 efa=1.28.0")
    assert says(chosen, platform) == says(dict(reversed(chosen.items())), platform)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"os": "ubuntu"}, "os=ubuntu is not known; fix: did you mean ubuntu"),
        ({"arch": "arm64"}, "arch=arm64 is not known; fix: "),
        (
            {"instance_type": "p5.48xlarg"},
            "instance type 'p5.48xlarg' is not in the catalogue; fix: did you mean p5.48xlarge",
        ),
        ({"settings": {"module": "open"}}, "there is no setting 'module'; fix: did you mean modules"),
        ({"settings": {"modules": "opened"}}, "modules='opened' is not one of its values; fix: did you mean open"),
        ({"kernel": "newest"}, "kernel=newest is no version; fix: like 6.8.0-1066-aws"),
        ({"running": {"slurm": "old"}}, "slurm=old is no version; fix: "),
        ({"accelerator": "gpu"}, "accelerator=gpu is not known; fix: "),
        ({"model": "B20"}, "model=B20 is not known; fix: did you mean B200"),
    ],
)
def test_an_unknown_platform_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError) as refused:
        checked(Platform(**{"os": "ubuntu2204", "arch": "x86_64", **change}), CONSTRAINTS, TYPES)
    assert str(refused.value).startswith(message)
