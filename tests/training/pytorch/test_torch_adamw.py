"""AdamW on masters: PyTorch's AdamW in float32, with weights in bfloat16; saved and loaded without a loss."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.training import processes
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from adt_train.torch_adamw import MasterAdamW

RATES = [1e-2, 3e-3, 1e-2, 1e-3]  # one a step
CLIP = 0.7


def some_weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator).bfloat16()) for shape in ((48, 32), (32,))]


def groups(weights: list[nn.Parameter]) -> list[dict[str, object]]:
    return [{"params": weights[:1], "weight_decay": 0.1}, {"params": weights[1:], "weight_decay": 0.0}]


def gradients(step: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    # small ones too, which are not clipped
    return [(step % 2 + 0.01) * torch.randn(shape, generator=generator).bfloat16() for shape in ((48, 32), (32,))]


def update(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], step: int) -> Tensor:
    """One step; returns the norm of its gradients."""
    for group in optimizer.param_groups:
        group["lr"] = RATES[step]
    for weight, gradient in zip(weights, gradients(step), strict=True):
        weight.grad = gradient.to(weight.dtype)
    norm = optimizer.clip(CLIP) if isinstance(optimizer, MasterAdamW) else nn.utils.clip_grad_norm_(weights, CLIP)
    optimizer.step()
    return norm


def test_masters_are_updated_as_pytorch_updates_float32_weights() -> None:
    weights = some_weights()
    exact = [nn.Parameter(weight.detach().float()) for weight in weights]
    ours = MasterAdamW(groups(weights), lr=0.0, betas=(0.9, 0.95))
    theirs = torch.optim.AdamW(groups(exact), lr=0.0, betas=(0.9, 0.95))
    for step in range(len(RATES)):
        torch.testing.assert_close(update(ours, weights, step), update(theirs, exact, step))
        for weight, float32 in zip(weights, exact, strict=True):
            torch.testing.assert_close(ours.state[weight]["master"], float32.detach(), rtol=1e-6, atol=1e-7)
            assert torch.equal(weight.detach(), ours.state[weight]["master"].bfloat16())


def test_updates_too_small_for_bfloat16_add_up() -> None:
    weight = nn.Parameter(torch.ones(16).bfloat16())
    optimizer = MasterAdamW([{"params": [weight]}], lr=1e-4, betas=(0.9, 0.95))
    for step in range(100):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        if step == 9:
            assert torch.equal(weight.detach(), torch.ones(16).bfloat16()), "0.999 is nearest to 1 in bfloat16"
    assert float(weight.detach()[0]) == pytest.approx(0.99, abs=0.004)


def test_a_clip_holds_for_one_step() -> None:
    weights = some_weights()
    optimizer = MasterAdamW(groups(weights), lr=1e-2, betas=(0.9, 0.95))
    update(optimizer, weights, 1)
    for weight in weights:
        weight.grad = torch.full_like(weight, 3.0)
    before = optimizer.state[weights[0]]["exp_avg"].clone()
    optimizer.step()
    torch.testing.assert_close(optimizer.state[weights[0]]["exp_avg"], 0.9 * before + 0.1 * 3.0)


def test_state_that_is_loaded_stays_float32_and_training_goes_on_as_before() -> None:
    weights = some_weights()
    optimizer = MasterAdamW(groups(weights), lr=1e-2, betas=(0.9, 0.95))
    update(optimizer, weights, 0)
    update(optimizer, weights, 1)
    others = [nn.Parameter(weight.detach().clone()) for weight in weights]
    resumed = MasterAdamW(groups(others), lr=1e-2, betas=(0.9, 0.95))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, step in ((optimizer, 2), (resumed, 2), (optimizer, 3), (resumed, 3)):
        update(each, weights if each is optimizer else others, step)
    for weight, other in zip(weights, others, strict=True):
        torch.testing.assert_close(dict(resumed.state[other]), dict(optimizer.state[weight]), rtol=0, atol=0)


def norm_and_state() -> tuple[Tensor, list[Tensor]]:
    """One step over all ranks of a sharded model with unlike shards, as each rank gathers it."""
    model = nn.Sequential(nn.Linear(7, 5, bias=False), nn.Linear(5, 3, bias=False)).bfloat16()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.arange(weight.numel()).view_as(weight) / 50)
    fully_shard(model, mesh=init_device_mesh("cpu", (torch.distributed.get_world_size(),)))
    optimizer = MasterAdamW([{"params": [*model.parameters()]}], lr=1e-2, betas=(0.9, 0.95))
    model(torch.ones(2, 7).bfloat16()).sum().backward()
    norm = optimizer.clip(CLIP)
    optimizer.step()
    return norm, [optimizer.state[weight]["master"].full_tensor() for weight in model.parameters()]


def test_norm_and_update_do_not_depend_on_the_ranks() -> None:
    (alone,) = processes.on_ranks(1, norm_and_state)
    assert float(alone[0]) > CLIP
    for found in processes.on_ranks(2, norm_and_state):
        torch.testing.assert_close(found, alone)
