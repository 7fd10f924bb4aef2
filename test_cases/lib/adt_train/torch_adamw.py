"""AdamW for weights in bfloat16, with their float32 masters in its state: what is multiplied is half as wide."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

_FLOAT32 = ("master", "exp_avg", "exp_avg_sq")  # the state of a weight, beside its step


class MasterAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019) on float32 masters; a weight is its master, rounded.

    Compiled, the update of a weight is one pass: gradient, master and both moments are read once and written once, and
    clipping happens in it, 28 bytes a weight in all. PyTorch's own clipping and fused AdamW take 40, and with float32
    weights a copy in bfloat16 on top, for every forward pass.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float],
        eps: float = 1e-8,
        *,
        compiled: bool = False,
    ) -> None:
        """:param groups: as PyTorch's AdamW takes them, each with its ``weight_decay``."""
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self._update: Callable[..., None] = torch.compile(_update, dynamic=False) if compiled else _update
        self._clip: Tensor | None = None

    @torch.no_grad()
    def clip(self, largest: float) -> Tensor:
        """The norm of all gradients, over all ranks; the next step shortens them to ``largest`` where it is more."""
        gradients = [
            weight.grad for group in self.param_groups for weight in group["params"] if weight.grad is not None
        ]
        norms = [torch.linalg.vector_norm(gradient, dtype=torch.float32) for gradient in gradients]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        self._clip = (largest / (norm + 1e-6)).clamp(max=1.0)
        return norm

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every weight that has a gradient. There is no ``closure``: PyTorch's interface names it."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            for weight in weights:
                self._begin(weight)
            if weights:
                self._step(group, weights)
        self._clip = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As PyTorch's, which rounds all state to the type of the weights: here it stays float32."""
        super().load_state_dict(state_dict)
        saved = [name for group in state_dict["param_groups"] for name in group["params"]]
        weights = [weight for group in self.param_groups for weight in group["params"]]
        for name, weight in zip(saved, weights, strict=True):
            for key in _FLOAT32 if name in state_dict["state"] else ():
                self.state[weight][key] = state_dict["state"][name][key].to(weight.device)

    def _begin(self, weight: nn.Parameter) -> None:
        state = self.state[weight]
        if not state:
            master = weight.detach().float()
            state["step"] = torch.tensor(0.0)
            state |= zip(_FLOAT32, (master, torch.zeros_like(master), torch.zeros_like(master)), strict=True)

    def _step(self, group: dict[str, Any], weights: list[nn.Parameter]) -> None:
        for weight in weights:
            self.state[weight]["step"] += 1
        step, rate, (beta1, beta2) = float(self.state[weights[0]]["step"]), float(group["lr"]), group["betas"]
        clip = self._clip if self._clip is not None else torch.ones((), device=_local(weights[0]).device)
        # on the device, so that a new rate is not a new constant, which would be compiled again
        numbers = [
            torch.full_like(clip, number)
            for number in (
                1 - rate * group["weight_decay"],
                rate / (1 - beta1**step),
                1 / (1 - beta2**step),
            )
        ]
        for weight in weights:
            state = self.state[weight]
            tensors = (weight, *(state[key] for key in _FLOAT32), weight.grad)
            flat = [_local(tensor).detach().view(-1) for tensor in tensors]
            self._update(*flat, clip, *numbers, beta1, beta2, group["eps"])


def _update(
    weight: Tensor,
    master: Tensor,
    mean: Tensor,
    square: Tensor,
    gradient: Tensor,
    clip: Tensor,
    keep: Tensor,
    rate: Tensor,
    correction: Tensor,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    gradient = gradient.float() * clip
    mean.lerp_(gradient, 1 - beta1)
    square.lerp_(gradient * gradient, 1 - beta2)
    master.mul_(keep).sub_(rate * mean / ((square * correction).sqrt() + eps))
    weight.copy_(master)


def _local(tensor: Tensor | None) -> Tensor:
    """What this rank holds of it."""
    assert tensor is not None
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
