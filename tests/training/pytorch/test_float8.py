"""Products in float8: near the exact ones, and of every size of number; the copies that they need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import turn
from float8 import Float8Linear, to_float8
from torch import Tensor, nn


def relative_error(found: Tensor | None, exact: Tensor) -> float:
    assert found is not None
    return float((found.float() - exact).norm() / exact.norm())


def products(layer: nn.Linear, x: Tensor, d: Tensor) -> list[Tensor]:
    """Output and both gradients."""
    x = x.clone().requires_grad_()
    out = layer(x)
    out.backward(d)
    assert x.grad is not None
    assert layer.weight.grad is not None
    return [out.detach(), x.grad, layer.weight.grad]


@pytest.mark.parametrize("size", [1.0, 1e-6, 1e4])
def test_products_and_gradients_are_near_the_exact_ones(size: float) -> None:
    generator = torch.Generator().manual_seed(1)
    x, d = (torch.randn(2, 32, columns, generator=generator) * size for columns in (64, 48))
    exact, rounded = nn.Linear(64, 48, bias=False), Float8Linear(64, 48, bias=False)
    rounded.load_state_dict(exact.state_dict())
    expected = products(exact, x, d)
    # rounding to 3 bits of mantissa is off by up to 1/16, to 2 bits by up to 1/8: 0.026 and 0.053 on average
    for found, right, allowed in zip(products(rounded, x, d), expected, (0.06, 0.09, 0.09), strict=True):
        assert found.shape == right.shape
        assert 0 < relative_error(found, right) < allowed


def test_the_largest_value_uses_all_of_float8_and_comes_back() -> None:
    values = torch.tensor([[0.5, -3.0], [2.0, 1e-9]])
    rounded, scale = to_float8(values, torch.float8_e4m3fn)
    assert float(rounded.float().abs().max()) == 448
    torch.testing.assert_close(rounded.float() * scale, values, rtol=1 / 16, atol=1e-4)


def test_zeros_give_zeros() -> None:
    rounded, scale = to_float8(torch.zeros(16, 16), torch.float8_e5m2)
    assert torch.equal(rounded.float() * scale, torch.zeros(16, 16))


def test_a_turned_copy_is_the_transpose_with_rows_without_gaps() -> None:
    values = torch.randn(48, 80).to(torch.float8_e4m3fn)
    turned = turn.turn(values)
    assert torch.equal(turned.float(), values.float().t())
    assert turned.is_contiguous()
    # what torch.compile is told of the operator is what the operator does
    torch.library.opcheck(turn.turn, (values.float(),))


_TURN_BY_TRITON = """
import torch
from turn_kernel import turn_tiles
for size in ((256, 128), (130, 70), (16, 400)):
    values = torch.randint(0, 256, size, dtype=torch.uint8)
    turned = torch.zeros(size[::-1], dtype=torch.uint8)
    turn_tiles(values, turned)
    assert torch.equal(turned, values.t()), size
print("turned")
"""


def test_the_kernel_turns_tiles_and_what_is_left_at_the_edges() -> None:
    pytest.importorskip("triton", reason="PyTorch's CPU build comes without Triton")
    # by Triton's interpreter, which a process has from its start or not at all
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(Path(turn.__file__).parent)}
    ran = subprocess.run([sys.executable, "-c", _TURN_BY_TRITON], env=environment, capture_output=True, text=True)
    assert ran.stdout == "turned\n", ran.stderr
