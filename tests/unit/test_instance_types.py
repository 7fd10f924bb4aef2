# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""data/instance_types.yml against recorded answers of describe-instance-types, and against itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller

ROOT = Path(controller.ROOT)
RECORDED = ROOT / "tests/recorded/ec2"
TYPES = controller.read_catalogue("instance_types")
NAMES = sorted(TYPES["instance_types"])
ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}
NOT_RECORDED = {"p6e-gb200.36xlarge"}
EFA_CARDS = "the EFA guide: 400 of EFA per card; the record has the 200 of ENA"
CARDS_AND_TOTAL = "the record states the same for each card and for all, and the total is taken"
EXCEPTIONS = {
    ("p6-b200.48xlarge", "card gbps"): EFA_CARDS,
    ("g6e.24xlarge", "card gbps"): CARDS_AND_TOTAL,
    ("g6e.48xlarge", "card gbps"): CARDS_AND_TOTAL,
    ("trn2.3xlarge", "card gbps"): "the record states 50 of the card and 200 in all, and the total is taken",
    ("trn2.3xlarge", "accelerator memory"): "the Neuron documentation: 96 GiB; the record has 512",
    ("trn2.48xlarge", "accelerator memory"): "the Neuron documentation: 96 GiB; the record has 512",
    ("trn2u.48xlarge", "accelerators"): "the record names none",
    ("trn2u.48xlarge", "accelerator memory"): "the record names none",
    ("trn2u.48xlarge", "accelerator cores"): "the record names none",
}


def recorded(name: str) -> dict[str, Any]:
    """What EC2 answered for a type."""
    [answer] = json.loads((RECORDED / f"{name}.json").read_text())["InstanceTypes"]
    assert answer["InstanceType"] == name
    return dict(answer)


def of_record(answer: dict[str, Any]) -> dict[str, Any]:
    """A recorded answer in our words and units."""
    network, ebs = answer["NetworkInfo"], answer["EbsInfo"]["EbsOptimizedInfo"]
    [disks] = answer["InstanceStorageInfo"]["Disks"]
    devices = answer.get("GpuInfo", {}).get("Gpus") or answer.get("NeuronInfo", {}).get("NeuronDevices") or [{}]
    total = re.fullmatch(r"(?:Up to )?(?:(\d+)x )?([\d.]+) Gigabit", network["NetworkPerformance"])
    assert total is not None
    return {
        "arch": [ARCHITECTURES[name] for name in answer["ProcessorInfo"]["SupportedArchitectures"]],
        "vcpus": answer["VCpuInfo"]["DefaultVCpus"],
        "cores": answer["VCpuInfo"]["DefaultCores"],
        "memory_gib": answer["MemoryInfo"]["SizeInMiB"] / 1024,
        "nvme": {"disks": disks["Count"], "gb": disks["SizeInGB"]},
        "ebs": (ebs["BaselineBandwidthInMbps"] / 1000, ebs["MaximumBandwidthInMbps"] / 1000),
        "accelerators": devices[0].get("Count"),
        "accelerator memory": devices[0].get("MemoryInfo", {}).get("SizeInMiB", 0) / 1024,
        "accelerator cores": devices[0].get("CoreInfo", {}).get("Count"),
        "efa": network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0),
        "gbps": float(total[2]) * int(total[1] or 1),
        "cards": [card["NetworkCardIndex"] for card in network["NetworkCards"]],
        "card gbps": [card["PeakBandwidthInGbps"] for card in network["NetworkCards"]],
        "card baseline": sorted({card["BaselineBandwidthInGbps"] for card in network["NetworkCards"]}),
    }


def of_catalogue(name: str) -> dict[str, Any]:
    """An entry of ours in the same words."""
    entry = catalogue.instance_type(TYPES, name)
    network, accelerator, cards = entry["network"], entry["accelerator"], catalogue.network_cards(entry)
    return {
        "arch": [entry["arch"]],
        "vcpus": entry["vcpus"],
        "cores": entry["cores"],
        "memory_gib": entry["memory_gib"],
        "nvme": entry["nvme"],
        "ebs": (entry.get("ebs_baseline_gbps", entry["ebs_gbps"]), entry["ebs_gbps"]),
        "accelerators": accelerator["count"],
        "accelerator memory": pytest.approx(accelerator["memory_gib"], abs=0.1),
        "accelerator cores": accelerator.get("cores"),
        "efa": network["efa"],
        "gbps": network["gbps"],
        "cards": [card["index"] for card in cards],
        "card gbps": [card["gbps"] for card in cards],
        "card baseline": [network["baseline_gbps"]] if "baseline_gbps" in network else None,
    }


@pytest.mark.parametrize("name", sorted(set(NAMES) - NOT_RECORDED))
def test_a_type_is_as_ec2_describes_it_save_for_named_exceptions(name: str) -> None:
    theirs, ours = of_record(recorded(name)), of_catalogue(name)
    if ours["card baseline"] is None:
        del ours["card baseline"]
    differing = {field for field, value in ours.items() if theirs[field] != value}
    assert differing == {field for other, field in EXCEPTIONS if other == name}


@pytest.mark.parametrize("name", sorted(set(NAMES) - NOT_RECORDED))
def test_a_card_takes_the_interface_of_our_layout(name: str) -> None:
    offered = {c["NetworkCardIndex"]: c["InterfaceTypes"] for c in recorded(name)["NetworkInfo"]["NetworkCards"]}
    for card in catalogue.network_cards(TYPES["instance_types"][name]):
        assert card["interface"] in offered[card["index"]]
        # a card of ENA alone is one where EC2 offers nothing more
        assert (card["interface"] == "interface") == (offered[card["index"]] == ["interface"])


def test_what_is_recorded_is_what_we_have() -> None:
    assert {path.stem for path in RECORDED.glob("*.json")} == set(NAMES) - NOT_RECORDED


def test_an_exception_names_a_type_that_we_have() -> None:
    assert {name for name, _ in EXCEPTIONS} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_instance_type_adds_up(name: str) -> None:
    entry = catalogue.instance_type(TYPES, name)
    cards = catalogue.network_cards(entry)
    assert [card["index"] for card in cards] == list(range(len(cards)))
    layout = [card for card in cards if not card.get("spare")]
    efa = [card for card in layout if card["interface"].startswith("efa")]
    assert len(efa) == entry["network"]["efa"]
    assert sum(card["gbps"] for card in efa or layout) == entry["network"]["gbps"]
    assert ("rdma" in entry["network"]) == bool(efa)


@pytest.mark.parametrize("name", sorted(set(NAMES) - NOT_RECORDED))
def test_a_core_has_two_threads(name: str) -> None:
    assert TYPES["instance_types"][name]["vcpus"] == 2 * TYPES["instance_types"][name]["cores"]


@pytest.mark.parametrize("name", NAMES)
def test_no_efa_only_interface_is_the_first(name: str) -> None:
    """R50: an interface of EFA alone cannot be the primary one."""
    first, *others = catalogue.network_cards(TYPES["instance_types"][name])
    assert first["interface"] != "efa-only"
    assert "interface" not in [card["interface"] for card in others]


@pytest.mark.parametrize(
    ("name", "cards"),
    [
        ("p5.48xlarge", ["efa", *["efa-only"] * 31]),
        ("p5en.48xlarge", ["efa", *["efa-only"] * 15]),
        ("p6-b200.48xlarge", ["efa", *["efa-only"] * 7]),
        ("p6-b300.48xlarge", ["interface", *["efa-only"] * 16]),
        ("p6e-gb200.36xlarge", ["interface", *["efa-only"] * 4]),
        ("g5.xlarge", ["interface"]),
    ],
)
def test_the_layout_of_cards(name: str, cards: list[str]) -> None:
    layout = [card for card in catalogue.network_cards(TYPES["instance_types"][name]) if not card.get("spare")]
    assert [card["interface"] for card in layout] == cards


def test_spare_cards_share_a_nic_or_a_pair_with_one_of_the_layout() -> None:
    cards = catalogue.network_cards(TYPES["instance_types"]["p6e-gb200.36xlarge"])
    assert [card["index"] for card in cards if not card.get("spare")] == [0, 1, 5, 9, 13]
    assert len(cards) == 17


@pytest.mark.parametrize(
    ("family", "sizes"),
    [("p4d", 1), ("p4de", 1), ("p5", 2), ("p5e", 1), ("p5en", 1), ("p6-b200", 1), ("p6-b300", 1), ("p6e-gb200", 1),
     ("g5", 8), ("g6", 8), ("g6e", 8), ("g7e", 6), ("trn1", 2), ("trn1n", 1), ("trn2", 2), ("trn2u", 1)],
)  # fmt: skip
def test_every_size_of_a_family_is_there(family: str, sizes: int) -> None:
    assert sum(name.split(".")[0] == family for name in NAMES) == sizes


@pytest.mark.parametrize("model", sorted(TYPES["accelerators"]))
def test_a_gpu_and_nothing_else_has_a_compute_capability(model: str) -> None:
    about = TYPES["accelerators"][model]
    assert ("compute_capability" in about) == (about["kind"] == "cuda")


@pytest.mark.parametrize(
    ("architecture", "major"), [("ampere", {"8"}), ("ada", {"8"}), ("hopper", {"9"}), ("blackwell", {"10", "12"})]
)
def test_a_compute_capability_is_one_of_the_gpus_architecture(architecture: str, major: set[str]) -> None:
    gpus = controller.read_catalogue("constraints")["gpus"]
    of_it = {
        about["compute_capability"].partition(".")[0]
        for model, about in TYPES["accelerators"].items()
        if gpus.get(model, {}).get("architecture") == architecture
    }
    assert of_it == major


def test_no_accelerator_is_without_a_type() -> None:
    assert set(TYPES["accelerators"]) == {entry["accelerator"]["model"] for entry in TYPES["instance_types"].values()}
