# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The catalogues: a component in its stack, an EC2 type with its accelerator, and what their schemas refuse."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from ansible.utils.display import Display
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.jsonschema_subset import validate

ROOT = Path(controller.ROOT)
STACK = controller.read_catalogue("stack")
TYPES = controller.read_catalogue("instance_types")
DOCUMENT: dict[str, Any] = {
    "default": "long_term",
    "stacks": {
        "long_term": {
            "summary": "long",
            "components": {
                "efa": "1.50.0",
                "kernel": {"debian12": "6.1", "ubuntu2404": "6.8"},
                "lost": "1",
                "neuron": "2",
                "plugin": {"debian12": "1.21.0"},
                "torch": "2.13.0",
            },
            "left_out": {
                "kernel": {"amazon2023": "no kernel was seen there"},
                "libfabric": {"debian13": "no libfabric there"},
                "neuron": {"debian12": "glibc is too old", "aarch64": "for x86_64 alone"},
            },
        },
        "newest": {"summary": "new", "components": {"torch": "2.14.0"}},
    },
    "components": {
        "torch": {
            "summary": "PyTorch",
            "licence": "BSD-3-Clause",
            "versions": {"2.13.0": {"fact_source": "a"}, "2.14.0": {"fact_source": "b"}},
        },
        "lost": {"summary": "Lost", "licence": "MIT", "versions": {"2": {"fact_source": "c"}}},
        "efa": {
            "summary": "EFA",
            "licence": "x",
            "versions": {
                "1.50.0": {"fact_source": "d", "bundles": {"libfabric": "2.6.0amzn1.0", "plugin": "1.21.1"}},
                "1.51.0": {"fact_source": "e", "bundles": {"libfabric": "2.7.0amzn2.0"}},
            },
        },
        "kernel": {"summary": "k", "licence": "x", "versions": {"6.1": {"fact_source": "f"}, "6.8": {}}},
        "libfabric": {"summary": "Libfabric", "licence": "BSD-2-Clause", "versions": {}},
        "neuron": {"summary": "n", "licence": "x", "versions": {"2": {"fact_source": "g"}}},
        "plugin": {"summary": "p", "licence": "Apache-2.0", "versions": {"1.21.0": {"fact_source": "h"}}},
    },
}
EMPTY = {"schema": 1, "default": "a", "stacks": {"a": {"summary": "x", "components": {"x": "1"}}}}
DIGEST, SIGNER, RECIPE = "0" * 64, "A" * 40, "https://example.com/recipe"
OF_SIGNER = {"url": "https://example.com/of_signer", "signer": SIGNER, "verified_from": RECIPE}
SIGNED = {"signature": OF_SIGNER, "key": OF_SIGNER}


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
        ("plugin", None, "component plugin of stack long_term differs by OS; fix: name one of debian12"),
        ("lost", None, "version of lost '1' is not in the catalogue; fix: known: 2"),
    ],
)
def test_an_unknown_entry_is_refused_with_the_known_ones(name: str, stack: str | None, message: str) -> None:
    with pytest.raises(TrainingError) as refused:
        catalogue.component(DOCUMENT, name, stack)
    assert str(refused.value).startswith(message)


def test_a_component_is_told_in_the_version_of_an_os() -> None:
    assert catalogue.component(DOCUMENT, "kernel", os="debian12")["version"] == "6.1"


def test_a_component_inside_another_is_told_with_the_one_that_brings_it() -> None:
    assert catalogue.component(DOCUMENT, "libfabric", os="debian12") == {
        "name": "libfabric",
        "version": "2.6.0amzn1.0",
        "summary": "Libfabric",
        "licence": "BSD-2-Clause",
        "bundled_in": {"name": "efa", "version": "1.50.0"},
        "fact_source": "d",
    }


@pytest.mark.parametrize(("system", "version"), [("debian12", "1.21.0"), ("ubuntu2404", "1.21.1")])
def test_a_version_of_the_stack_wins_over_one_inside_another_component(system: str, version: str) -> None:
    assert catalogue.component(DOCUMENT, "plugin", os=system)["version"] == version
    assert catalogue.chosen(DOCUMENT, None, system, "x86_64")["plugin"] == version


@pytest.mark.parametrize(
    ("name", "system", "message"),
    [
        ("neuron", "debian12", "stack long_term has no neuron on debian12: glibc is too old; fix: leave it out"),
        ("neuron", "debian11", "OS 'debian11' is not in the catalogue; fix: did you mean debian1"),
        ("kernel", "debian13", "component of stack long_term 'kernel' is not in the catalogue for debian13; fix: "),
    ],
)
def test_a_component_that_an_os_does_not_have_is_refused(name: str, system: str, message: str) -> None:
    with pytest.raises(TrainingError) as refused:
        catalogue.component(DOCUMENT, name, os=system)
    assert str(refused.value).startswith(message)


def test_chosen_tells_all_that_a_platform_has_with_what_comes_inside() -> None:
    assert catalogue.chosen(DOCUMENT, "long_term", "ubuntu2404", "x86_64") == {
        "efa": "1.50.0",
        "kernel": "6.8",
        "libfabric": "2.6.0amzn1.0",
        "lost": "1",
        "neuron": "2",
        "plugin": "1.21.1",
        "torch": "2.13.0",
    }


@pytest.mark.parametrize(
    ("system", "arch", "missing"),
    [
        ("debian12", "x86_64", {"neuron"}),
        ("ubuntu2404", "aarch64", {"neuron"}),
        ("debian13", "x86_64", {"kernel", "libfabric"}),
    ],
)
def test_chosen_leaves_out_what_a_platform_does_not_have(system: str, arch: str, missing: set[str]) -> None:
    everything = {"efa", "kernel", "libfabric", "lost", "neuron", "plugin", "torch"}
    assert everything - set(catalogue.chosen(DOCUMENT, None, system, arch)) == missing


def test_what_comes_inside_goes_with_the_component_that_brings_it() -> None:
    stack = DOCUMENT["stacks"]["long_term"]
    without = {**DOCUMENT, "stacks": {"long_term": {**stack, "left_out": {"efa": {"ubuntu2404": "not there"}}}}}
    everything = catalogue.chosen(DOCUMENT, None, "ubuntu2404", "x86_64")
    assert set(everything) - set(catalogue.chosen(without, None, "ubuntu2404", "x86_64")) == {
        "efa",
        "libfabric",
        "plugin",
    }


def test_left_out_tells_the_reason_of_os_and_architecture() -> None:
    assert catalogue.left_out(DOCUMENT, None, "debian12") == {"neuron": "glibc is too old"}
    assert catalogue.left_out(DOCUMENT, None, "debian13", "aarch64") == {
        "libfabric": "no libfabric there",
        "neuron": "for x86_64 alone",
    }


@pytest.mark.parametrize(
    ("system", "arch", "message"),
    [("ubuntu", "x86_64", "OS 'ubuntu' is not in the"), ("debian12", "arm64", "architecture 'arm64' is not in the")],
)
def test_an_unknown_platform_is_refused(system: str, arch: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        catalogue.chosen(DOCUMENT, None, system, arch)


def test_every_version_of_a_component_is_known_also_those_inside_of_others() -> None:
    assert catalogue.versions(DOCUMENT, "plugin") == ["1.21.0", "1.21.1"]
    assert catalogue.versions(DOCUMENT, "libfabric") == ["2.6.0amzn1.0", "2.7.0amzn2.0"]


def test_sources_of_other_platforms_are_put_aside() -> None:
    entry = {
        "name": "x",
        "files": [{"os": ["debian12"], "file": 1}, {"arch": ["aarch64"], "file": 2}, {"file": 3}],
        "system": [{"os": ["debian12"], "packages": {}}],
    }
    assert catalogue.on_platform(entry, "debian13", "x86_64") == {"name": "x", "files": [{"file": 3}]}
    assert len(catalogue.on_platform(entry, "debian12", "aarch64")["files"]) == 3


def test_overrides_are_merged_into_maps_replace_the_rest_and_are_told() -> None:
    version: dict[str, Any] = {"fact_source": "mine", "files": [{"file": {"url": "https://example.com/x"}}]}
    overrides = {
        "stacks": {"long_term": {"components": {"torch": "2.15.0", "lost": None}}},
        "components": {"torch": {"versions": {"2.15.0": version}}},
    }
    result = catalogue.overridden(DOCUMENT, overrides)
    assert result["overridden"] is True
    assert catalogue.component(result, "torch")["fact_source"] == "mine"
    assert set(result["components"]["torch"]["versions"]) == {"2.13.0", "2.14.0", "2.15.0"}
    assert "lost" not in result["stacks"]["long_term"]["components"]
    assert "overridden" not in DOCUMENT
    assert "2.15.0" not in DOCUMENT["components"]["torch"]["versions"]
    version["files"].clear()
    assert result["components"]["torch"]["versions"]["2.15.0"]["files"]


def overrides_with(url: str) -> dict[str, Any]:
    version = {"fact_source": "x", "files": [{"file": {"url": url, "unverified": "x"}}]}
    return {"components": {"torch": {"versions": {"2.13.0": version}}}}


@pytest.mark.parametrize("url", ["https://example.com/x", "http://127.0.0.1:8080/h/x", "file:///srv/mirror/x"])
def test_overrides_may_also_lead_to_this_machine(url: str) -> None:
    read = controller.read_stack(overrides_with(url))
    assert catalogue.component(read, "torch")["files"][0]["file"]["url"] == url


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (overrides_with("http://10.0.0.1/x"), "'http://10.0.0.1/x' does not match"),
        (overrides_with("http://127.0.0.1.example.com/x"), "does not match"),
        ({"component": {}}, "stack_overrides: key component: no such key; fix: did you mean components?"),
        ("torch=2", "stack_overrides is 'torch=2', not a map; fix: "),
    ],
)
def test_overrides_that_do_not_fit_are_refused(overrides: Any, message: str) -> None:
    with pytest.raises(TrainingError) as refused:
        controller.read_stack(overrides)
    assert message in str(refused.value)


def test_a_run_with_overrides_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Display, "warning", lambda display, text: told.append(text))
    controller.read_stack()
    assert told == []
    controller.read_stack(overrides_with("https://example.com/x"))
    [warning] = told
    assert warning.startswith("stack_overrides takes part")


def test_without_overrides_the_catalogue_is_as_it_stands() -> None:
    assert controller.read_stack() == controller.read_stack({}) == STACK
    assert "overridden" not in STACK


def test_the_platforms_are_those_of_the_schema() -> None:
    definitions = controller.schema("stack")["$defs"]
    assert tuple(sorted(definitions["systems"]["items"]["enum"])) == catalogue.SYSTEMS
    assert tuple(sorted(definitions["architectures"]["items"]["enum"])) == catalogue.ARCHITECTURES
    for definition, names in (
        ("by_system", catalogue.SYSTEMS),
        ("by_platform", catalogue.SYSTEMS + catalogue.ARCHITECTURES),
    ):
        [pattern] = definitions[definition]["patternProperties"]
        assert sorted(pattern.strip("^()$").split("|")) == sorted(names)


PLATFORMS = list(itertools.product(STACK["stacks"], catalogue.SYSTEMS, catalogue.ARCHITECTURES))


@pytest.mark.parametrize(("stack", "system", "arch"), PLATFORMS)
def test_a_stack_has_each_component_on_each_platform_or_says_why_not(stack: str, system: str, arch: str) -> None:
    chosen = catalogue.chosen(STACK, stack, system, arch)
    without = catalogue.left_out(STACK, stack, system, arch)
    assert not set(chosen) & set(without)
    assert set(STACK["stacks"][stack]["components"]) <= set(chosen) | set(without)
    for name in chosen:
        entry = catalogue.on_platform(catalogue.component(STACK, name, stack, system), system, arch)
        assert set(entry) & {"files", "repositories", "system", "python", "images", "bundled_in"}, name
        packages = [p for kind in ("repositories", "system") for s in entry.get(kind, []) for p in s["packages"]]
        assert len(packages) == len(set(packages)), name


@pytest.mark.parametrize("stack", STACK["stacks"])
def test_what_a_stack_leaves_out_for_an_os_is_not_named_for_it(stack: str) -> None:
    entry = STACK["stacks"][stack]
    for name, reasons in entry["left_out"].items():
        assert name in STACK["components"]
        named = entry["components"].get(name)
        assert not (isinstance(named, dict) and set(named) & set(reasons)), name


@pytest.mark.parametrize(
    ("stack", "system", "arch", "names"),
    [
        ("long_term", "debian12", "x86_64", {"lustre_client"}),
        ("newest", "ubuntu2404", "x86_64", {"lustre_client"}),
        ("long_term", "amazon2023", "x86_64", {"pytorch_neuron"}),
        ("newest", "debian13", "x86_64", {"cuda", "dcgm", "lustre_client", "nccl", "nvidia_driver"}),
        ("long_term", "ubuntu2404", "aarch64", {"neuron_dkms", "neuron_runtime"}),
    ],
)
def test_the_facts_have_no_such_component_there(stack: str, system: str, arch: str, names: set[str]) -> None:
    assert names <= set(catalogue.left_out(STACK, stack, system, arch))


def test_the_plugin_is_built_on_debian_12_and_comes_with_the_installer_elsewhere() -> None:
    """R38: the installer's plugin is for no list that names Debian 12."""
    built, brought = (catalogue.component(STACK, "aws_ofi_nccl", os=os) for os in ("debian12", "ubuntu2404"))
    assert built["files"]
    assert brought["bundled_in"] == {"name": "efa", "version": "1.50.0"}


def test_the_inside_of_a_component_is_a_component_that_nothing_else_of_a_stack_brings() -> None:
    for name, component in STACK["components"].items():
        for about in component["versions"].values():
            assert set(about.get("bundles", {})) <= set(STACK["components"]), name
    for stack, entry in STACK["stacks"].items():
        held = [
            STACK["components"][n]["versions"].get(v, {}) for n, v in entry["components"].items() if isinstance(v, str)
        ]
        inside = [name for about in held for name in about.get("bundles", {})]
        assert len(inside) == len(set(inside)), stack


def test_versions_are_strings() -> None:
    assert {type(v) for component in STACK["components"].values() for v in component["versions"]} == {str}


def test_a_file_held_to_a_signer_has_its_signature_and_its_key() -> None:
    [problem] = problems(OF_SIGNER)
    assert "signature: signer needs it" in problem
    assert problems({**OF_SIGNER, **SIGNED}) == []


def test_the_default_stack_is_one_of_the_stacks() -> None:
    assert STACK["default"] in STACK["stacks"]


LOCKED = [
    (about["python"]["package"], version, about["python"]["locked_in"])
    for component in STACK["components"].values()
    for version, about in component["versions"].items()
    if "locked_in" in about.get("python", {})
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
    document = {**EMPTY, "components": {"x": component}}
    return [str(problem) for problem in validate(document, controller.schema("stack"), "stack.yml")]


@pytest.mark.parametrize(
    "artifact",
    [
        {"sha256": DIGEST, "verified_from": RECIPE},
        {"sha256": DIGEST, "verified_from": "code(3), two of them distributions"},
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
        ({"url": "https://example.com/x", "signer": SIGNER, **SIGNED}, "verified_from: signer needs it"),
        ({"url": "https://example.com/x", "sha256": DIGEST, "verified_from": "trust me"}, "'trust me' does not match"),
        ({"url": "https://example.com/x", "sha256": "abc", "verified_from": RECIPE}, "'abc' does not match"),
        ({"url": "https://example.com/x", "signer": "a" * 40, "verified_from": RECIPE, **SIGNED}, "does not match"),
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
    document = {**EMPTY, "components": {"x": component}}
    assert len(validate(document, controller.schema("stack"), "stack.yml")) == 1
