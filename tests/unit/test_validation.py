"""Playbook validate: what a node is held to, which checks a tag asks for, and one report of many nodes."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, validation
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Clock,
    Command,
    Probe,
    Reading,
    groups,
    record,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.jsonschema_subset import validate

GPU_NODE = {"instance_type": "p5.48xlarge", "instance": {"accelerator": {"kind": "cuda"}}}
KNOWN = ("base", "efa", "gpu", "munge", "neuron", "nvlink", "slurm")


def result(id: str, verdict: str, **more: str) -> dict[str, str]:
    empty = dict.fromkeys(("node", "value", "unit", "limit", "reason", "fix"), "")
    return {**empty, "id": id, "verdict": verdict, **more}


def test_a_record_keeps_what_each_group_was_held_to() -> None:
    given = {"versions": {"efa": "1.50.0"}, "kernel": "6.8", "instance_type": "m5.large", "instance": {"vcpus": 2}}
    groups_now = record.merged({"base": {"system": "debian12"}}, ["efa"], given)
    assert groups_now == {"base": {"system": "debian12"}, "efa": {"versions": {"efa": "1.50.0"}}}
    assert record.read(record.written(groups_now), "checks.json") == groups_now


def test_an_image_is_held_to_the_machine_that_it_boots_on() -> None:
    here = record.machine("ubuntu2204", "x86_64", "6.8.0-1066-aws", "p5.48xlarge", {"p5.48xlarge": {"vcpus": 192}}, {})
    held_to = record.held_to("efa", {"efa": {"versions": {"efa": "1.50.0"}, "kernel": "5.15"}}, here)
    assert (held_to["kernel"], held_to["instance"], held_to["versions"]) == (
        "6.8.0-1066-aws",
        {"vcpus": 192},
        {"efa": "1.50.0"},
    )


def test_a_type_that_is_not_known_gives_no_instance() -> None:
    assert "instance" not in record.machine("debian12", "x86_64", "6.1", "m5.large", {}, {})
    assert "instance_type" not in record.machine("debian12", "x86_64", "6.1", None, {}, {})


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2, "groups": {}}', '{"schema": 1, "groups": {"efa": 1}}'])
def test_a_spoilt_record_is_refused(text: str) -> None:
    with pytest.raises(TrainingError, match=r"checks\.json"):
        record.read(text, "checks.json")


def test_a_machine_is_held_to_its_record_and_to_its_accelerators() -> None:
    assert record.groups_here({"efa": {}, "of a newer registry": {}}, GPU_NODE, KNOWN) == ["efa", "gpu", "nvlink"]
    assert record.groups_here({"base": {}}, {}, KNOWN) == ["base"]
    assert record.groups_here({}, {"instance": {"accelerator": {"kind": "neuron"}}}, KNOWN) == ["neuron"]


@pytest.mark.parametrize(
    ("tags", "groups_asked"),
    [
        (["all"], ["base", "efa", "gpu", "munge", "nvlink"]),
        ([], ["base", "efa", "gpu", "munge", "nvlink"]),
        (["gpu"], ["gpu"]),
        (["gpu", "nvlink"], ["gpu", "nvlink"]),
        (["slurm"], ["munge"]),
        (["stack"], ["base"]),
        (["neuron"], []),
    ],
)
def test_a_tag_asks_for_its_groups(tags: list[str], groups_asked: list[str]) -> None:
    assert validation.groups_of(tags, ["base", "efa", "gpu", "munge", "nvlink"]) == groups_asked


def test_a_tag_that_nothing_has_is_refused() -> None:
    with pytest.raises(TrainingError, match="tag 'gpus' asks for no checks; fix: did you mean gpu"):
        validation.groups_of(["gpus"], ["gpu"])


def test_a_node_of_which_nothing_is_known_fails() -> None:
    given = {
        "a": [result("gpu.count", "skip", reason="not known: instance")],
        "b": [],
        "c": [result("gpu.count", "pass", value="8")],
    }
    judged = validation.judged(given)
    assert [one["verdict"] for one in judged["a"]] == ["skip", "fail"]
    assert "gpu.count: not known: instance" in judged["a"][1]["reason"]
    assert [one["reason"] for one in judged["b"]] == ["nothing was checked: no check applies"]
    assert [one["verdict"] for one in judged["c"]] == ["pass"]
    assert validation.verdict(judged) == "fail"
    assert validation.verdict({"c": judged["c"]}) == "pass"
    assert validation.verdict({}) == "fail"


def test_the_table_says_once_what_many_nodes_have_in_common() -> None:
    results = {f"node{number}": [result("gpu.count", "pass", value="8", unit="GPUs")] for number in range(4)}
    results["node4"] = [result("gpu.count", "fail", reason="7 GPUs, not 8", fix="replace the node")]
    lines = validation.table(results).splitlines()
    assert lines[1].split("  ")[0] == "FAIL"
    assert "node4" in lines[1]
    assert lines[1].endswith("7 GPUs, not 8; fix: replace the node")
    assert "4: node0, node1, …" in lines[2]
    assert lines[2].endswith("8 GPUs")
    assert len(lines) == 3


def test_the_report_has_the_form_of_its_schema() -> None:
    results = validation.judged({"a": [result("gpu.count", "pass", value="8")], "b": []})
    document = validation.document(results, ["gpu"], "2026-11-28T05:00:09Z")
    assert not validate(document, controller.schema("validation"), "validation.json")
    assert document["counts"] == {"pass": 1, "fail": 1, "skip": 0}


def test_junit_counts_each_verdict_and_escapes_what_tools_print() -> None:
    results = {
        "a": [
            result("gpu.count", "pass"),
            result("gpu.xid", "fail", reason="<Xid> & \x1b[0m", fix="reset"),
            result("gpu.mig", "skip", reason="no GPU"),
        ]
    }
    suite = ElementTree.fromstring(validation.junit(results).partition("\n")[2])[0]
    assert {name: suite.get(name) for name in ("name", "tests", "failures", "skipped")} == {
        "name": "a",
        "tests": "3",
        "failures": "1",
        "skipped": "1",
    }
    failure = suite[1].find("failure")
    assert failure is not None
    assert failure.get("message") == "<Xid> & [0m; fix: reset"


def test_groups_share_the_time_that_they_may_wait() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    asked: list[Probe] = []

    def read(probe: Probe) -> Reading:
        asked.append(probe)
        return Reading(1) if isinstance(probe, Command) else Reading(None)

    found = groups.run_groups(["munge", "slurm"], {}, {}, read, "n", 5.0, Clock(lambda: now[0], sleep))
    assert now[0] == 5.0
    assert {one.verdict for one in found if one.id.startswith("munge.")} == {"fail"}


def test_groups_are_held_to_their_own_part_of_the_record() -> None:
    seen: dict[str, Any] = {"base": {"versions": {"x": "1"}}, "efa": {"versions": {"x": "2"}}}
    here = {"kernel": "6.8"}
    assert record.held_to("base", seen, here) == {"versions": {"x": "1"}, "kernel": "6.8"}
    assert record.held_to("gpu", seen, here) == {"kernel": "6.8"}
