"""The ranks of a PyTorch run: how they meet, what they agree on, and what each of them runs on."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from adt_train.metrics import MetricWriter


@dataclass(frozen=True)
class Ranks:
    """This process among the others."""

    rank: int
    count: int
    device: torch.device
    cpu_group: dist.ProcessGroup
    """All ranks, over gloo, for what CPUs tell each other: a GPU's queue of work is not waited for."""

    @classmethod
    def start(cls) -> Ranks:
        """Join the processes that torchrun started, or be alone."""
        device, backend = torch.device("cpu"), "gloo"
        if torch.cuda.is_available():
            # several ranks may share a GPU
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
            torch.cuda.set_device(device)
            backend = "cpu:gloo,cuda:nccl"
        if "RANK" in os.environ:
            dist.init_process_group(backend)
        else:
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        ranks = cls(dist.get_rank(), dist.get_world_size(), device, dist.new_group(backend="gloo"))
        ranks.wait()  # until all are here: one that leaves with an error would take the meeting place with it
        return ranks

    def lanes(self, global_batch: int) -> range:
        """The rows of every global batch that this rank reads, as many as the others'; no two ranks share one."""
        rows = global_batch // self.count
        return range(self.rank * rows, (self.rank + 1) * rows)

    def to_device(self, rows: Tensor) -> Tensor:
        """Rows on this rank's device; a copy to a GPU goes on beside what follows."""
        return rows.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else rows

    def mean(self, value: Tensor) -> float:
        """Mean of a scalar over all ranks; waits for the device."""
        total = value.clone()
        dist.all_reduce(total)
        return float(total) / self.count

    def any(self, flag: bool) -> bool:
        """Whether any rank says so."""
        said = torch.tensor(int(flag))
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self.cpu_group)
        return bool(said)

    def wait(self) -> None:
        """Return when all ranks are here."""
        dist.barrier(group=self.cpu_group)

    def memory_gib(self) -> float:
        """Most memory that this rank has held: of the GPU, as reserved by PyTorch, or of the process."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_reserved(self.device) / 2**30
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    def tell_environment(self, writer: MetricWriter, first_step: int, vocabulary: int) -> None:
        """What this run runs on, for its record; ``vocabulary`` is what the model chooses from."""
        cuda = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if cuda else "CPU"
        writer.event(
            "environment",
            f"{self.count} rank{'s' if self.count > 1 else ''} on {name}, from step {first_step}",
            torch=torch.__version__,
            cuda=torch.version.cuda if cuda else None,
            nccl=".".join(map(str, torch.cuda.nccl.version())) if cuda else None,
            device=name,
            vocabulary=vocabulary,
        )
