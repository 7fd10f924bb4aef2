"""Triton's part of turn.py: a tile is read along its rows, turned on the chip, and written along its columns."""

from __future__ import annotations

import triton  # type: ignore[import-not-found]
import triton.language as tl  # type: ignore[import-not-found]
from torch import Tensor

_TILE = 128  # bytes of a side: a line of the cache


def turn_tiles(bytes_NK: Tensor, turned_KN: Tensor) -> None:
    """Fill ``turned_KN``."""
    rows, columns = bytes_NK.shape
    grid = (triton.cdiv(rows, _TILE), triton.cdiv(columns, _TILE))
    _turn[grid](bytes_NK, turned_KN, rows, columns, _TILE, num_warps=8)


@triton.jit
def _turn(source, target, rows, columns, tile: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64) * tile + tl.arange(0, tile)
    column = tl.program_id(1).to(tl.int64) * tile + tl.arange(0, tile)
    inside = (row[:, None] < rows) & (column[None, :] < columns)
    values = tl.load(source + row[:, None] * columns + column[None, :], inside)
    tl.store(target + column[:, None] * rows + row[None, :], tl.trans(values), tl.trans(inside))
