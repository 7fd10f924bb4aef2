"""Train a small language model with DistributedDataParallel: every rank holds all of it and reads rows of its own.

    torchrun --nproc-per-node 2 train.py                               on CPUs or GPUs
    torchrun --nproc-per-node 2 train.py --steps=1000 --width=256
    torchrun --nnodes 2 --node-rank 0 --master-addr HOST --nproc-per-node 8 train.py --global_batch=128

adt_train must be importable: PYTHONPATH=test_cases/lib. Run it again to resume, on as many ranks as you like.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
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
from adt_train.data import Source, fit_global_batch, open_source
from adt_train.schedules import warmup_cosine
from adt_train.torch_ranks import Ranks

TINY_BATCH = 16  # rows: what the default learning rate is for


@dataclass
class Settings:
    """What case.yml calls parameters; their help stands there."""

    width: int = 96
    layers: int = 6
    sequence_length: int = 128
    data: str = "text:"
    steps: int = 240
    global_batch: int = 0
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
    ranks = Ranks.start()
    settings.global_batch = fit_global_batch(settings.global_batch, TINY_BATCH, ranks.count)
    lanes = ranks.lanes(settings.global_batch)
    source = open_source(settings.data, settings.sequence_length, settings.global_batch, settings.seed)
    shape = Shape(source.vocabulary, settings.width, settings.layers)
    position = {name: getattr(settings, name) for name in ("sequence_length", "global_batch", "seed")}
    identity = {**asdict(shape), **position}

    torch.manual_seed(settings.seed)
    model = ByteModel(shape).to(ranks.device)
    replica = DistributedDataParallel(model, gradient_as_bucket_view=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    writer = MetricWriter(
        environment,
        ranks.rank,
        accelerators=ranks.count,
        tokens_per_step=settings.global_batch * settings.sequence_length,
        flops_per_token=flops_per_token(model),
        total_steps=settings.steps,
    )
    first = load(environment.checkpoint_dir, identity, model, optimizer, ranks, writer)
    ranks.tell_environment(writer, first, source.vocabulary)

    logged, since = first, time.monotonic()
    for step in range(first, settings.steps):
        rows = ranks.to_device(torch.from_numpy(source.rows(step, lanes)))
        rate = warmup_cosine(
            step, settings.steps, settings.learning_rate, settings.warmup_steps, settings.final_learning_rate
        )
        loss = train_step(replica, optimizer, rows, rate, settings)

        done = step + 1
        if step == first or done % settings.log_every == 0 or done == settings.steps:
            mean = ranks.mean(loss)
            seconds = (time.monotonic() - since) / (done - logged)
            writer.step(step, mean, seconds, ranks.memory_gib(), learning_rate=rate)
            logged, since = done, time.monotonic()
        if done == settings.steps or (settings.eval_every and done % settings.eval_every == 0):
            writer.eval(done, evaluate(model, source, settings, ranks))
        stopping = ranks.any(stop.requested) and done < settings.steps
        saving = stopping or done == settings.steps or done % settings.checkpoint_every == 0
        if saving and ranks.rank == 0:  # all ranks have the same state
            save(environment.checkpoint_dir, done, identity, model, optimizer, settings.checkpoints_kept, writer)
        if stopping:
            writer.event("saved_on_request", f"after {done} of {settings.steps} steps", step=done)
            if ranks.rank == 0:
                environment.mark_saved()
            ranks.wait()
            return EXIT_SAVED
    if first >= settings.steps:
        writer.eval(first, evaluate(model, source, settings, ranks))
    prove_replicas_equal(model, ranks, writer)
    writer.event("finished", f"{settings.steps} steps")
    ranks.wait()
    return 0


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


@torch.no_grad()
def evaluate(model: ByteModel, source: Source, settings: Settings, ranks: Ranks) -> float:
    """Loss on held-out rows, each read by one rank."""
    total = torch.zeros(2, dtype=torch.float64)
    mine = torch.from_numpy(source.held_out(settings.eval_rows))[ranks.rank :: ranks.count]
    for rows in mine.split(settings.global_batch) if len(mine) else ():  # fewer rows than ranks leave some without
        loss = mean_loss(model, rows.to(ranks.device), settings.bf16)
        total += torch.tensor([float(loss) * len(rows), len(rows)], dtype=torch.float64)
    dist.all_reduce(total, group=ranks.cpu_group)
    return float(total[0] / total[1])


def save(
    root: Path,
    step: int,
    identity: dict[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    keep: int,
    writer: MetricWriter,
) -> None:
    """The state after ``step`` updates, in one file; it is complete on return."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    about = {"step": step, "identity": identity}
    checkpoints.save(root, step, about, keep, lambda part: torch.save(state, part / "state.pt"), writer)


def load(
    root: Path,
    identity: dict[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    ranks: Ranks,
    writer: MetricWriter,
) -> int:
    """Load the newest complete checkpoint; returns the number of updates it has seen, 0 without one.

    Rank 0 reads and sends, so the folder need not be shared by the nodes.
    """
    sent: list[Any] = [None]
    if ranks.rank == 0:
        checkpoints.abandon(root)
        found = checkpoints.newest(root, lambda text: writer.event("checkpoint_damaged", text))
        if found:
            path, about = found
            checkpoints.refuse_another(path, about, identity)
            sent = [(path, about, torch.load(path / "state.pt", map_location="cpu", weights_only=True))]
    dist.broadcast_object_list(sent, src=0, group=ranks.cpu_group)
    if sent[0] is None:
        return 0
    path, about, state = sent[0]
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    writer.event("resumed", f"from {path.name}", step=about["step"])
    return int(about["step"])


def prove_replicas_equal(model: nn.Module, ranks: Ranks, writer: MetricWriter) -> None:
    """What DistributedDataParallel promises: every rank has the same weights, to the bit."""
    digest = hashlib.sha256()
    for weight in model.state_dict().values():
        digest.update(weight.cpu().numpy().tobytes())
    digests: list[str] = [""] * ranks.count
    dist.all_gather_object(digests, digest.hexdigest(), group=ranks.cpu_group)
    strangers = [rank for rank, other in enumerate(digests) if other != digests[0]]
    if strangers:
        raise UserError(
            f"after training, the weights of ranks {strangers} of {ranks.count} differ from those of rank 0",
            "update weights from gradients that DistributedDataParallel averaged only; or suspect those ranks' memory",
        )
    writer.event("replicas_equal", f"the weights of {ranks.count} ranks are equal", sha256=digests[0])


if __name__ == "__main__":
    run_main(main)
