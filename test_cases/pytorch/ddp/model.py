"""A byte-level language model of dilated causal convolutions: the layers of WaveNet (van den Oord et al., 2016).

Shape legend: B rows, T tokens of a row, W width, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """The model's sizes."""

    vocabulary: int
    width: int
    layers: int

    @property
    def context(self) -> int:
        """How many tokens decide the next one."""
        return 2**self.layers


class Layer(nn.Module):
    """Each token joined with the one ``distance`` before it, through a gate, beside a residual."""

    def __init__(self, width: int, distance: int) -> None:
        super().__init__()
        self.distance = distance
        self.join = nn.Conv1d(width, 2 * width, kernel_size=2, dilation=distance)
        self.mix = nn.Conv1d(width, width, kernel_size=1)

    def forward(self, x_BWT: Tensor) -> Tensor:
        # zeros in front alone: no token sees a later one
        value_BWT, gate_BWT = self.join(F.pad(x_BWT, (self.distance, 0))).chunk(2, dim=1)
        return x_BWT + self.mix(value_BWT.tanh() * gate_BWT.sigmoid())


class ByteModel(nn.Module):
    """Tokens to the scores of the next token. The distance doubles from layer to layer: 1, 2, 4 …"""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.Sequential(*(Layer(shape.width, 2**number) for number in range(shape.layers)))
        self.head = nn.Linear(shape.width, shape.vocabulary)
        # small scores: an untrained model must guess evenly
        nn.init.normal_(self.head.weight, std=0.1 / math.sqrt(shape.width))
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        x_BWT = self.embedding(tokens_BT).transpose(1, 2)
        return self.head(self.layers(x_BWT).transpose(1, 2))


def flops_per_token(model: ByteModel) -> float:
    """Operations of forward and backward for one token: 6 for each weight, for each multiplies each token once; the
    embedding looks up.
    """
    return 6.0 * sum(weight.numel() for weight in [*model.layers.parameters(), *model.head.parameters()])
