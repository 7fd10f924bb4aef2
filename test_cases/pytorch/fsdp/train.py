"""Train a Llama-family model with FSDP2.

    torchrun --nproc-per-node 2 train.py                          the tiny model, on CPUs or GPUs
    torchrun --nproc-per-node 8 train.py --model=llama3_1_8b --sequence_length=8192 --data=tokens:/fsx/text.bin
    torchrun --nnodes 2 --nproc-per-node 8 … train.py --sharding=hybrid …

adt_train must be importable: PYTHONPATH=test_cases/lib. Run it again to resume, on as many ranks as you like.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from models import SHAPES, Shape, Transformer, training_flops
from setup_model import build_model, make_mesh
from torch import Tensor

from adt_train import EXIT_SAVED, Environment, MetricWriter, StopRequest, UserError, parse_arguments, run_main
from adt_train.data import Source, fit_global_batch, open_source
from adt_train.schedules import warmup_cosine
from adt_train.torch_adamw import MasterAdamW
from adt_train.torch_checkpoints import TorchCheckpoints
from adt_train.torch_ranks import Ranks

TINY_BATCH = 8  # rows: what the default learning rate is for


@dataclass
class Settings:
    """What case.yml calls parameters; their help stands there."""

    model: str = "tiny"
    sequence_length: int = 256
    data: str = "text:"
    tokenizer: str = "bytes"
    steps: int = 300
    global_batch: int = 0
    micro_batch: int = 0
    learning_rate: float = 4e-3
    final_learning_rate: float = 0.1
    warmup_steps: int = 20
    weight_decay: float = 0.1
    beta2: float = 0.95
    clip_norm: float = 1.0
    balance_loss: float = 0.02
    seed: int = 1
    sharding: Literal["full", "hybrid"] = "full"
    shard_size: int = 0
    reshard: Literal["auto", "always", "never"] = "auto"
    prefetch: int = 0
    recompute: Literal["off", "selective", "full"] = "off"
    compile: bool = False
    masters: bool = False
    float8: bool = False
    untied: bool = False
    offload: bool = False
    bf16: bool = True
    checkpoint_every: int = 100
    checkpoints_kept: int = 2
    checkpoint_in_background: bool = True
    eval_every: int = 0
    eval_rows: int = 64
    log_every: int = 10


def main() -> int:
    """Set up, train, evaluate; returns the exit status."""
    settings = parse_arguments(Settings)
    environment = Environment.read()
    stop = StopRequest()
    ranks = Ranks.start()
    fit_batches(settings, ranks)
    check_precision(settings, ranks.device)
    if settings.model not in SHAPES:
        raise UserError(f"model={settings.model!r} is not known", f"one of {', '.join(SHAPES)}")
    shape = shape_of(settings)
    source = open_source(
        settings.data, settings.sequence_length, settings.global_batch, settings.seed, settings.tokenizer
    )
    if source.vocabulary > shape.vocabulary:
        raise UserError(
            f"data={settings.data} has {source.vocabulary} tokens; model {settings.model} knows {shape.vocabulary}",
            "a tokenizer with a smaller vocabulary, or another model",
        )
    writer = MetricWriter(
        environment,
        ranks.rank,
        accelerators=ranks.count,
        tokens_per_step=settings.global_batch * settings.sequence_length,
        flops_per_token=training_flops(shape, settings.sequence_length),
        total_steps=settings.steps,
    )
    if settings.data.startswith("synthetic:"):
        writer.event("synthetic_data", "random tokens: speed is real, the loss means nothing")

    on_gpu = ranks.device.type == "cuda"
    model = build_model(
        shape,
        settings.sequence_length,
        make_mesh(ranks.device.type, settings.sharding, settings.shard_size, environment.procs_per_node),
        settings.seed,
        recompute=settings.recompute,
        compile_blocks=settings.compile,
        reshard=settings.reshard,
        prefetch=settings.prefetch,
        offload=settings.offload and on_gpu,
        bf16=settings.bf16 and (on_gpu or settings.masters),
        masters=settings.masters,
        float8=settings.float8,
        accumulate=settings.micro_batch * ranks.count < settings.global_batch,
    )
    optimizer = make_optimizer(model, settings, on_gpu and not settings.offload)
    checkpoints = TorchCheckpoints(
        environment.checkpoint_dir,
        model,
        optimizer,
        identity(settings),
        writer,
        settings.checkpoints_kept,
        settings.checkpoint_in_background,
    )
    first = checkpoints.load()
    ranks.tell_environment(writer, first, shape.vocabulary)

    batches = rows_of_steps(source, settings, ranks, first)
    logged, since = first, time.monotonic()
    for step in range(first, settings.steps):
        rate = warmup_cosine(
            step, settings.steps, settings.learning_rate, settings.warmup_steps, settings.final_learning_rate
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = accumulate_gradients(model, next(batches), settings)
        norm = clip_gradients(model, optimizer, settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad()

        done = step + 1
        if step == first or done % settings.log_every == 0 or done == settings.steps:
            mean = ranks.mean(loss)
            seconds = (time.monotonic() - since) / (done - logged)
            writer.step(step, mean, seconds, ranks.memory_gib(), learning_rate=rate, gradient_norm=full_value(norm))
            logged, since = done, time.monotonic()
        if done == settings.steps or (settings.eval_every and done % settings.eval_every == 0):
            writer.eval(done, evaluate(model, source, settings, ranks))
        if done % settings.checkpoint_every == 0 or done == settings.steps:
            checkpoints.save(done)
        if ranks.any(stop.requested or checkpoints.poll()) and done < settings.steps:
            checkpoints.save(done, wait=True)
            writer.event("saved_on_request", f"after {done} of {settings.steps} steps", step=done)
            if ranks.rank == 0:
                environment.mark_saved()
            ranks.wait()
            return EXIT_SAVED
    checkpoints.finish()
    if first >= settings.steps:
        writer.eval(first, evaluate(model, source, settings, ranks))
    writer.event("finished", f"{settings.steps} steps")
    ranks.wait()
    return 0


def fit_batches(settings: Settings, ranks: Ranks) -> None:
    """Batches that were left open, filled in for this many ranks; refuses those that do not fit."""
    settings.global_batch = fit_global_batch(settings.global_batch, TINY_BATCH, ranks.count)
    rows = settings.global_batch // ranks.count
    settings.micro_batch = settings.micro_batch or rows
    if rows % settings.micro_batch:
        together = settings.micro_batch * ranks.count
        raise UserError(
            f"micro_batch={settings.micro_batch} does not divide a rank's {rows} of {settings.global_batch} rows",
            f"global_batch={math.ceil(settings.global_batch / together) * together}, or another micro_batch",
        )


def check_precision(settings: Settings, device: torch.device) -> None:
    """Refuse what cannot be computed."""
    if settings.masters and not settings.bf16:
        raise UserError("masters=true keeps weights in bfloat16, and bf16=false asks for float32", "one of the two")
    if settings.float8 and device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 9):
        name = torch.cuda.get_device_name(device)
        raise UserError(f"float8=true: {name} multiplies no float8", "float8=false, or a GPU of Hopper or later")


def shape_of(settings: Settings) -> Shape:
    """The model's sizes."""
    shape = SHAPES[settings.model]
    return replace(shape, tied=False) if settings.untied else shape


def identity(settings: Settings) -> dict[str, object]:
    """What must be equal to go on from a checkpoint: the model, and what its data position counts."""
    position = {name: getattr(settings, name) for name in ("sequence_length", "global_batch", "seed", "masters")}
    return {"model": settings.model, **asdict(shape_of(settings)), **position}


def make_optimizer(model: Transformer, settings: Settings, fused: bool) -> torch.optim.Optimizer:
    """AdamW, of the weights or of their masters; ``fused`` where a GPU holds its state."""
    groups = parameter_groups(model, settings.weight_decay)
    how: dict[str, Any] = {"lr": settings.learning_rate, "betas": (0.9, settings.beta2)}
    if settings.masters:
        return MasterAdamW(groups, **how, compiled=settings.compile and fused)
    return torch.optim.AdamW(groups, **how, fused=fused)


def clip_gradients(model: Transformer, optimizer: torch.optim.Optimizer, largest: float) -> Tensor:
    """The norm of all gradients, which are shortened to ``largest``: at once, or in the pass that updates masters."""
    if isinstance(optimizer, MasterAdamW):
        return optimizer.clip(largest)
    return torch.nn.utils.clip_grad_norm_(model.parameters(), largest)


def parameter_groups(model: Transformer, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay, norms do not."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    norms = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": norms, "weight_decay": 0.0}]


def rows_of_steps(source: Source, settings: Settings, ranks: Ranks, first: int) -> Iterator[Tensor]:
    """This rank's rows of every step from ``first`` on, (rows, T + 1)."""
    lanes = ranks.lanes(settings.global_batch)
    for step in range(first, settings.steps):
        yield ranks.to_device(torch.from_numpy(source.rows(step, lanes)))


def accumulate_gradients(model: Transformer, rows: Tensor, settings: Settings) -> Tensor:
    """Forward and backward of every micro-batch; returns this rank's mean loss. Ranks meet in the last one only."""
    micro_batches = rows.split(settings.micro_batch)
    total = torch.zeros((), device=rows.device)
    for number, micro_batch in enumerate(micro_batches, start=1):
        model.set_requires_gradient_sync(number == len(micro_batches))
        loss, balance = losses(model, micro_batch, settings.compile)
        ((loss + settings.balance_loss * balance) / len(micro_batches)).backward()
        total += loss.detach() / len(micro_batches)
    return total


def losses(model: Transformer, rows: Tensor, compiled: bool) -> tuple[Tensor, Tensor]:
    """Mean cross entropy in nats per token, and the load-balancing loss (0 without experts)."""
    scores, balance = model(rows[:, :-1])
    loss = (compiled_cross_entropy() if compiled else cross_entropy)(scores, rows[:, 1:])
    return loss, balance.float()


def cross_entropy(scores_BTV: Tensor, tokens_BT: Tensor) -> Tensor:
    """Mean over all tokens, in float32."""
    return F.cross_entropy(scores_BTV.float().flatten(0, 1), tokens_BT.flatten())


@functools.cache
def compiled_cross_entropy() -> Callable[[Tensor, Tensor], Tensor]:
    """Compiled, the scores of all tokens never stand in memory as float32: 4 bytes × rows × T × V less, several times.

    Asked for late: the compiler takes seconds to import.
    """
    return torch.compile(cross_entropy)


@torch.no_grad()
def evaluate(model: Transformer, source: Source, settings: Settings, ranks: Ranks) -> float:
    """Loss on held-out rows, each read by one rank."""
    rows = torch.from_numpy(source.held_out(settings.eval_rows))
    # every rank runs the model equally often: one without a row of its own repeats the last row with weight 0
    turns = math.ceil(len(rows) / (ranks.count * settings.micro_batch))
    total = torch.zeros(2, device=ranks.device)
    for turn in range(turns):
        begin = (turn * ranks.count + ranks.rank) * settings.micro_batch
        mine = rows[begin : begin + settings.micro_batch]
        loss, _ = losses(model, (mine if len(mine) else rows[-1:]).to(ranks.device), settings.compile)
        total += torch.stack((loss * len(mine), torch.full_like(loss, len(mine))))
    dist.all_reduce(total)
    return float(total[0] / total[1])


def full_value(value: Tensor) -> float:
    """A scalar that may be spread over ranks."""
    return float(value.full_tensor() if hasattr(value, "full_tensor") else value)


if __name__ == "__main__":
    run_main(main)
