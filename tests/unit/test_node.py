# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What a node offers: read from tools and firmware, whatever state they are in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import node

# kind: reconstructed - the layout of nvidia-smi --query-gpu=name --format=csv,noheader, 2026
TWO_GPUS = "NVIDIA H100 80GB HBM3\nNVIDIA H100 80GB HBM3\n"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def nvidia_smi(tools: Path, script: str) -> None:
    (tools / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (tools / "nvidia-smi").chmod(0o755)


def test_every_gpu_has_a_name() -> None:
    assert node.gpu_names(TWO_GPUS) == ["NVIDIA H100 80GB HBM3"] * 2


@pytest.mark.parametrize("output", ["", "\n", "No devices were found\n"])
def test_a_node_without_gpus_names_none(output: str) -> None:
    assert node.gpu_names(output) == []


@pytest.mark.parametrize(
    ("vendor", "product", "name"),
    [
        ("Amazon EC2\n", "p5.48xlarge\n", "p5.48xlarge"),
        ("Amazon EC2\n", "u-6tb1.metal\n", "u-6tb1.metal"),
        ("Xen\n", "HVM domU\n", None),
        ("Amazon EC2\n", "Not Specified\n", None),
        ("QEMU\n", "Standard PC (Q35 + ICH9, 2009)\n", None),
        ("", "", None),
    ],
)
def test_an_instance_type_is_what_nitro_firmware_states(vendor: str, product: str, name: str | None) -> None:
    assert node.ec2_instance_type(vendor, product) == name


def test_a_node_with_gpus_offers_cuda(tools: Path) -> None:
    nvidia_smi(tools, f'[ "$*" = "--query-gpu=name --format=csv,noheader" ] && printf "{TWO_GPUS}"')
    facts = node.node_facts()
    assert (facts["accelerator"], facts["accelerators"], facts["accelerator_model"]) == (
        "cuda",
        2,
        "NVIDIA H100 80GB HBM3",
    )


@pytest.mark.parametrize("script", ["echo NVIDIA-SMI has failed; exit 9", "echo No devices were found"])
def test_a_node_whose_gpus_are_out_of_order_offers_cpus(tools: Path, script: str) -> None:
    nvidia_smi(tools, script)
    facts = node.node_facts()
    assert (facts["accelerator"], facts["accelerators"], facts["accelerator_model"]) == ("cpu", 0, None)


def test_a_node_without_tools_offers_cpus(tools: Path) -> None:
    facts = node.node_facts()
    assert facts["accelerator"] == "cpu"
    assert facts["cpus"] == len(os.sched_getaffinity(0))
    assert facts["memory_gib"] > 0
