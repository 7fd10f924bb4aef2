# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""make solve and playbook solve: what they are asked, what they answer, and with which exit status."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_answers import (
    PUBLIC,
    Answer,
    Catalogues,
    answer,
    read_request,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_catalogues import (
    read_catalogues,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.lint import solve

OF = read_catalogues()
SCRIPT = support.ROOT / "tests/lint/solve.py"
MISMATCH = {"stacks": {"long_term": {"components": {"nvidia_fabricmanager": "580.126.20"}}}}
P5 = {"os": "ubuntu2204", "instance_type": "p5.48xlarge"}


def ask(overrides: Any = None, **given: Any) -> Answer:
    return _answer(json.dumps(overrides), json.dumps(given))


@functools.cache
def _answer(overrides_text: str, given_text: str) -> Answer:
    """Each question once: all of the matrix takes a second."""
    overrides, given = json.loads(overrides_text), json.loads(given_text)
    stack = catalogue.overridden(OF.stack, overrides) if overrides else OF.stack
    return answer(read_request(given), Catalogues(stack, OF.constraints, OF.types))


def test_a_request_of_nothing_has_every_variable() -> None:
    request = read_request({})
    assert set(request) == set(PUBLIC)
    assert not any(request.values())


def test_assignments_are_read_from_words_or_a_map() -> None:
    expected = {"modules": "open", "cluster": "eks"}
    assert read_request({"settings": "modules=open cluster=eks"})["settings"] == expected
    assert read_request({"settings": expected})["settings"] == expected


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        ({}, ["oss"], "variable 'oss' is not known; fix: did you mean os?"),
        ({"settings": "modules"}, [], "settings: 'modules' is not name=value; fix: "),
        ({"upgrade_to": "1"}, [], "upgrade_to=1 without upgrade; fix: upgrade=COMPONENT"),
    ],
)
def test_a_slip_in_a_request_is_refused(given: dict[str, Any], names: list[str], message: str) -> None:
    with pytest.raises(TrainingError) as refused:
        read_request(given, names)
    assert str(refused.value).startswith(message)


def test_the_collections_own_variables_are_let_through() -> None:
    read_request({}, ["adt_cluster_name", "ansible_python_interpreter", *PUBLIC])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"instance_type": "p5.48xlarge"}, "os is not given; fix: one of amazon2023, debian12, "),
        ({"os": "rhel9_5"}, "os=rhel9_5 is not known; fix: "),
        ({"os": "debian12", "stack": "newst"}, "stack 'newst' is not in the catalogue; fix: did you mean newest?"),
        ({**P5, "arch": "aarch64"}, "arch=aarch64: type p5.48xlarge is x86_64; fix: arch=x86_64"),
        ({**P5, "running": "slrm=1"}, "running: component 'slrm' is not in the catalogue; fix: did you mean slurm?"),
        ({**P5, "upgrade": "neuron_dkms"}, "neuron_dkms is not for type p5.48xlarge (8 × H100); fix: "),
        ({**P5, "upgrade": "every", "upgrade_to": "1"}, "upgrade_to=1 for every component; fix: upgrade=COMPONENT"),
        ({"os": "debian12", "upgrade": "lustre_client"}, "stack long_term has no lustre_client on debian12: "),
    ],
)
def test_what_cannot_be_answered_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError) as refused:
        ask(**given)
    assert str(refused.value).startswith(message)


def test_a_component_that_a_stack_only_names_is_a_slip() -> None:
    overrides = {"stacks": {"long_term": {"components": {"nvidia_drver": "580.173.02"}}}}
    with pytest.raises(
        TrainingError, match=r"^component 'nvidia_drver' of stack long_term .*did you mean nvidia_driver"
    ):
        ask(overrides)


def test_the_matrix_of_the_shipped_stacks_is_accepted() -> None:
    answered = ask()
    assert answered.accepted
    assert answered.values["combinations"] == answered.values["accepted"] > 0
    assert answered.values["missing"] == []
    for stack in OF.stack["stacks"]:
        for os in ("debian12", "debian13", "ubuntu2204", "ubuntu2404", "amazon2023"):
            assert any(line.split()[:3] == [stack, os, "x86_64"] for line in answered.lines), (stack, os)
    assert answered.lines[-1].endswith("0 expected omissions missing")


def test_an_architecture_alone_asks_for_all_of_the_matrix_on_it() -> None:
    answered = ask(arch="aarch64")
    rows = [line.split()[:3] for line in answered.lines[1:-1]]
    assert rows == [[stack, os, "aarch64"] for stack in OF.stack["stacks"] for os in catalogue.SYSTEMS]
    assert answered.accepted
    assert 0 < answered.values["combinations"] < ask().values["combinations"]


def test_an_architecture_that_is_not_known_is_refused() -> None:
    with pytest.raises(TrainingError, match="arch=arm64 is not known; fix: "):
        ask(arch="arm64")


def test_the_matrix_names_a_refusal_once_and_counts_its_places() -> None:
    answered = ask(MISMATCH)
    assert not answered.accepted
    told = [line for line in answered.lines if line.startswith("refused R01: nvidia_fabricmanager 580.126.20 against")]
    assert len(told) == 1
    assert "combinations: long_term on" in told[0]
    assert answered.lines[-1] == "stack_overrides took part: this is not data/stack.yml itself"


def test_the_matrix_refuses_a_stack_that_leaves_nothing_out_by_name() -> None:
    answered = ask({"stacks": {"long_term": {"left_out": {"lustre_client": None}}}})
    assert not answered.accepted
    assert any(line.startswith("missing long_term on debian12 x86_64: lustre_client") for line in answered.lines)


def test_one_stack_is_told_with_warnings_checks_and_what_is_left_out() -> None:
    answered = ask(os="debian12", instance_type="p5.48xlarge")
    assert answered.accepted
    assert answered.lines[0].startswith("stack long_term on Debian 12, x86_64, kernel 6.1, type p5.48xlarge (8 × H100)")
    assert any(line.startswith("warned   R") for line in answered.lines)
    assert any(line.startswith("to check R04: show that service ") for line in answered.lines)
    assert any(line.startswith("left out lustre_client: ") for line in answered.lines)
    assert not any("neuron" in line for line in answered.lines)
    assert answered.lines[-1].startswith("verdict: accepted; ")


def test_a_refused_stack_tells_rule_sides_and_fix() -> None:
    answered = ask(MISMATCH, **P5)
    assert not answered.accepted
    problem, fix = answered.refusal
    assert problem == (
        "stack long_term is refused by R01: nvidia_fabricmanager 580.126.20 against nvidia_driver 580.173.02"
    )
    assert fix.startswith("nvidia_fabricmanager 580.173.02 (catalogue: 580.173.02), or nvidia_driver 580.126.20")
    assert answered.lines[-1].startswith("verdict: refused by R01; ")
    assert "with stack_overrides" in answered.lines[0]


def test_a_stack_tells_whether_its_plugin_is_bundled() -> None:
    assert ask(os="debian12", instance_type="p5.48xlarge").accepted
    bundled = {"stacks": {"long_term": {"components": {"aws_ofi_nccl": None}}}}
    answered = ask(bundled, os="debian12", instance_type="p5.48xlarge")
    assert answered.lines[-1].startswith("verdict: refused by R38; ")
    assert ask(bundled, os="debian12", instance_type="p5.48xlarge", settings="plugin_from=own_build").accepted


def test_kernel_settings_environment_and_running_versions_count() -> None:
    assert not ask(**{**P5, "os": "ubuntu2404", "kernel": "7.0.0-1014-aws"}).accepted
    assert not ask(**P5, job_environment="RDMAV_FORK_SAFE=1").accepted
    assert not ask(**P5, running="slurm=24.05.1", stack="newest").accepted
    assert not ask(**P5, settings="gin=proxy").accepted
    assert ask(**P5).accepted


def test_an_upgrade_is_told_with_what_comes_along() -> None:
    answered = ask(**P5, upgrade="nvidia_driver")
    assert answered.accepted
    assert any("yes, with nvidia_fabricmanager 580.173.02 -> " in line for line in answered.lines)
    assert answered.values["upgrades"][0]["moves"]
    assert answered.lines[-1].endswith(" of nvidia_driver may be taken")


def test_the_newest_version_has_nothing_to_tell() -> None:
    answered = ask(**P5, upgrade="munge")
    assert answered.accepted
    assert answered.lines[-1] == "munge 0.5.18 is the newest of the catalogue here"


def test_every_component_with_newer_versions_may_be_asked_for() -> None:
    answered = ask(**P5, upgrade="every")
    assert answered.accepted
    names = [line.split()[0] for line in answered.lines[1:-1] if not line.startswith("  ")]
    assert {"nvidia_driver", "cuda", "slurm", "efa"} <= set(names)
    assert "munge" not in names
    assert len(names) == len(set(names))
    assert answered.lines[-1] == f"verdict: {len(names)} of {len(names)} components with newer versions may be upgraded"


def test_an_upgrade_that_nothing_makes_possible_is_refused_with_the_rules() -> None:
    answered = ask(os="ubuntu2404", instance_type="p5.48xlarge", upgrade="kernel")
    assert not answered.accepted
    assert any(
        line.startswith("  refused R53: lustre_client 2.15.6 against Ubuntu 24.04, kernel 7.0")
        for line in answered.lines
    )


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ([], 0, "0 expected omissions missing"),
        (["os=ubuntu2204", "instance_type=p5.48xlarge"], 0, "verdict: accepted; "),
        (["os=ubuntu2404", "kernel=7.0.0-1014-aws", "stack="], 1, "verdict: refused by R53; "),
        (["os=ubuntu"], 2, "solve: os=ubuntu is not known; fix: did you mean ubuntu"),
        (["OS=ubuntu2204"], 2, "solve: variable 'OS' is not known; fix: "),
        (["stack_overrides=no-such-file.yml"], 2, "solve: no-such-file.yml: No such file or directory; fix: "),
    ],
)
def test_the_script_tells_its_answer_and_returns_its_status(
    words: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert solve.main(words) == status
    shown = "".join(capsys.readouterr())
    assert told in shown
    assert status != 2 or len(shown.splitlines()) == 1


def test_the_script_reads_overrides_from_a_file_and_ends_with_its_status(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("stacks: {long_term: {components: {nvidia_fabricmanager: 580.126.20}}}\n")
    words = ["stack_overrides=mine.yml", "os=ubuntu2204", "instance_type=p5.48xlarge"]
    ran = support.run([sys.executable, SCRIPT, *words], tmp_path)
    assert ran.returncode == 1
    assert "refused  R01: nvidia_fabricmanager 580.126.20 against nvidia_driver" in ran.stdout
    assert "Traceback" not in ran.stdout


@pytest.mark.parametrize(
    ("args", "status", "told"),
    [
        (["-e", "os=ubuntu2204", "-e", "instance_type=p5.48xlarge", "--check"], 0, "verdict: accepted; "),
        (
            ["-e", "os=ubuntu2404", "-e", "kernel=7.0.0-1014-aws"],
            2,
            "long_term is refused by R53: lustre_client 2.15.6 against Ubuntu 24.04, kernel 7.0.0-1014-aws; fix: ",
        ),
        (["-e", "upgrad=efa"], 2, "variable 'upgrad' is not known; fix: did you mean upgrade"),
    ],
)
def test_the_play_gives_the_same_answer(args: list[str], status: int, told: str, tmp_path: Path) -> None:
    ran = support.play(args, tmp_path, playbook="awsome.distributed_training.solve")
    assert ran.returncode == status, ran.stdout
    assert told in ran.stdout
    assert "Traceback" not in ran.stdout
