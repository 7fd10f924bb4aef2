"""Products in float8: near the exact ones, and of every size of number."""

from __future__ import annotations

import pytest
import torch
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
