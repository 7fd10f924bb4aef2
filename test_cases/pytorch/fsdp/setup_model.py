"""From a shape to a sharded model with its first weights: meta device, shard, allocate, initialise."""

from __future__ import annotations

import hashlib
import math

import torch
import torch.distributed as dist
from models import Shape, Transformer, rotary_tables
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from adt_train import UserError


def init_std(shape: Shape, name: str) -> float:
    """Standard deviation of a first weight: √(2/(5·width)) (Nguyen and Salazar 2019), over √(2·layers) for what writes
    into the residual (GPT-2), and 0.02 for what makes the scores, so that the first loss is near ln of the vocabulary.
    """
    if name.startswith("head") or (shape.tied and name.startswith("embedding")):
        return 0.02
    into_residual = name.endswith(("attention.out.weight", "down.weight"))
    return math.sqrt(2 / (5 * shape.width)) / math.sqrt(2 * shape.layers if into_residual else 1)


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
    reshard: bool = True,
    offload: bool = False,
    bf16: bool = False,
) -> Transformer:
    """The sharded model with its first weights: no rank ever holds all of it."""
    with torch.device("meta"):
        model = Transformer(shape, sequence_length, recompute)
    if compile_blocks:
        for block in model.blocks:
            block.compile()
    precision = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32) if bf16 else MixedPrecisionPolicy()
    )
    policy = CPUOffloadPolicy() if offload else OffloadPolicy()
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=precision, reshard_after_forward=reshard, offload_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=precision, reshard_after_forward=reshard, offload_policy=policy)
    device = torch.device("cpu" if offload else mesh.device_type)
    model.to_empty(device=device)
    initialise(model, seed)
    if offload:
        move_buffers(model, torch.device(mesh.device_type))
    return model


@torch.no_grad()
def initialise(model: Transformer, seed: int) -> None:
    """Every weight and table, from the seed and its own name: the same whatever the number of ranks.

    Norms are one, all else is normal with the standard deviation of ``init_std``.
    """
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            parameter.fill_(1.0)
            continue
        _fill_normal(parameter, init_std(model.shape, name), f"{seed} {name}")
    device = model.cosine_TC.device
    cosine_TC, sine_TC = rotary_tables(model.shape, model.cosine_TC.shape[0], device)
    model.cosine_TC.copy_(cosine_TC)
    model.sine_TC.copy_(sine_TC)


def move_buffers(model: nn.Module, device: torch.device) -> None:
    """Put the tables where the computing is: offloaded weights leave them behind on the CPU."""
    for name, buffer in model.named_buffers():
        setattr(model, name, buffer.to(device))


def _fill_normal(parameter: Tensor, std: float, key: str) -> None:
    """A normal tensor drawn whole, one parameter at a time, of which each rank keeps its shard."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") >> 1
    local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
    generator = torch.Generator(device=local.device).manual_seed(number)
    whole = torch.empty(parameter.shape, dtype=parameter.dtype, device=local.device).normal_(
        0.0, std, generator=generator
    )
    if isinstance(parameter, DTensor):
        # without a source rank nothing is sent: all ranks drew the same
        shard = distribute_tensor(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)
        local.copy_(shard.to_local())
    else:
        parameter.copy_(whole)
