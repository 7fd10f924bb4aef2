# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The catalogues: a component in its stack, an EC2 type with its accelerator, and what their schemas refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.jsonschema_subset import validate

ROOT = Path(controller.ROOT)
STACK = controller.read_catalogue("stack")
TYPES = controller.read_catalogue("instance_types")
DOCUMENT: dict[str, Any] = {
    "default": "long_term",
    "stacks": {"long_term": {"torch": "2.13.0", "lost": "1"}, "newest": {"torch": "2.14.0"}},
    "components": {
        "torch": {
            "summary": "PyTorch",
            "licence": "BSD-3-Clause",
            "versions": {"2.13.0": {"fact_source": "a"}, "2.14.0": {"fact_source": "b"}},
        },
        "lost": {"summary": "Lost", "licence": "MIT", "versions": {"2": {"fact_source": "c"}}},
    },
}
DIGEST, SIGNER, RECIPE = "0" * 64, "A" * 40, "https://example.com/recipe"


def test_a_component_is_told_in_the_version_of_the_default_stack() -> None:
    assert catalogue.component(DOCUMENT, "torch") == {
        "name": "torch",
        "version": "2.13.0",
        "summary": "PyTorch",
        "licence": "BSD-3-Clause",
        "fact_source": "a",
    }


def test_a_component_is_told_in_the_version_of_a_named_stack() -> None:
    assert catalogue.component(DOCUMENT, "torch", "newest")["version"] == "2.14.0"


def test_reading_a_component_leaves_the_catalogue_as_it_was() -> None:
    assert catalogue.component(DOCUMENT, "torch") == catalogue.component(DOCUMENT, "torch")


@pytest.mark.parametrize(
    ("name", "stack", "message"),
    [
        ("toch", None, "component 'toch' is not in the catalogue; fix: did you mean torch?"),
        ("torch", "newst", "stack 'newst' is not in the catalogue; fix: did you mean newest?"),
        ("lost", "newest", "component of stack newest 'lost' is not in the catalogue; fix: known: torch"),
        ("lost", None, "version of lost '1' is not in the catalogue; fix: known: 2"),
    ],
)
def test_an_unknown_entry_is_refused_with_the_known_ones(name: str, stack: str | None, message: str) -> None:
    with pytest.raises(TrainingError) as refused:
        catalogue.component(DOCUMENT, name, stack)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("stack", STACK["stacks"])
def test_every_component_of_every_stack_is_there(stack: str) -> None:
    for name, version in STACK["stacks"][stack].items():
        assert catalogue.component(STACK, name, stack)["version"] == version


def test_the_default_stack_is_one_of_the_stacks() -> None:
    assert STACK["default"] in STACK["stacks"]


LOCKED = [
    (about["python"]["package"], version, about["python"]["locked_in"])
    for component in STACK["components"].values()
    for version, about in component["versions"].items()
    if "python" in about
]


@pytest.mark.parametrize(("package", "version", "locked_in"), LOCKED)
def test_a_python_component_is_the_one_that_its_lock_file_holds(package: str, version: str, locked_in: str) -> None:
    text = (ROOT / f"{locked_in}.lock").read_text()
    assert re.findall(rf"^{package}==(\S+)", text, re.MULTILINE) == [version]


def test_the_cpu_lock_asks_for_the_build_of_the_catalogues_version() -> None:
    text = (ROOT / "test_cases/pytorch/requirements-cpu.lock").read_text()
    assert f"# cpu build: torch=={catalogue.component(STACK, 'torch')['version']}\n" in text


def test_an_instance_type_is_told_with_its_accelerator() -> None:
    accelerator = catalogue.instance_type(TYPES, "p5.48xlarge")["accelerator"]
    assert (accelerator["model"], accelerator["count"], accelerator["peak_tflops"]["bf16"]) == ("H100", 8, 989)


def test_an_unknown_instance_type_is_refused_with_the_nearest() -> None:
    with pytest.raises(TrainingError, match=r"instance type 'p5.48xlarg' is not in .*did you mean p5\.48xlarge\?"):
        catalogue.instance_type(TYPES, "p5.48xlarg")


@pytest.mark.parametrize("name", TYPES["instance_types"])
def test_an_instance_type_adds_up(name: str) -> None:
    entry = catalogue.instance_type(TYPES, name)
    cards = {int(end) - int(start or end) + 1: card for card in entry["network"]["cards"]
             for start, _, end in [str(card["index"]).rpartition("-")]}  # fmt: skip
    assert sum(count * card["gbps"] for count, card in cards.items()) == entry["network"]["gbps"]
    efa = sum(count for count, card in cards.items() if card["interface"].startswith("efa"))
    assert efa == entry["network"]["efa"]
    assert entry["vcpus"] == 2 * entry["cores"]


def test_no_two_accelerators_call_themselves_the_same() -> None:
    names = [name for about in TYPES["accelerators"].values() for name in about["device_names"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("device", "model"), [("NVIDIA H200", "H200"), ("NVIDIA GeForce", None), (None, None)])
def test_an_accelerator_is_known_by_what_it_calls_itself(device: str | None, model: str | None) -> None:
    found = catalogue.accelerator_of(TYPES, device)
    assert (found and found["model"]) == model


def test_a_node_is_what_the_user_named() -> None:
    node = {"accelerator": "cpu", "accelerators": 0}
    described = catalogue.described_node(TYPES, node, "p5en.48xlarge")
    assert described == {
        "accelerator": "cuda",
        "accelerators": 8,
        "accelerator_model": "H200",
        "cpus": 192,
        "instance_type": "p5en.48xlarge",
        "peak_tflops": 989,
        "memory_gib": 2048,
        "efa": 16,
    }


@pytest.mark.parametrize(("model", "peak"), [("NVIDIA B200", 2250), ("NVIDIA GeForce", None), (None, None)])
def test_a_node_that_nobody_named_tells_of_itself(model: str | None, peak: float | None) -> None:
    node = {"accelerator": "cuda", "accelerators": 1, "accelerator_model": model}
    assert catalogue.described_node(TYPES, node, None) == {**node, "peak_tflops": peak}


def problems(artifact: dict[str, Any]) -> list[str]:
    """What the schema says of a stack with one artifact."""
    component = {
        "summary": "x",
        "licence": "MIT",
        "versions": {"1": {"fact_source": "x", "files": [{"file": artifact}]}},
    }
    document = {"schema": 1, "default": "a", "stacks": {"a": {"x": "1"}}, "components": {"x": component}}
    return [str(problem) for problem in validate(document, controller.schema("stack"), "stack.yml")]


@pytest.mark.parametrize(
    "artifact",
    [
        {"sha256": DIGEST, "verified_from": RECIPE},
        {"signer": SIGNER, "verified_from": "code(3), two of them distributions"},
        {"sha256": DIGEST, "verified_from": "calculated from the file, 2026-11-23"},
        {"unverified": "the vendor states no digest"},
    ],
)
def test_an_artifact_is_verified_from_somewhere_or_says_why_not(artifact: dict[str, str]) -> None:
    assert problems({"url": "https://example.com/x", **artifact}) == []


@pytest.mark.parametrize(
    ("artifact", "complaint"),
    [
        ({"url": "https://example.com/x", "sha256": DIGEST}, "verified_from: sha256 needs it"),
        ({"url": "https://example.com/x", "signer": SIGNER}, "verified_from: signer needs it"),
        ({"url": "https://example.com/x", "sha256": DIGEST, "verified_from": "trust me"}, "'trust me' does not match"),
        ({"url": "https://example.com/x", "sha256": "abc", "verified_from": RECIPE}, "'abc' does not match"),
        ({"url": "https://example.com/x", "signer": "a" * 40, "verified_from": RECIPE}, "does not match"),
        ({"url": "https://example.com/x"}, "it is missing; fix: write it in one of its forms"),
        (
            {"url": "https://example.com/x", "sha256": DIGEST, "verified_from": RECIPE, "unverified": "x"},
            "2 forms at once",
        ),
        ({"url": "http://example.com/x", "unverified": "x"}, "'http://example.com/x' does not match ^https://"),
        ({"unverified": "x"}, "url: it is missing"),
    ],
)
def test_an_artifact_that_nobody_vouches_for_is_refused(artifact: dict[str, str], complaint: str) -> None:
    [problem] = problems(artifact)
    assert problem.startswith("stack.yml: key components.x.versions.1.files[0].file")
    assert complaint in problem


def test_a_version_that_comes_from_nowhere_is_refused() -> None:
    component = {"summary": "x", "licence": "MIT", "versions": {"1": {"fact_source": "x"}}}
    document = {"schema": 1, "default": "a", "stacks": {"a": {"x": "1"}}, "components": {"x": component}}
    assert len(validate(document, controller.schema("stack"), "stack.yml")) == 1
