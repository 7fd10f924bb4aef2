"""From a shape to a sharded model with its first weights: meta device, shard, allocate, initialise."""

from __future__ import annotations

import hashlib
import math

import torch
import torch.distributed as dist
from models import Block, Shape, Transformer, rotary_tables
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard

from adt_train import UserError

_DRAWN_ROWS = 1024  # rows of a weight that are drawn together, from a seed of their own


def make_mesh(device: str, sharding: str, shard_size: int, procs_per_node: int) -> DeviceMesh:
    """``full``: one axis, every rank holds a shard of every weight. ``hybrid``: axes replicate × shard; a weight is
    sharded over ``shard_size`` neighbouring ranks (0: those of one node) and replicated over the rest.
    """
    world = dist.get_world_size()
    if sharding == "full":
        return init_device_mesh(device, (world,), mesh_dim_names=("shard",))
    size = shard_size or procs_per_node
    if world % size:
        raise UserError(f"shard_size={size} does not divide {world} ranks", "shard_size that divides the ranks")
    return init_device_mesh(device, (world // size, size), mesh_dim_names=("replicate", "shard"))


def build_model(
    shape: Shape,
    sequence_length: int,
    mesh: DeviceMesh,
    seed: int,
    *,
    recompute: str = "off",
    compile_blocks: bool = False,
    reshard: str = "auto",
    prefetch: int = 0,
    offload: bool = False,
    bf16: bool = False,
    masters: bool = False,
    float8: bool = False,
    accumulate: bool = True,
) -> Transformer:
    """The sharded model with its first weights: no rank ever holds all of it.

    :param reshard: ``always`` or ``never`` free a block's gathered weights between forward and backward; ``auto`` does
        where there is anything to gather.
    :param prefetch: blocks whose weights are asked for ahead of the one that computes; 0 leaves it to FSDP.
    :param bf16: compute in bfloat16; weights stay float32, but for ``masters``.
    :param masters: weights are bfloat16 too, and the optimizer holds their float32 masters.
    :param float8: the blocks' matrix products take float8.
    :param accumulate: gradients of several micro-batches add up.
    """
    with torch.device("meta"):
        model = Transformer(shape, sequence_length, recompute, float8)
    if masters:
        for parameter in model.parameters():  # not the tables: they stay float32
            parameter.data = parameter.data.bfloat16()
    if compile_blocks:
        for block in model.blocks:
            # the method, not the module: FSDP's hooks stay outside of what is compiled
            block.forward = torch.compile(block.forward)
    # One rank has nothing to gather, yet FSDP would copy every weight and gradient twice. It is kept for what else it
    # does: copies in bfloat16, sums of gradients in float32, weights in CPU memory.
    if mesh.size() > 1 or not masters or accumulate or offload:
        _shard(model, mesh, reshard, prefetch, offload, bf16)
    model.to_empty(device="cpu" if offload else mesh.device_type)
    initialise(model, seed)
    if offload:
        for name, buffer in model.named_buffers():
            setattr(model, name, buffer.to(mesh.device_type))
    return model


def _shard(model: Transformer, mesh: DeviceMesh, reshard: str, prefetch: int, offload: bool, bf16: bool) -> None:
    blocks: list[Block] = list(model.blocks)
    always = {"auto": mesh["shard"].size() > 1, "always": True, "never": False}[reshard]
    how = {
        "mesh": mesh,
        # inputs are not cast: what comes out of bf16 weights is bf16, and the rotary tables must stay float32
        "mp_policy": MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
        if bf16
        else MixedPrecisionPolicy(),
        "offload_policy": CPUOffloadPolicy() if offload else OffloadPolicy(),
    }
    if not model.shape.tied:
        fully_shard(model.embedding, reshard_after_forward=always, **how)
    for block in blocks:
        fully_shard(block, reshard_after_forward=always, **how)
    if model.head:
        # backward begins with these two: freeing them between would only gather them again
        fully_shard([model.norm, model.head], reshard_after_forward=False, **how)
    fully_shard(model, reshard_after_forward=False, **how)
    for number, block in enumerate(blocks if prefetch else ()):
        block.set_modules_to_forward_prefetch(blocks[number + 1 : number + 1 + prefetch])
        block.set_modules_to_backward_prefetch(blocks[max(0, number - prefetch) : number][::-1])


def init_std(shape: Shape, name: str) -> float:
    """Standard deviation of a first weight: √(2/(5·width)) (Nguyen and Salazar 2019), over √(2·layers) for what writes
    into the residual (GPT-2). What makes the scores has 0.02 or √(0.1/width), the smaller: scores then vary by 0.1 or
    less at any width, and the first loss is half of that above ln of the vocabulary.
    """
    if name.startswith("head") or (shape.tied and name.startswith("embedding")):
        return min(0.02, math.sqrt(0.1 / shape.width))
    into_residual = name.removesuffix(".weight").endswith(("attention.out", "down"))
    return math.sqrt(2 / (5 * shape.width)) / math.sqrt(2 * shape.layers if into_residual else 1)


@torch.no_grad()
def initialise(model: Transformer, seed: int) -> None:
    """Every weight and table, from the seed and its own name: the same whatever the number of ranks.

    Norms are one, all else is normal with the standard deviation of ``init_std``. A CPU and a GPU draw differently.
    """
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            parameter.fill_(1.0)
        else:
            fill_normal(parameter, init_std(model.shape, name), f"{seed} {name}")
    tables = rotary_tables(model.shape, model.cosine_TC.shape[0], model.cosine_TC.device)
    model.cosine_TC.copy_(tables[0])
    model.sine_TC.copy_(tables[1])


def fill_normal(parameter: nn.Parameter, std: float, key: str) -> None:
    """Normal numbers, drawn in runs of rows that do not depend on the ranks; a rank draws the runs that it holds."""
    local, first = _local_rows(parameter)
    generator = torch.Generator(device=local.device)
    for start in range(first // _DRAWN_ROWS * _DRAWN_ROWS, first + len(local), _DRAWN_ROWS):
        digest = hashlib.sha256(f"{key} {start}".encode()).digest()
        generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        rows = min(_DRAWN_ROWS, parameter.shape[0] - start)
        drawn = torch.empty(rows, *parameter.shape[1:], device=local.device).normal_(0.0, std, generator=generator)
        begin, end = max(start, first), min(start + rows, first + len(local))
        local[begin - first : end - first] = drawn[begin - start : end - start]


def _local_rows(parameter: nn.Parameter) -> tuple[Tensor, int]:
    """The rows that this rank holds, and the number of the first: FSDP cuts a weight into runs of ⌈rows/ranks⌉."""
    if not isinstance(parameter, DTensor):
        return parameter.data, 0
    mesh, axis = parameter.device_mesh, parameter.placements.index(Shard(0))
    return parameter.to_local(), mesh.get_local_rank(axis) * -(-parameter.shape[0] // mesh.size(axis))
