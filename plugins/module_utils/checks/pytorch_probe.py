# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What a PyTorch can do on this node, told as one line of JSON. Runs under that PyTorch's own Python, not under ours.

``python -c SOURCE`` tells what it found; ``python -c SOURCE rank N COUNT FILE`` is one rank of the all-reduce.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

SIZE = 1024
"""Rows and columns of the matrices."""
ELEMENTS = 1 << 20
"""Of the tensor that is summed over the ranks: 4 MiB, so that NCCL uses more than one channel."""
RANK_TIMEOUT_S = 120


def told() -> dict[str, object]:
    """Versions, devices, errors of products, and what the ranks say of their sum."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "nccl": ".".join(map(str, torch.cuda.nccl.version())) if gpus else None,
        "architectures": torch.cuda.get_arch_list(),
        "devices": [
            {"name": torch.cuda.get_device_name(index), "capability": list(torch.cuda.get_device_capability(index))}
            for index in range(gpus)
        ],
        "products": {
            f"{device}, {name}": product(torch, device, kind)
            for device in [f"cuda:{index}" for index in range(gpus)] or ["cpu"]
            for name, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
        },
        "all_reduce": all_reduce(gpus),
    }


def product(torch, device, kind) -> float:  # type: ignore[no-untyped-def]
    """Error of A @ B in the Frobenius norm, over that of A times that of B, against float64 on the CPU."""
    torch.backends.cuda.matmul.allow_tf32 = False
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(SIZE, SIZE, generator=generator).to(kind) for _ in range(2))
    exact = a.double() @ b.double()
    found = (a.to(device) @ b.to(device)).cpu().double()
    return float((found - exact).norm() / (a.double().norm() * b.double().norm()))


def all_reduce(gpus: int) -> dict[str, object]:
    """One rank for each GPU, or two on the CPU: how many, by what, and what went wrong."""
    ranks = gpus or 2
    with tempfile.TemporaryDirectory() as folder:
        meeting = os.path.join(folder, "meeting")
        command = [sys.executable, *sys.orig_argv[1 : sys.orig_argv.index("-c") + 2]]
        started = [
            subprocess.Popen(
                [*command, "rank", str(rank), str(ranks), meeting],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(ranks)
        ]
        problems = []
        for rank, process in enumerate(started):
            try:
                _, said = process.communicate(timeout=RANK_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                said = f"no answer within {RANK_TIMEOUT_S} s"
            if process.poll() != 0:
                problems.append(f"rank {rank}: {(said.strip().splitlines() or ['no reason is told'])[-1]}")
                for other in started:
                    other.kill()
        return {"ranks": ranks, "backend": "nccl" if gpus else "gloo", "problems": problems}


def be_rank(rank: int, ranks: int, meeting: str) -> None:
    """Sum rank + 1 over all ranks, and see that it is right in every element."""
    import torch
    import torch.distributed as dist

    device = f"cuda:{rank}" if torch.cuda.is_available() else "cpu"
    if device != "cpu":
        torch.cuda.set_device(rank)
    dist.init_process_group(
        "nccl" if device != "cpu" else "gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks
    )
    tensor = torch.full((ELEMENTS,), float(rank + 1), device=device)
    dist.all_reduce(tensor)
    wanted = ranks * (ranks + 1) / 2
    wrong = int((tensor != wanted).sum())
    dist.destroy_process_group()
    if wrong:
        sys.exit(f"{wrong} of {ELEMENTS} elements are not {wanted}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["rank"]:
        be_rank(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        print(json.dumps(told()))
