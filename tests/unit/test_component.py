"""What a role of the node stack has to do, from the catalogue and from what a node was found to have."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, component
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_answers import Catalogues
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_catalogues import (
    read_catalogues,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import Platform
from ansible_collections.awsome.distributed_training.plugins.module_utils.component import Component, Found
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

CATALOGUES = read_catalogues()
UBUNTU = Platform("ubuntu2204", "x86_64", kernel="6.8.0-1066-aws", instance_type="p5.48xlarge")
DRIVER = {"nvidia-open": "580.173.02-1ubuntu1", "nvidia-driver-pinning-580.173.02": "580.173.02-1"}


def planned(role: str, found: Found, preinstalled: str = "keep", platform: Platform = UBUNTU) -> Component:
    (one,) = component.plan(role, [role], CATALOGUES, platform, {role: found}, preinstalled)
    return one


def test_a_bare_node_gets_the_stack() -> None:
    one = planned("nvidia_driver", Found({}))
    assert (one.found, one.version, one.install, one.kept) == (None, "580.173.02", True, False)
    assert one.packages["nvidia-open"] == "580.173.02-1ubuntu1"


@pytest.mark.parametrize("preinstalled", component.PREINSTALLED)
def test_a_node_that_has_it_is_left_alone(preinstalled: str) -> None:
    one = planned("nvidia_driver", Found(DRIVER), preinstalled)
    assert (one.found, one.install, one.kept) == ("580.173.02", False, False)


def test_what_is_there_in_part_is_completed() -> None:
    one = planned("nvidia_driver", Found({"nvidia-open": "580.173.02-1ubuntu1"}))
    assert (one.found, one.install) == ("580.173.02", True)


def test_another_version_that_goes_with_the_stack_is_kept() -> None:
    other = {name: version.replace("4.7.0", "4.6.0") for name, version in planned("dcgm", Found({})).packages.items()}
    one = planned("dcgm", Found(other))
    assert (one.found, one.version, one.install, one.kept) == ("4.6.0", "4.6.0", False, True)
    assert set(one.packages) == set(other)


def test_another_version_that_does_not_is_refused_with_the_rule() -> None:
    found = Found({"nvidia-fabricmanager": "570.124.06-1"})
    with pytest.raises(TrainingError, match=r"R01: .*fix: nvidia_fabricmanager_preinstalled: replace") as refused:
        planned("nvidia_fabricmanager", found)
    assert "the node has nvidia_fabricmanager 570.124.06, not 580.173.02" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_replace_brings_the_stacks_version() -> None:
    one = planned("nvidia_fabricmanager", Found({"nvidia-fabricmanager": "570.124.06-1"}), "replace")
    assert (one.found, one.version, one.install) == ("570.124.06", "580.173.02", True)


def test_refuse_stops_at_another_version() -> None:
    with pytest.raises(TrainingError, match=r"the node has dcgm 4\.5\.1, not 4\.7\.0; fix: dcgm_preinstalled: keep"):
        planned("dcgm", Found({"datacenter-gpu-manager-4-core": "1:4.5.1-1"}), "refuse")


def test_a_version_that_the_role_saw_itself_counts() -> None:
    assert planned("efa", Found({}, "1.50.0")).install is False
    assert planned("efa", Found({}, "1.48.0"), "replace").install is True


def test_a_system_that_the_stack_leaves_out_is_refused_with_the_reason() -> None:
    with pytest.raises(TrainingError, match=r"no dcgm on debian13: of NVIDIA's repository for Debian 13"):
        planned("dcgm", Found({}), platform=Platform("debian13", "x86_64"))


def test_a_policy_that_is_not_one_is_refused() -> None:
    with pytest.raises(TrainingError, match="dcgm_preinstalled=kep is not known; fix: did you mean keep"):
        planned("dcgm", Found({}), "kep")


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian12"),
        ('ID=ubuntu\nVERSION_ID="22.04"\n', "ubuntu2204"),
        ('# a remark\nID="amzn"\nVERSION_ID="2023"\n', "amazon2023"),
    ],
)
def test_systems_are_known_by_os_release(text: str, system: str) -> None:
    assert component.system_of(component.fields_of(text), "dcgm") == system


def test_another_system_is_refused_by_its_own_name() -> None:
    fields = component.fields_of('ID=rocky\nVERSION_ID="9.4"\nPRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"\n')
    with pytest.raises(TrainingError, match=r"dcgm: Rocky Linux 9\.4 \(Blue Onyx\) is not supported; fix: use one of"):
        component.system_of(fields, "dcgm")


def test_checks_are_told_what_the_node_is_meant_to_be() -> None:
    told: dict[str, Any] = component.expected([planned("dcgm", Found({}))], UBUNTU, CATALOGUES.types)
    assert told["versions"] == {"dcgm": "4.7.0"}
    assert told["instance"]["accelerator"]["count"] == 8
    (source,) = told["repositories"]["dcgm"]
    assert source["signer"] == "EB693B3035CD5710E231E123A4B469963BF863CC"
    mirrored = component.expected([planned("dcgm", Found({}))], UBUNTU, CATALOGUES.types, "A" * 40)
    assert mirrored["repositories"]["dcgm"][0]["signer"] == "A" * 40


STACK = CATALOGUES.stack["stacks"]["long_term"]["components"]
NVIDIA = {name: STACK[name] for name in STACK if name.startswith("nvidia_") or name == "nvlsm"}


def modules(instance_type: str | None, stated: str = "auto", **versions: str) -> str:
    there = Platform("ubuntu2204", "x86_64", kernel="6.8.0-1066-aws", instance_type=instance_type)
    chosen = {**NVIDIA, **versions}
    settings = component.settled("nvidia_driver", ["nvidia_driver"], {"modules": stated}, chosen, there, CATALOGUES)
    return settings["modules"]


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [("p5.48xlarge", "open"), ("p6-b200.48xlarge", "open"), ("p3.16xlarge", "proprietary"), (None, "open")],
)
def test_the_solver_settles_what_is_left_to_it(instance_type: str | None, expected: str) -> None:
    assert modules(instance_type) == expected


def test_a_setting_that_no_rule_speaks_against_is_taken_as_stated() -> None:
    assert modules("g5.12xlarge", "proprietary") == "proprietary"


@pytest.mark.parametrize(
    ("instance_type", "stated", "versions", "said"),
    [
        ("p6-b200.48xlarge", "proprietary", {}, r"R09: modules=proprietary .*; fix: nvidia_driver_modules: open"),
        ("p3.16xlarge", "open", {}, r"R08: modules=open .*; fix: nvidia_driver_modules: proprietary"),
        ("g7.2xlarge", "auto", {}, r"R11: nvidia_driver 580\.173\.02 .*; fix: nvidia_driver 595 or newer"),
        ("p3.16xlarge", "auto", dict.fromkeys(NVIDIA, "595.91.07"), r"R08: modules=open"),
    ],
)
def test_what_the_solver_refuses_is_refused(
    instance_type: str, stated: str, versions: dict[str, str], said: str
) -> None:
    with pytest.raises(TrainingError, match=said):
        modules(instance_type, stated, **versions)


FABRIC = ["nvidia_fabricmanager", "nvlsm", "nvidia_imex"]


def needed(instance_type: str | None) -> list[str]:
    there = Platform("ubuntu2204", "x86_64", instance_type=instance_type)
    return component.needed("nvidia_fabricmanager", FABRIC, NVIDIA, there, CATALOGUES)


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [
        ("p4d.24xlarge", FABRIC[:1]),
        ("p5.4xlarge", []),
        ("p6-b300.48xlarge", FABRIC[:2]),
        ("p6e-gb300.36xlarge", FABRIC[2:]),
        ("trn2.48xlarge", []),
        ("m5.large", []),
    ],
)
def test_a_type_gets_what_a_rule_wants_present(instance_type: str, expected: list[str]) -> None:
    assert needed(instance_type) == expected


def test_what_an_unknown_type_needs_is_not_guessed() -> None:
    with pytest.raises(TrainingError, match=r"nvidia_fabricmanager is not known: .*; fix: adt_instance_type"):
        needed(None)


@pytest.mark.parametrize("instance_type", ["m5.large", "p3.16xlarge", "x9.nobody-knows"])
@pytest.mark.parametrize(
    ("name", "found"), [("dcgm", "4.6.0"), ("docker", "28.5.2"), ("efa", "1.49.0"), ("node_exporter", "1.11.0")]
)
def test_what_is_said_of_the_stack_or_not_known_of_a_type_refuses_no_version_that_stays(
    instance_type: str, name: str, found: str
) -> None:
    there = Platform("ubuntu2204", "x86_64", kernel="6.8.0-1066-aws", instance_type=instance_type)
    assert planned(name, Found({}, found), platform=there).kept


def test_what_is_said_of_the_version_that_stays_refuses_it() -> None:
    there = Platform("ubuntu2204", "x86_64", kernel="6.8.0-1066-aws", instance_type="p3.16xlarge")
    with pytest.raises(TrainingError, match=r"R24: cuda 13\.2\.1 against type p3\.16xlarge"):
        planned("cuda", Found({}, "13.2.1"), platform=there)


def profiling(catalogues: Catalogues) -> dict[str, str]:
    chosen = catalogue.chosen(catalogues.stack, None, UBUNTU.os, UBUNTU.arch)
    return component.settled("dcgm_exporter", ["dcgm_exporter"], {"profiling": "used"}, chosen, UBUNTU, catalogues)


def test_the_exporter_may_profile_with_the_packages_that_come_with_dcgm() -> None:
    assert profiling(CATALOGUES) == {"profiling": "used"}


def test_the_exporter_may_not_profile_without_them() -> None:
    versions = {"4.7.0": {"bundles": None}}
    with pytest.raises(TrainingError, match="dcgm_exporter: R57: no dcgm_proprietary against profiling=used"):
        profiling(read_catalogues({"components": {"dcgm": {"versions": versions}}}))


def test_a_type_tells_the_compute_capability_of_its_gpu() -> None:
    told: dict[str, Any] = component.expected([], UBUNTU, CATALOGUES.types)
    assert told["instance"]["accelerator"]["compute_capability"] == "9.0"


def test_a_type_without_accelerators_is_no_error() -> None:
    told = component.expected([], Platform("ubuntu2204", "x86_64", instance_type="m5.large"), CATALOGUES.types)
    assert told["instance_type"] == "m5.large"
    assert "instance" not in told
