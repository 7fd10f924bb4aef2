"""The transpose of a float8 matrix, laid out anew by a kernel of its own.

An operator that torch.compile does not look into. Left to the compiler, the copy becomes part of whatever kernel reads
the same values, be it a sum over rows, and its stores then lie far apart.
"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.library.custom_op("adt_train::turn", mutates_args=())
def turn(values_NK: Tensor) -> Tensor:
    """Element (n, k) becomes (k, n); both have rows without gaps."""
    return values_NK.t().contiguous()


@turn.register_fake
def _(values_NK: Tensor) -> Tensor:
    return values_NK.new_empty(values_NK.shape[::-1])


@turn.register_kernel("cuda")
def _(values_NK: Tensor) -> Tensor:
    from turn_kernel import turn_tiles  # Triton comes with PyTorch for GPUs alone

    values_NK = values_NK.contiguous()
    turned_KN = values_NK.new_empty(values_NK.shape[::-1])
    turn_tiles(values_NK.view(torch.uint8), turned_KN.view(torch.uint8))
    return turned_KN
