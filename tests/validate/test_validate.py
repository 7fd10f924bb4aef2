"""Playbook validate on containers with fake hardware: sound nodes pass, a fault is named, what is silent fails."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from .conftest import TYPES, Cluster

PROVED = {"p": "gpu.count", "g": "gpu.count", "t": "neuron.devices"}
"""By the first letter of a type: a check that proves that the node's own tools were read."""


def test_a_sound_node_of_each_type_passes(sound: Cluster) -> None:
    ran = sound.validate("--tags", "gpu,nvlink,neuron")
    assert ran.returncode == 0, ran.stdout
    report = sound.newest()
    assert report["verdict"] == "pass"
    assert report["counts"]["fail"] == 0
    for type_ in TYPES:
        verdicts = {one["id"]: one["verdict"] for one in report["nodes"][type_.partition(".")[0]]}
        assert verdicts[PROVED[type_[0]]] == "pass", ran.stdout


def test_each_fault_is_named_with_its_node_and_a_fix(broken: Cluster) -> None:
    ran = broken.validate("--tags", "gpu,nvlink")
    assert ran.returncode != 0
    report = broken.newest()
    failing = {
        node: {one["id"] for one in results if one["verdict"] == "fail"} for node, results in report["nodes"].items()
    }
    assert failing["sound"] == set()
    assert "gpu.count" in failing["missing"]
    assert failing["remapping"] == {"gpu.row_remap"}
    assert any(name.startswith("nvlink.") for name in failing["linkless"])
    assert all(one["fix"] for results in report["nodes"].values() for one in results if one["verdict"] == "fail")
    path = max((broken.folder / "validations").glob("*/junit.xml"), key=lambda one: one.stat().st_mtime_ns)
    suites = {suite.get("name"): suite for suite in ElementTree.parse(path).getroot()}
    assert suites["remapping"].get("failures") == "1"
    assert suites["sound"].get("failures") == "0"


def test_a_tag_runs_its_checks_alone(broken: Cluster) -> None:
    broken.validate("--tags", "nvlink", "--limit", "sound")
    assert {one["id"].partition(".")[0] for one in broken.newest()["nodes"]["sound"]} == {"nvlink"}


@pytest.mark.parametrize("words", [["--limit", "sound"], ["--limit", "sound", "--check"]])
def test_check_mode_and_a_limit_judge_too(broken: Cluster, words: list[str]) -> None:
    ran = broken.validate("--tags", "gpu", *words)
    assert ran.returncode == 0, ran.stdout
    assert "verdict: pass" in ran.stdout


def test_nodes_that_cannot_be_checked_fail(broken: Cluster) -> None:
    ran = broken.validate("--tags", "gpu", "--limit", "sound", "-e", "ansible_host=adt-no-such-container")
    assert ran.returncode != 0
    assert [one["id"] for one in broken.newest()["nodes"]["sound"]] == ["node.checked"]
    ran = broken.validate("--tags", "gpu", "--limit", "sound", "-e", "ansible_python_interpreter=/none")
    assert ran.returncode != 0
    assert "/none" in broken.newest()["nodes"]["sound"][0]["reason"]


def test_nothing_asked_for_is_no_success(broken: Cluster) -> None:
    ran = broken.validate("--tags", "storage", "--limit", "sound")
    assert ran.returncode != 0
    assert "nothing was checked" in ran.stdout
    ran = broken.validate("-e", "hosts=nobody")
    assert ran.returncode != 0
    assert "no node was checked" in ran.stdout
    ran = broken.validate("--tags", "gpus", "--limit", "sound")
    assert ran.returncode != 0
    assert "did you mean gpu" in ran.stdout
