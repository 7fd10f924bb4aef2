"""Train a small GPT in plain JAX, data-parallel over processes.

Each process is one rank of jax.distributed (ADT_RANK of ADT_WORLD_SIZE, meeting at ADT_HEAD_ADDR:ADT_HEAD_PORT) and
reads its own rows of $ADT_DATA_DIR/tokens.bin, which step prepare wrote. By hand, one process:

    python -m adt_train.tokenize --out=runs/manual/data/tokens.bin && python train.py

adt_train must be importable: PYTHONPATH=test_cases/lib. Run it again to resume, on as many processes as you like.
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from adt_train import (
    EXIT_SAVED,
    Environment,
    MetricWriter,
    StopRequest,
    checkpoints,
    parse_arguments,
    run_main,
)
from adt_train.data import Source, fit_global_batch, open_source
from adt_train.flops import flops_per_token

Weights = dict[str, Any]
STATE = "state.npz"
VOCABULARY = 256  # bytes
TINY_BATCH = 8  # rows: what the default learning rate is for
HEAD_STD = 0.02  # small scores: an untrained model must guess evenly


@dataclass
class Settings:
    """What case.yml calls parameters; their help stands there."""

    width: int = 96
    layers: int = 3
    heads: int = 4
    sequence_length: int = 128
    text: str = ""
    steps: int = 280
    global_batch: int = 0
    learning_rate: float = 0.006
    warmup_steps: int = 20
    seed: int = 1
    checkpoint_every: int = 140
    checkpoints_kept: int = 2
    eval_rows: int = 256
    log_every: int = 10


def main() -> int:
    """Set up, train, evaluate; returns the exit status."""
    settings = parse_arguments(Settings)
    environment = Environment.read()
    rank, ranks = start_processes(environment)
    stop = StopRequest()  # after jax.distributed, which takes SIGTERM for itself
    devices = jax.device_count()
    settings.global_batch = fit_global_batch(settings.global_batch, TINY_BATCH, devices, "devices")
    tokens = environment.data_dir / "tokens.bin"
    source = open_source(f"tokens:{tokens}", settings.sequence_length, settings.global_batch, settings.seed)

    mesh = Mesh(jax.devices(), ("data",))
    same, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
    rate = optax.warmup_cosine_decay_schedule(
        0.0,
        settings.learning_rate,
        settings.warmup_steps,
        max(settings.steps, settings.warmup_steps + 1),
        settings.learning_rate / 10,
    )
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.95))

    def initialise() -> tuple[Weights, Any]:
        weights = first_weights(jax.random.key(settings.seed), settings)
        return weights, optimizer.init(weights)

    def step_function(weights: Weights, state: Any, rows: Array) -> tuple[Weights, Any, Array]:
        loss, gradients = jax.value_and_grad(next_byte_loss)(weights, rows, settings.heads)
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state, loss

    update = jax.jit(step_function, out_shardings=same, donate_argnums=(0, 1))
    loss_of = jax.jit(next_byte_loss, static_argnums=2, out_shardings=same)
    weights, state = jax.jit(initialise, out_shardings=same)()

    multiplying = sum(leaf.size for leaf in jax.tree.leaves(weights)) - weights["embedding"].size
    writer = MetricWriter(
        environment,
        rank,
        accelerators=devices,
        tokens_per_step=settings.global_batch * settings.sequence_length,
        flops_per_token=flops_per_token(multiplying, settings.layers, settings.width, settings.sequence_length),
        total_steps=settings.steps,
    )
    first, weights, state = load(environment.checkpoint_dir, weights, state, settings, same, writer, rank)
    kind = jax.devices()[0].device_kind
    told = f"{ranks} process{'es' if ranks > 1 else ''}, {devices} × {kind}, from step {first}"
    writer.event("environment", told, jax=jax.__version__, device=kind, vocabulary=VOCABULARY)

    rows = settings.global_batch // ranks
    lanes = range(rank * rows, (rank + 1) * rows)
    logged, since = first, time.monotonic()
    for step in range(first, settings.steps):
        batch = jax.make_array_from_process_local_data(split, source.rows(step, lanes).astype(np.int32))
        weights, state, loss = update(weights, state, batch)

        done = step + 1
        if step == first or done % settings.log_every == 0 or done == settings.steps:
            mean = float(loss)  # waits for the device
            writer.step(step, mean, (time.monotonic() - since) / (done - logged), memory_gib())
            logged, since = done, time.monotonic()
        stopping = any_process(stop.requested, ranks) and done < settings.steps
        if stopping or done == settings.steps or done % settings.checkpoint_every == 0:
            save(environment.checkpoint_dir, done, (weights, state), settings, writer, rank)
        if stopping:
            writer.event("saved_on_request", f"after {done} of {settings.steps} steps", step=done)
            if rank == 0:
                environment.mark_saved()
            return EXIT_SAVED
    writer.eval(settings.steps, evaluate(loss_of, weights, source, settings, split, rank, ranks))
    writer.event("finished", f"{settings.steps} steps")
    multihost_utils.sync_global_devices("finished")
    return 0


def start_processes(environment: Environment) -> tuple[int, int]:
    """Join the other processes; returns this process's number and how many there are."""
    rank, ranks = int(os.environ.get("ADT_RANK") or 0), int(os.environ.get("ADT_WORLD_SIZE") or 1)
    if ranks > 1:
        # each process takes one GPU of its node, not all that it sees
        own = [int(os.environ["ADT_LOCAL_RANK"])] if environment.accelerator == "cuda" else None
        head = f"{environment.head_addr}:{environment.head_port}"
        jax.distributed.initialize(head, ranks, rank, local_device_ids=own)
    return rank, ranks


def first_weights(key: Array, settings: Settings) -> Weights:
    """Normal weights, norms of one; layers are stacked along the first axis."""
    width, layers = settings.width, settings.layers
    shapes = {
        "embedding": (VOCABULARY, width),
        "qkv": (layers, width, 3 * width),
        "mixed": (layers, width, width),
        "up": (layers, width, 4 * width),
        "down": (layers, 4 * width, width),
        "head": (width, VOCABULARY),
    }
    keys = jax.random.split(key, len(shapes))
    into_residual = (2 * layers) ** -0.5  # as GPT-2
    scale = {"head": HEAD_STD, "mixed": into_residual * width**-0.5, "down": into_residual * (4 * width) ** -0.5}
    weights: Weights = {
        name: jax.random.normal(one, shape) * scale.get(name, width**-0.5)
        for one, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
    return weights | {"norms": jnp.ones((layers, 2, width)), "norm": jnp.ones(width)}


def next_byte_loss(weights: Weights, rows_BT: Array, heads: int) -> Array:
    """Mean cross entropy in nats per byte; B rows of T + 1 bytes."""
    scores_BTV = model(weights, rows_BT[:, :-1], heads)
    return optax.softmax_cross_entropy_with_integer_labels(scores_BTV, rows_BT[:, 1:]).mean()


def model(weights: Weights, bytes_BT: Array, heads: int) -> Array:
    """Bytes to the scores of the next byte."""
    x_BTD = weights["embedding"][bytes_BT]

    def layer(x_BTD: Array, w: Weights) -> tuple[Array, None]:
        x_BTD = x_BTD + attention(normed(x_BTD, w["norms"][0]) @ w["qkv"], heads) @ w["mixed"]
        return x_BTD + jax.nn.gelu(normed(x_BTD, w["norms"][1]) @ w["up"]) @ w["down"], None

    stacked = {name: weights[name] for name in ("norms", "qkv", "mixed", "up", "down")}
    x_BTD, _ = jax.lax.scan(layer, x_BTD, stacked)
    return normed(x_BTD, weights["norm"]) @ weights["head"]


def attention(qkv_BTX: Array, heads: int) -> Array:
    """Causal attention over heads of equal width."""
    rows, length, wide = qkv_BTX.shape
    query, key, value = jnp.split(qkv_BTX.reshape(rows, length, heads, wide // heads), 3, axis=-1)
    mixed = jax.nn.dot_product_attention(rotated(query), rotated(key), value, is_causal=True)
    return mixed.reshape(rows, length, wide // 3)


def rotated(x_BTHC: Array) -> Array:
    """Rotary position embedding (RoFormer, Su et al., 2021): element i pairs with i + C/2."""
    half = x_BTHC.shape[-1] // 2
    angle = jnp.arange(x_BTHC.shape[1])[:, None, None] * 10_000.0 ** (-jnp.arange(half) / half)
    one, other = x_BTHC[..., :half], x_BTHC[..., half:]
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return jnp.concatenate([one * cosine - other * sine, other * cosine + one * sine], axis=-1)


def normed(x: Array, scale: Array) -> Array:
    """RMS norm."""
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-5) * scale


def evaluate(
    loss_of: Any, weights: Weights, source: Source, settings: Settings, split: NamedSharding, rank: int, ranks: int
) -> float:
    """Loss on held-out rows, as many as the devices share evenly, one each at least."""
    rows = source.held_out(max(settings.eval_rows, jax.device_count())).astype(np.int32)
    rows = rows[: len(rows) // jax.device_count() * jax.device_count()]
    each = len(rows) // ranks
    batch = jax.make_array_from_process_local_data(split, rows[rank * each : (rank + 1) * each])
    return float(loss_of(weights, batch, settings.heads))


def save(root: Path, step: int, tree: Any, settings: Settings, writer: MetricWriter, rank: int) -> None:
    """One file, written by process 0: every process holds the same."""
    if rank == 0:
        leaves = {str(number): np.asarray(leaf) for number, leaf in enumerate(jax.tree.leaves(tree))}
        about = {"step": step, "identity": identity(settings)}
        checkpoints.save(
            root, step, about, settings.checkpoints_kept, lambda part: np.savez(part / STATE, **leaves), writer
        )
    multihost_utils.sync_global_devices(f"saved {step}")


def load(
    root: Path, weights: Weights, state: Any, settings: Settings, same: NamedSharding, writer: MetricWriter, rank: int
) -> tuple[int, Weights, Any]:
    """The newest complete checkpoint on every process: updates it has seen, weights, optimizer state."""
    if rank == 0:
        checkpoints.abandon(root)
    multihost_utils.sync_global_devices("before load")
    found = checkpoints.newest(root, lambda text: writer.event("checkpoint_damaged", text))
    if found is None:
        return 0, weights, state
    path, about = found
    checkpoints.refuse_another(path, about, identity(settings))
    with np.load(path / STATE) as file:
        leaves = [file[str(number)] for number in range(len(file.files))]
    tree = jax.tree.unflatten(jax.tree.structure((weights, state)), leaves)
    weights, state = jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(same, leaf, leaf.shape), tree)
    writer.event("resumed", f"from {path.name}", step=about["step"])
    return int(about["step"]), weights, state


def identity(settings: Settings) -> dict[str, Any]:
    """What must be equal to go on from a checkpoint: the model, and what its data position counts."""
    names = ("width", "layers", "heads", "sequence_length", "global_batch", "seed")
    return {name: getattr(settings, name) for name in names}


def any_process(flag: bool, ranks: int) -> bool:
    """Whether any process says so."""
    return flag if ranks == 1 else bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def memory_gib() -> float:
    """Most memory that this process has held: of its first device where that tells it, or of the process."""
    told = jax.local_devices()[0].memory_stats() or {}
    return told.get("peak_bytes_in_use", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) / 2**30


if __name__ == "__main__":
    run_main(main)
