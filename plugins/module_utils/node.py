# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What a node offers to a training run, read from the node itself."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from typing import Any


def gpu_names(nvidia_smi: str) -> list[str]:
    """The GPUs' names in ``nvidia-smi --query-gpu=name --format=csv,noheader``, one a line."""
    return [line.strip() for line in nvidia_smi.splitlines() if line.strip() and not line.startswith("No devices")]


def ec2_instance_type(vendor: str, product: str) -> str | None:
    """The instance type that a Nitro instance's firmware states; None elsewhere."""
    return product.strip() if vendor.strip() == "Amazon EC2" and "." in product else None


def instance_type_here() -> str | None:
    """The EC2 type of this node; None elsewhere."""
    return ec2_instance_type(_text("sys_vendor"), _text("product_name"))


def node_facts() -> dict[str, Any]:
    """accelerator (cuda, neuron, cpu), accelerators (count), accelerator_model, cpus (that this process may use),
    memory_gib and instance_type (None outside EC2) of this node.
    """
    gpus = gpu_names(_output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"))
    neuron = sorted(glob.glob("/dev/neuron[0-9]*"))
    accelerator = "cuda" if gpus else "neuron" if neuron else "cpu"
    return {
        "accelerator": accelerator,
        "accelerators": len(gpus) or len(neuron),
        "accelerator_model": gpus[0] if gpus else None,
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "instance_type": instance_type_here(),
    }


def _text(name: str) -> str:
    try:
        with open(f"/sys/devices/virtual/dmi/id/{name}", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _output(*command: str) -> str:
    """What a tool prints; nothing where it is absent, fails or hangs (a GPU off the bus hangs nvidia-smi)."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return ran.stdout if ran.returncode == 0 else ""
