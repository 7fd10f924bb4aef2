"""Train a small language model with DistributedDataParallel: every rank holds all of it and reads rows of its own.

    torchrun --nproc-per-node 2 train.py                               on CPUs or GPUs
    torchrun --nproc-per-node 2 train.py --steps=1000 --width=256
    torchrun --nnodes 2 --node-rank 0 --master-addr HOST --nproc-per-node 8 train.py --global_batch=128

adt_train must be importable: PYTHONPATH=test_cases/lib. Run it again to resume, on as many ranks as you like.
"""

from __future__ import annotations

import hashlib
import math
import os
import resource
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from model import ByteModel, Shape, flops_per_token
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from adt_train import (
    EXIT_SAVED,
    Environment,
    MetricWriter,
    StopRequest,
    UserError,
    checkpoints,
    parse_arguments,
    run_main,
)
from adt_train.data import Source, open_source


@dataclass
class Settings:
    """What case.yml calls parameters; their help stands there."""

    data: str = "text:"
    sequence_length: int = 128
    width: int = 96
    layers: int = 6
    steps: int = 240
    global_batch: int = 16
    learning_rate: float = 6e-3
    final_learning_rate: float = 0.1
    warmup_steps: int = 20
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 1
    bf16: bool = True
    checkpoint_every: int = 100
    checkpoints_kept: int = 2
    eval_every: int = 0
    eval_rows: int = 256
    log_every: int = 10


def main() -> int:
    """Set up, train, evaluate; returns the exit status."""
    settings = parse_arguments(Settings)
    environment = Environment.read()
    stop = StopRequest()
    rank, ranks, device = start_ranks()
    lanes = lanes_of(rank, ranks, settings.global_batch)
    source = open_source(settings.data, settings.sequence_length, settings.global_batch, settings.seed)
    shape = Shape(source.vocabulary, settings.width, settings.layers)

    torch.manual_seed(settings.seed)
    model = ByteModel(shape).to(device)
    replica = DistributedDataParallel(model, gradient_as_bucket_view=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    writer = MetricWriter(
        environment,
        rank,
        accelerators=ranks,
        tokens_per_step=settings.global_batch * settings.sequence_length,
        flops_per_token=flops_per_token(model),
        total_steps=settings.steps,
    )
    first = load_checkpoint(environment, shape, model, optimizer, writer)
    tell_environment(writer, device, ranks, first)

    saved, logged, since = first, first, time.monotonic()
    for step in range(first, settings.steps):
        rate = learning_rate(step, settings)
        loss = train_step(replica, optimizer, rows_on(device, source, step, lanes), rate, settings)
        done = step + 1
        if step == first or done % settings.log_every == 0:
            loss_value = mean_over_ranks(loss)  # waits for the device
            seconds = (time.monotonic() - since) / (done - logged)
            writer.step(step, loss_value, seconds, memory_gib(device), learning_rate=rate)
            logged, since = done, time.monotonic()
        if done == settings.steps or (settings.eval_every and done % settings.eval_every == 0):
            writer.eval(done, evaluate(model, source, settings, rank, ranks, device))
        stopping = any_rank(stop.requested)
        if stopping or done == settings.steps or done % settings.checkpoint_every == 0:
            save_checkpoint(environment, done, shape, model, optimizer, writer, settings.checkpoints_kept)
            saved = done
        if stopping and done < settings.steps:
            writer.event("saved_on_request", f"after {done} of {settings.steps} steps", step=saved)
            if rank == 0:
                environment.mark_saved()
            return EXIT_SAVED
    if first >= settings.steps:
        writer.eval(first, evaluate(model, source, settings, rank, ranks, device))
    prove_replicas_equal(model, ranks, writer)
    writer.event("finished", f"{settings.steps} steps")
    dist.barrier()
    return 0


def start_ranks() -> tuple[int, int, torch.device]:
    """Join the processes that torchrun started, or be alone; returns rank, ranks and this rank's device."""
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
    return dist.get_rank(), dist.get_world_size(), device


def lanes_of(rank: int, ranks: int, global_batch: int) -> range:
    """The rows of every global batch that a rank reads; no two ranks share one."""
    if global_batch % ranks:
        raise UserError(
            f"global_batch={global_batch} rows cannot be shared evenly by {ranks} ranks",
            f"global_batch={math.ceil(global_batch / ranks) * ranks}",
        )
    rows = global_batch // ranks
    return range(rank * rows, (rank + 1) * rows)


def rows_on(device: torch.device, source: Source, step: int, lanes: range) -> Tensor:
    """This rank's rows of a step, (rows, T + 1)."""
    rows = torch.from_numpy(source.rows(step, lanes))
    return rows.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else rows


def train_step(
    replica: nn.Module, optimizer: torch.optim.Optimizer, rows: Tensor, rate: float, settings: Settings
) -> Tensor:
    """One update; returns the loss of this rank's rows before it. Backward averages gradients over the ranks."""
    loss = mean_loss(replica, rows, settings.bf16)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(replica.parameters(), settings.clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


def mean_loss(model: nn.Module, rows: Tensor, bf16: bool) -> Tensor:
    """Mean cross entropy in nats per token."""
    with torch.autocast("cuda", torch.bfloat16, enabled=bf16 and rows.is_cuda):
        scores = model(rows[:, :-1])
    return F.cross_entropy(scores.float().flatten(0, 1), rows[:, 1:].flatten())


def learning_rate(step: int, settings: Settings) -> float:
    """Linear warm-up, then a half cosine down to ``final_learning_rate`` of the peak."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    floor = settings.final_learning_rate
    return settings.learning_rate * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


@torch.no_grad()
def evaluate(
    model: ByteModel, source: Source, settings: Settings, rank: int, ranks: int, device: torch.device
) -> float:
    """Loss on held-out rows, each read by one rank."""
    total = torch.zeros(2, dtype=torch.float64)
    for rows in torch.from_numpy(source.held_out(settings.eval_rows))[rank::ranks].split(settings.global_batch):
        loss = mean_loss(model, rows.to(device), settings.bf16)
        total += torch.tensor([float(loss) * len(rows), len(rows)], dtype=torch.float64)
    dist.all_reduce(total)
    return float(total[0] / total[1])


def save_checkpoint(
    environment: Environment,
    step: int,
    shape: Shape,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    writer: MetricWriter,
    keep: int,
) -> None:
    """Rank 0 writes the state after ``step`` updates, which all ranks have, into one file; it is complete on return."""
    if dist.get_rank() != 0:
        return
    started, root = time.monotonic(), environment.checkpoint_dir
    try:
        part = checkpoints.begin(root, step)
        with open(part / "state.pt", "wb") as file:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
            file.flush()
            os.fsync(file.fileno())
        path, size = checkpoints.publish(part, {"step": step, "shape": asdict(shape)}, keep)
    except (OSError, RuntimeError) as error:  # torch.save makes a RuntimeError of a full disk
        checkpoints.abandon(root)
        free = checkpoints.free_bytes(root) / 2**20
        raise UserError(
            f"the checkpoint could not be saved in {root} ({error}; {free:.0f} MiB free)",
            "free space there, or another checkpoint folder; then run again: the last complete checkpoint is kept",
        ) from None
    seconds = time.monotonic() - started
    writer.checkpoint(step, str(path), seconds, size, blocked_s=seconds)


def load_checkpoint(
    environment: Environment, shape: Shape, model: nn.Module, optimizer: torch.optim.Optimizer, writer: MetricWriter
) -> int:
    """Load the newest complete checkpoint; returns the number of updates it has seen, 0 without one.

    Rank 0 reads and sends, so the folder need not be shared by the nodes.
    """
    sent: list[dict[str, Any] | None] = [None]
    if dist.get_rank() == 0:
        checkpoints.abandon(environment.checkpoint_dir)
        found = checkpoints.newest(environment.checkpoint_dir, lambda text: writer.event("checkpoint_damaged", text))
        if found:
            path, about = found
            state = torch.load(path / "state.pt", map_location="cpu", weights_only=True)
            sent = [{"path": path, "about": about, "state": state}]
    dist.broadcast_object_list(sent, src=0)
    if sent[0] is None:
        return 0
    path, about, state = sent[0]["path"], sent[0]["about"], sent[0]["state"]
    if about["shape"] != asdict(shape):
        told = ", ".join(
            f"{name} {about['shape'].get(name)} there, {here} here" for name, here in asdict(shape).items()
        )
        raise UserError(
            f"checkpoint {path} is of another model: {told}", "the model that it was made with, or another run"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    writer.event("resumed", f"from {path.name}", step=about["step"])
    return int(about["step"])


def prove_replicas_equal(model: nn.Module, ranks: int, writer: MetricWriter) -> None:
    """What DistributedDataParallel promises: every rank has the same weights, to the bit."""
    digest = hashlib.sha256()
    for weight in model.state_dict().values():
        digest.update(weight.cpu().numpy().tobytes())
    digests: list[str] = [""] * ranks
    dist.all_gather_object(digests, digest.hexdigest())
    strangers = [rank for rank, other in enumerate(digests) if other != digests[0]]
    if strangers:
        raise UserError(
            f"after training, the weights of ranks {strangers} of {ranks} differ from those of rank 0",
            "update weights only from gradients that DistributedDataParallel averaged; else suspect those ranks' memory",
        )
    writer.event("replicas_equal", f"the weights of {ranks} ranks are equal", sha256=digests[0])


def mean_over_ranks(value: Tensor) -> float:
    """Mean of a scalar over all ranks."""
    total = value.clone()
    dist.all_reduce(total)
    return float(total) / dist.get_world_size()


def any_rank(flag: bool) -> bool:
    """Whether any rank says so. Between the CPUs, over gloo: the device's queue of work is not waited for."""
    said = torch.tensor(int(flag))
    dist.all_reduce(said, dist.ReduceOp.MAX)
    return bool(said)


def memory_gib(device: torch.device) -> float:
    """Most memory that this rank has held: of the GPU, as reserved by PyTorch, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def tell_environment(writer: MetricWriter, device: torch.device, ranks: int, first: int) -> None:
    """What this run runs on, for its record."""
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else "CPU"
    writer.event(
        "environment",
        f"{ranks} ranks on {name}, from step {first}",
        torch=torch.__version__,
        cuda=torch.version.cuda if cuda else None,
        nccl=".".join(map(str, torch.cuda.nccl.version())) if cuda else None,
        device=name,
    )


if __name__ == "__main__":
    run_main(main)
