"""Train a Llama-family model with FSDP2.

    torchrun --nproc-per-node 2 train.py                          the tiny model, on CPUs or GPUs
    torchrun --nproc-per-node 8 train.py --model=llama3_1_8b --sequence_length=8192 --data=tokens:/fsx/text.bin
    torchrun --nnodes 2 --nproc-per-node 8 … train.py --sharding=hybrid …

adt_train must be importable: PYTHONPATH=test_cases/lib. Run it again to resume, on as many ranks as you like.
"""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from models import RECOMPUTE, SHAPES, Transformer, flops_per_token
from setup_model import build_model, make_mesh
from torch import Tensor

from adt_train import EXIT_SAVED, Environment, MetricWriter, StopRequest, UserError, parse_arguments, run_main
from adt_train.data import Source, open_source
from adt_train.torch_checkpoints import TorchCheckpoints


@dataclass
class Settings:
    """What case.yml calls parameters; their help stands there."""

    model: str = "tiny"
    sequence_length: int = 256
    data: str = "text:"
    tokenizer: str = "bytes"
    steps: int = 200
    global_batch: int = 8
    micro_batch: int = 4
    learning_rate: float = 4e-3
    final_learning_rate: float = 0.1
    warmup_steps: int = 20
    weight_decay: float = 0.1
    beta2: float = 0.95
    clip_norm: float = 1.0
    balance_loss: float = 0.02
    seed: int = 1
    sharding: str = "full"
    shard_size: int = 0
    reshard: bool = True
    recompute: str = "off"
    compile: bool = False
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
    rank, ranks, device = start_ranks()
    shape = SHAPES[settings.model]
    accumulation = rows_per_rank(settings, ranks) // settings.micro_batch
    writer = MetricWriter(
        environment,
        rank,
        accelerators=ranks,
        tokens_per_step=settings.global_batch * settings.sequence_length,
        flops_per_token=flops_per_token(shape, settings.sequence_length),
        total_steps=settings.steps,
    )
    source = open_source(
        settings.data, settings.sequence_length, settings.global_batch, settings.seed, settings.tokenizer
    )
    if source.vocabulary > shape.vocabulary:
        raise UserError(
            f"data={settings.data} has {source.vocabulary} tokens; model {settings.model} knows {shape.vocabulary}",
            "a tokenizer with a smaller vocabulary, or another model",
        )
    if settings.data.startswith("synthetic:"):
        writer.event("synthetic_data", "random tokens: speed is real, the loss means nothing")

    mesh = make_mesh(device.type, settings.sharding, settings.shard_size, environment.procs_per_node)
    model = build_model(
        shape,
        settings.sequence_length,
        mesh,
        settings.seed,
        recompute=settings.recompute,
        compile_blocks=settings.compile,
        reshard=settings.reshard,
        offload=settings.offload and device.type == "cuda",
        bf16=settings.bf16 and device.type == "cuda",
    )
    optimizer = torch.optim.AdamW(
        parameter_groups(model, settings.weight_decay),
        lr=settings.learning_rate,
        betas=(0.9, settings.beta2),
        fused=device.type == "cuda" and not settings.offload,
    )
    checkpoints = TorchCheckpoints(
        environment.checkpoint_dir,
        model,
        optimizer,
        asdict(shape),
        writer,
        settings.checkpoints_kept,
        settings.checkpoint_in_background,
    )
    first = checkpoints.load()
    tell_environment(writer, device, ranks, first)

    batches = device_batches(source, settings, rank, ranks, device, first)
    logged, since = first, time.monotonic()
    for step in range(first, settings.steps):
        set_learning_rate(optimizer, learning_rate(step, settings))
        loss = accumulate_gradients(model, next(batches), accumulation, settings)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

        if step == first or (step + 1) % settings.log_every == 0:
            loss_value = mean_over_ranks(loss)  # waits for the device
            seconds = (time.monotonic() - since) / (step + 1 - logged)
            writer.step(
                step,
                loss_value,
                seconds,
                memory_gib(device),
                learning_rate=learning_rate(step, settings),
                gradient_norm=full_value(norm),
            )
            logged, since = step + 1, time.monotonic()
        done = step + 1
        if done == settings.steps or (settings.eval_every and done % settings.eval_every == 0):
            writer.eval(done, evaluate(model, source, settings, rank, ranks, device))
        if done % settings.checkpoint_every == 0 or done == settings.steps:
            checkpoints.save(done)
        checkpoints.poll()
        if any_rank(stop.requested, checkpoints.group) and done < settings.steps:
            checkpoints.save(done, wait=True)
            checkpoints.finish()
            writer.event("saved_on_request", f"after {done} of {settings.steps} steps", step=done)
            if rank == 0:
                environment.mark_saved()
            return EXIT_SAVED
    checkpoints.finish()
    if first >= settings.steps:
        writer.eval(settings.steps, evaluate(model, source, settings, rank, ranks, device))
    writer.event("finished", f"{settings.steps} steps")
    dist.barrier(group=checkpoints.group)
    return 0


def start_ranks() -> tuple[int, int, torch.device]:
    """Join the other processes; returns rank, ranks and this rank's device."""
    for name, alone in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}.items():
        os.environ.setdefault(name, alone)
    if torch.cuda.is_available():
        # several ranks may share a GPU
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl")
    else:
        device = torch.device("cpu")
        dist.init_process_group("gloo")
    return dist.get_rank(), dist.get_world_size(), device


def rows_per_rank(settings: Settings, ranks: int) -> int:
    """Rows of a global batch that one rank reads; refuses settings that do not fit together."""
    for name, value, known in (("model", settings.model, SHAPES), ("recompute", settings.recompute, RECOMPUTE)):
        if value not in known:
            raise UserError(f"{name}={value!r} is not known", f"one of {', '.join(known)}")
    together = settings.micro_batch * ranks
    if settings.global_batch % together:
        raise UserError(
            f"global_batch={settings.global_batch} is not a multiple of micro_batch × ranks, "
            f"{settings.micro_batch} × {ranks}",
            f"global_batch={math.ceil(settings.global_batch / together) * together}, or another micro_batch",
        )
    return settings.global_batch // ranks


def parameter_groups(model: Transformer, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay, norms do not."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    norms = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": norms, "weight_decay": 0.0}]


def learning_rate(step: int, settings: Settings) -> float:
    """Linear warm-up, then a half cosine down to ``final_learning_rate`` of the peak."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    floor = settings.final_learning_rate
    return settings.learning_rate * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """One rate for all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def device_batches(
    source: Source, settings: Settings, rank: int, ranks: int, device: torch.device, first: int
) -> Iterator[Tensor]:
    """This rank's rows of every step from ``first`` on, (rows, T + 1); no two ranks read the same lane."""
    rows = settings.global_batch // ranks
    lanes = range(rank * rows, (rank + 1) * rows)
    for step in range(first, settings.steps):
        batch = torch.from_numpy(source.rows(step, lanes))
        if device.type == "cuda":
            batch = batch.pin_memory()
        yield batch.to(device, non_blocking=True)


def accumulate_gradients(model: Transformer, batch: Tensor, accumulation: int, settings: Settings) -> Tensor:
    """Forward and backward of every micro-batch; returns this rank's mean loss. Ranks meet in the last one only."""
    total = torch.zeros((), device=batch.device)
    for number, rows in enumerate(batch.split(settings.micro_batch)):
        model.set_requires_gradient_sync(number == accumulation - 1)
        loss, balance = losses(model, rows)
        ((loss + settings.balance_loss * balance) / accumulation).backward()
        total += loss.detach() / accumulation
    return total


def losses(model: Transformer, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross entropy in nats per token, and the load-balancing loss (0 without experts)."""
    logits, balance = model(rows[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten()), balance.float()


@torch.no_grad()
def evaluate(
    model: Transformer, source: Source, settings: Settings, rank: int, ranks: int, device: torch.device
) -> float:
    """Loss on held-out rows, each read by one rank."""
    rows = torch.from_numpy(source.held_out(settings.eval_rows))
    # every rank runs the model equally often: a rank without a row of its own repeats the last one with weight 0
    turns = math.ceil(len(rows) / (ranks * settings.micro_batch))
    total = torch.zeros(2, device=device)
    for turn in range(turns):
        begin = (turn * ranks + rank) * settings.micro_batch
        mine = rows[begin : begin + settings.micro_batch]
        weight = len(mine)
        loss, _ = losses(model, (mine if weight else rows[-1:]).to(device))
        total += torch.stack((loss * weight, torch.tensor(float(weight), device=device)))
    dist.all_reduce(total)
    return float(total[0] / total[1])


def mean_over_ranks(value: Tensor) -> float:
    """Mean of a scalar over all ranks."""
    total = value.clone()
    dist.all_reduce(total)
    return float(total) / dist.get_world_size()


def any_rank(flag: bool, group: dist.ProcessGroup) -> bool:
    """Whether any rank says so. Over the CPUs' own group: the device's queue of work is not waited for."""
    said = torch.tensor(int(flag))
    dist.all_reduce(said, dist.ReduceOp.MAX, group=group)
    return bool(said)


def full_value(value: Tensor) -> float:
    """A scalar that may be spread over ranks."""
    return float(value.full_tensor() if hasattr(value, "full_tensor") else value)


def memory_gib(device: torch.device) -> float:
    """Most memory that this rank has held: of the GPU, as reserved by PyTorch, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def tell_environment(writer: MetricWriter, device: torch.device, ranks: int, first: int) -> None:
    """What this run runs on, for its record."""
    cuda = device.type == "cuda"
    writer.event(
        "environment",
        f"{ranks} ranks on {torch.cuda.get_device_name(device) if cuda else 'CPU'}, from step {first}",
        torch=torch.__version__,
        cuda=torch.version.cuda if cuda else None,
        nccl=".".join(map(str, torch.cuda.nccl.version())) if cuda else None,
        device=torch.cuda.get_device_name(device) if cuda else "cpu",
    )


if __name__ == "__main__":
    run_main(main)
