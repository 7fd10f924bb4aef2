"""Decoder-only transformers of the Llama family, dense or with experts, and their published shapes.

Shape legend: B rows, T tokens of a row, D width, H heads, K key and value heads, C width of a head, V vocabulary,
E experts, F width inside a feed-forward, N = B·T tokens, P = N·(experts per token) pairs of a token and an expert.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from float8 import Float8Linear
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from adt_train.flops import flops_per_token


@dataclass(frozen=True)
class RopeScaling:
    """Llama 3's stretch of the rotary frequencies to rows longer than those of its first training."""

    factor: float
    low_frequency: float
    high_frequency: float
    first_length: int


@dataclass(frozen=True)
class Shape:
    """A model's sizes."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    norm_epsilon: float = 1e-5
    tied: bool = False
    """The table of tokens also makes the scores."""
    experts: int = 0
    experts_per_token: int = 2

    @property
    def head_width(self) -> int:
        """C."""
        return self.width // self.heads


_LLAMA_3_1 = RopeScaling(factor=8.0, low_frequency=1.0, high_frequency=4.0, first_length=8192)
_LLAMA_3_2 = replace(_LLAMA_3_1, factor=32.0)

# Each from the config.json of the model's publication under the name in the comment.
SHAPES: dict[str, Shape] = {
    # ours, for bytes: small enough for two CPU cores
    "tiny": Shape(128, 4, 4, 2, 384, 256),
    "tiny_experts": Shape(128, 4, 4, 2, 192, 256, experts=4),
    # meta-llama/Llama-2-{7b,13b,70b}-hf
    "llama2_7b": Shape(4096, 32, 32, 32, 11008, 32000),
    "llama2_13b": Shape(5120, 40, 40, 40, 13824, 32000),
    "llama2_70b": Shape(8192, 80, 64, 8, 28672, 32000),
    # meta-llama/Llama-3.1-{8B,70B}
    "llama3_1_8b": Shape(4096, 32, 32, 8, 14336, 128256, 500_000.0, _LLAMA_3_1),
    "llama3_1_70b": Shape(8192, 80, 64, 8, 28672, 128256, 500_000.0, _LLAMA_3_1),
    # meta-llama/Llama-3.2-{1B,3B}
    "llama3_2_1b": Shape(2048, 16, 32, 8, 8192, 128256, 500_000.0, _LLAMA_3_2, tied=True),
    "llama3_2_3b": Shape(3072, 28, 24, 8, 8192, 128256, 500_000.0, _LLAMA_3_2, tied=True),
    # mistralai/Mathstral-7B-v0.1, mistralai/Mixtral-8x7B-v0.1
    "mathstral_7b": Shape(4096, 32, 32, 8, 14336, 32768, 1_000_000.0),
    "mixtral_8x7b": Shape(4096, 32, 32, 8, 14336, 32000, 1_000_000.0, experts=8),
}


class Attention(nn.Module):
    """Causal attention; several query heads share a key and value head."""

    def __init__(self, shape: Shape, linear: type[nn.Linear]) -> None:
        super().__init__()
        self.head_width = shape.head_width
        self.shares_heads = shape.heads != shape.kv_heads
        self.query = linear(shape.width, shape.heads * shape.head_width, bias=False)
        self.key = linear(shape.width, shape.kv_heads * shape.head_width, bias=False)
        self.value = linear(shape.width, shape.kv_heads * shape.head_width, bias=False)
        self.out = linear(shape.heads * shape.head_width, shape.width, bias=False)

    def forward(self, x_BTD: Tensor, cosine_TC: Tensor, sine_TC: Tensor) -> Tensor:
        heads = (*x_BTD.shape[:2], -1, self.head_width)
        query_BHTC = rotate(self.query(x_BTD).view(heads).transpose(1, 2), cosine_TC, sine_TC)
        key_BKTC = rotate(self.key(x_BTD).view(heads).transpose(1, 2), cosine_TC, sine_TC)
        value_BKTC = self.value(x_BTD).view(heads).transpose(1, 2)
        with sdpa_kernel(_KERNELS, set_priority=True):
            mixed_BHTC = F.scaled_dot_product_attention(
                query_BHTC, key_BKTC, value_BKTC, is_causal=True, enable_gqa=self.shares_heads
            )
        return self.out(mixed_BHTC.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape, linear: type[nn.Linear]) -> None:
        super().__init__()
        self.gate = linear(shape.width, shape.ffn, bias=False)
        self.up = linear(shape.width, shape.ffn, bias=False)
        self.down = linear(shape.ffn, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Experts(nn.Module):
    """Each token goes through its best experts, weighed by the router; no token is dropped.

    The experts' weights lie one below the other in one matrix, so that they shard evenly over any number of ranks.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.experts, self.chosen = shape.experts, shape.experts_per_token
        self.router = nn.Linear(shape.width, shape.experts, bias=False)
        self.gate = nn.Parameter(torch.empty(shape.experts * shape.ffn, shape.width))
        self.up = nn.Parameter(torch.empty(shape.experts * shape.ffn, shape.width))
        self.down = nn.Parameter(torch.empty(shape.experts * shape.width, shape.ffn))

    def forward(self, x_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """The output, and the load-balancing loss (Switch Transformer, equation 4: 1 when the load is even)."""
        x_ND = x_BTD.flatten(0, 1)
        odds_NE = self.router(x_ND).float().softmax(-1)
        weights, chosen = odds_NE.topk(self.chosen)
        weights = weights / weights.sum(-1, keepdim=True)
        # Pairs in the order of their experts: each expert then works on one run of rows, whose ends stay on the device.
        order_P = chosen.flatten().argsort(stable=True)
        token_P = order_P // self.chosen
        load_E = F.one_hot(chosen.flatten(), self.experts).sum(0)
        ends_E = load_E.cumsum(0).to(torch.int32)
        x_PD = x_ND[token_P]
        middle_PF = F.silu(self._product(x_PD, self.gate, ends_E)) * self._product(x_PD, self.up, ends_E)
        y_PD = self._product(middle_PF, self.down, ends_E) * weights.flatten()[order_P, None].to(x_ND.dtype)
        out_ND = torch.zeros_like(x_ND).index_add(0, token_P, y_PD)
        balance = self.experts * (load_E / len(token_P) * odds_NE.mean(0)).sum()
        return out_ND.view_as(x_BTD), balance

    def _product(self, rows: Tensor, weight: Tensor, ends_E: Tensor) -> Tensor:
        return F.grouped_mm(rows, weight.unflatten(0, (self.experts, -1)).transpose(1, 2), offs=ends_E)


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and beside a residual."""

    def __init__(self, shape: Shape, recompute: str, linear: type[nn.Linear]) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.attention = Attention(shape, linear)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.ffn: nn.Module = Experts(shape) if shape.experts else FeedForward(shape, linear)
        self.has_experts = bool(shape.experts)
        self.recompute = RECOMPUTE[recompute]

    def forward(self, x_BTD: Tensor, cosine_TC: Tensor, sine_TC: Tensor) -> tuple[Tensor, Tensor]:
        return self.recompute(self._forward, x_BTD, cosine_TC, sine_TC)

    def _forward(self, x_BTD: Tensor, cosine_TC: Tensor, sine_TC: Tensor) -> tuple[Tensor, Tensor]:
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), cosine_TC, sine_TC)
        fed = self.ffn(self.ffn_norm(x_BTD))
        out_BTD, balance = fed if self.has_experts else (fed, x_BTD.new_zeros(()))
        return x_BTD + out_BTD, balance


class Transformer(nn.Module):
    """Tokens to the scores of the next token, and the mean load-balancing loss of its layers."""

    cosine_TC: Tensor
    sine_TC: Tensor

    def __init__(self, shape: Shape, sequence_length: int, recompute: str = "off", float8: bool = False) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        linear = Float8Linear if float8 else nn.Linear
        self.blocks = nn.ModuleList(Block(shape, recompute, linear) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.head = None if shape.tied else nn.Linear(shape.width, shape.vocabulary, bias=False)
        for name in ("cosine_TC", "sine_TC"):
            self.register_buffer(name, torch.empty(sequence_length, shape.head_width), persistent=False)

    def set_requires_gradient_sync(self, on: bool) -> None:
        """Where there are other ranks, FSDP's own is called instead."""

    def forward(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        x_BTD = self.embedding(tokens_BT)
        balances = []
        for block in self.blocks:
            x_BTD, balance = block(x_BTD, self.cosine_TC, self.sine_TC)
            balances.append(balance)
        x_BTD = self.norm(x_BTD)
        scores_BTV = self.head(x_BTD) if self.head else F.linear(x_BTD, self.embedding.weight)
        return scores_BTV, torch.stack(balances).mean()


def rotate(x: Tensor, cosine_TC: Tensor, sine_TC: Tensor) -> Tensor:
    """Rotary position embedding (RoFormer), pairing element i with i + C/2 as the published Llama weights do."""
    one, other = x.float().chunk(2, dim=-1)
    turned = torch.cat((-other, one), dim=-1)
    return (x * cosine_TC + turned * sine_TC).to(x.dtype)


def rotary_tables(shape: Shape, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """cosine and sine of every position's angles, (T, C), float32."""
    half = torch.arange(0, shape.head_width, 2, device=device, dtype=torch.float32)
    frequency = shape.rope_theta ** (-half / shape.head_width)
    scaling = shape.rope_scaling
    if scaling:
        wavelength = 2 * math.pi / frequency
        smooth = (scaling.first_length / wavelength - scaling.low_frequency) / (
            scaling.high_frequency - scaling.low_frequency
        )
        smooth = smooth.clamp(0, 1)
        frequency = smooth * frequency + (1 - smooth) * frequency / scaling.factor
    angle_TC = torch.outer(torch.arange(length, device=device, dtype=torch.float32), frequency).repeat(1, 2)
    return angle_TC.cos(), angle_TC.sin()


def parameter_count(shape: Shape) -> int:
    """Parameters, a tied table counted once."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Transformer(shape, 1).parameters())


def training_flops(shape: Shape, sequence_length: int) -> float:
    """Operations per token (adt_train.flops); the first table is looked up, and only the chosen experts multiply."""
    looked_up = 0 if shape.tied else shape.vocabulary * shape.width
    idle = 3 * shape.width * shape.ffn * shape.layers * max(0, shape.experts - shape.experts_per_token)
    weights = parameter_count(shape) - looked_up - idle
    return flops_per_token(weights, shape.layers, shape.heads * shape.head_width, sequence_length)


def _keep_all(function: Callable[..., tuple[Tensor, Tensor]], *inputs: Tensor) -> tuple[Tensor, Tensor]:
    return function(*inputs)


_KERNELS = [
    SDPBackend.CUDNN_ATTENTION,  # the fastest on Hopper and later
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
"""Attention kernels, the first that can run is taken."""

_aten = torch.ops.aten
_COSTLY = {
    _aten.mm.default,
    _aten._grouped_mm.default,
    _aten._scaled_dot_product_flash_attention.default,
    _aten._scaled_dot_product_efficient_attention.default,
    _aten._scaled_dot_product_cudnn_attention.default,
    _aten._scaled_dot_product_flash_attention_for_cpu.default,
}


def _keep_costly(context: object, operation: object, *args: object, **kwargs: object) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if operation in _COSTLY else CheckpointPolicy.PREFER_RECOMPUTE


RECOMPUTE: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "off": _keep_all,
    "selective": partial(
        checkpoint, use_reentrant=False, context_fn=partial(create_selective_checkpoint_contexts, _keep_costly)
    ),
    "full": partial(checkpoint, use_reentrant=False),
}
"""What backward computes a second time: nothing; all but matrix products and attention; all of a block."""
