"""Linear layers that multiply in float8, with one scale for a whole tensor, found anew each time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from turn import turn

_OF_VALUES, _OF_GRADIENTS = torch.float8_e4m3fn, torch.float8_e5m2


class Float8Linear(nn.Linear):
    """As nn.Linear without a bias. Input, weight and gradient are rounded to float8 for its three products.

    Sums are kept in more bits and the weight as it is: only what goes into a product is rounded, values to e4m3 and
    gradients to e5m2 (Micikevicius and others, arXiv 2209.05433).
    """

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = _Product.apply(input.flatten(0, -2), self.weight)
        return out.unflatten(0, input.shape[:-1])


class _Product(torch.autograd.Function):
    """x_NK · w_MKᵀ. Tensor cores want float8 operands with the summed dimension innermost, hence the transposes."""

    @staticmethod
    def forward(ctx: Any, x_NK: Tensor, w_MK: Tensor) -> Tensor:
        x8_NK, x_scale = to_float8(x_NK, _OF_VALUES)
        w8_MK, w_scale = to_float8(w_MK, _OF_VALUES)
        ctx.save_for_backward(turn(x8_NK), x_scale, w_MK, w_scale)
        return _multiply(x8_NK, w8_MK.t(), x_scale, w_scale, x_NK.dtype)

    @staticmethod
    def backward(ctx: Any, d_NM: Tensor) -> tuple[Tensor, Tensor]:
        x8_KN, x_scale, w_MK, w_scale = ctx.saved_tensors
        d8_NM, d_scale = to_float8(d_NM, _OF_GRADIENTS)
        # the weight, not its rounded copy, went over from forward: FSDP frees and gathers it between
        w8_KM = _round(w_MK.t().contiguous(), w_scale, _OF_VALUES)
        dx_NK = _multiply(d8_NM, w8_KM.t(), d_scale, w_scale, d_NM.dtype)
        dw_MK = _multiply(d8_NM.t().contiguous(), x8_KN.t(), d_scale, x_scale, w_MK.dtype)
        return dx_NK, dw_MK


def to_float8(values: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """Values over a scale, and the scale: the largest value becomes the largest that ``kind`` holds."""
    # by rows first: compiled, that becomes part of what computes the rows
    largest = values.abs().amax(-1).amax().float()
    scale = largest.clamp(min=1e-12) / torch.finfo(kind).max
    return _round(values, scale, kind), scale


def _round(values: Tensor, scale: Tensor, kind: torch.dtype) -> Tensor:
    limit = torch.finfo(kind).max
    return (values.float() / scale).clamp(-limit, limit).to(kind)


def _multiply(a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor, out: torch.dtype) -> Tensor:
    return torch._scaled_mm(a, b, a_scale, b_scale, out_dtype=out, use_fast_accum=True)
