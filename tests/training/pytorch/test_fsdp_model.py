"""The Llama family by itself, on one process: its sizes, what it computes, what it computes twice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from models import (
    SHAPES,
    Experts,
    Shape,
    Transformer,
    parameter_count,
    rotary_tables,
    rotate,
    training_flops,
)
from setup_model import init_std, initialise
from torch import Tensor
from torch.nn.functional import cross_entropy, silu
from torch.utils._python_dispatch import TorchDispatchMode

SMALL = Shape(width=32, layers=2, heads=4, kv_heads=2, ffn=48, vocabulary=64)
TIED = replace(SMALL, tied=True)
EXPERTS = replace(SMALL, experts=4)
CPU = torch.device("cpu")

PUBLISHED = {
    "llama2_7b": 6_738_415_616,
    "llama2_13b": 13_015_864_320,
    "llama2_70b": 68_976_648_192,
    "llama3_1_8b": 8_030_261_248,
    "llama3_1_70b": 70_553_706_496,
    "llama3_2_1b": 1_235_814_400,
    "llama3_2_3b": 3_212_749_824,
    "mathstral_7b": 7_248_023_552,
    "mixtral_8x7b": 46_702_792_704,
}


def model_of(shape: Shape, length: int = 12, recompute: str = "off") -> Transformer:
    model = Transformer(shape, length, recompute)
    initialise(model, seed=1)
    return model


def some_tokens(shape: Shape, rows: int = 2, length: int = 12) -> Tensor:
    return torch.randint(shape.vocabulary, (rows, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_shape_has_the_published_number_of_parameters(name: str) -> None:
    assert parameter_count(SHAPES[name]) == PUBLISHED[name]


def test_every_shape_is_published_or_tiny() -> None:
    assert SHAPES.keys() - PUBLISHED.keys() == {"tiny", "tiny_experts"}


@pytest.mark.parametrize(
    ("name", "multiplying"),
    [
        # all but the table of tokens, which is only looked up
        ("llama3_1_8b", PUBLISHED["llama3_1_8b"] - 128256 * 4096),
        # a tied table multiplies too, when it makes the scores
        ("llama3_2_1b", PUBLISHED["llama3_2_1b"]),
        # two of eight experts: 12.9 billion are active (Mixtral of Experts, arXiv 2401.04088)
        ("mixtral_8x7b", 12_879_925_248 - 32000 * 4096),
    ],
)
def test_operations_count_the_weights_that_multiply_a_token(name: str, multiplying: int) -> None:
    shape = SHAPES[name]
    attention = 12 * shape.layers * shape.width * 4096
    assert training_flops(shape, 4096) == 6 * multiplying + attention


def reference_scores(model: Transformer, tokens: Tensor) -> Tensor:
    """What the published description of Llama computes, one row, head and position after the other."""
    shape, weights = model.shape, dict(model.named_parameters())
    head_width, shared = shape.width // shape.heads, shape.heads // shape.kv_heads

    def norm(x: Tensor, name: str) -> Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + shape.norm_epsilon).sqrt() * weights[name]

    def turn(x: Tensor, position: int) -> Tensor:
        out = torch.empty_like(x)
        for pair in range(head_width // 2):
            angle = position * shape.rope_theta ** (-2 * pair / head_width)
            one, other = x[pair], x[pair + head_width // 2]
            out[pair] = one * math.cos(angle) - other * math.sin(angle)
            out[pair + head_width // 2] = other * math.cos(angle) + one * math.sin(angle)
        return out

    def attention(x: Tensor, block: str) -> Tensor:
        query, key, value = (x @ weights[f"{block}.attention.{name}.weight"].T for name in ("query", "key", "value"))
        heads = []
        for head in range(shape.heads):
            mine = slice(head * head_width, (head + 1) * head_width)
            theirs = slice(head // shared * head_width, (head // shared + 1) * head_width)
            q = torch.stack([turn(one, place) for place, one in enumerate(query[:, mine])])
            k = torch.stack([turn(one, place) for place, one in enumerate(key[:, theirs])])
            scores = q @ k.T / math.sqrt(head_width)
            later = torch.ones_like(scores).triu(1).bool()
            heads.append(scores.masked_fill(later, -torch.inf).softmax(-1) @ value[:, theirs])
        return torch.cat(heads, -1) @ weights[f"{block}.attention.out.weight"].T

    rows = []
    for row in tokens:
        x = weights["embedding.weight"][row]
        for number in range(shape.layers):
            block = f"blocks.{number}"
            x = x + attention(norm(x, f"{block}.attention_norm.weight"), block)
            fed = norm(x, f"{block}.ffn_norm.weight")
            gate, up = fed @ weights[f"{block}.ffn.gate.weight"].T, fed @ weights[f"{block}.ffn.up.weight"].T
            x = x + (gate * gate.sigmoid() * up) @ weights[f"{block}.ffn.down.weight"].T
        table = weights["embedding.weight" if shape.tied else "head.weight"]
        rows.append(norm(x, "norm.weight") @ table.T)
    return torch.stack(rows)


@pytest.mark.parametrize(
    "shape",
    [SMALL, TIED, replace(SMALL, kv_heads=4), replace(SMALL, kv_heads=1), replace(SMALL, rope_theta=100.0)],
    ids=["grouped heads", "tied", "as many key heads", "one key head", "another theta"],
)
def test_scores_are_those_of_the_published_description(shape: Shape) -> None:
    model, tokens = model_of(shape), some_tokens(shape)
    with torch.no_grad():
        for parameter in model.parameters():  # norms too: ones would hide where they are
            parameter.mul_(1 + torch.rand(parameter.shape, generator=torch.Generator().manual_seed(2)))
        torch.testing.assert_close(model(tokens)[0], reference_scores(model, tokens), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [SMALL, TIED, EXPERTS], ids=["dense", "tied", "experts"])
def test_a_later_token_does_not_change_earlier_scores(shape: Shape) -> None:
    model, tokens = model_of(shape), some_tokens(shape, rows=1)
    changed = tokens.clone()
    changed[0, 7] = (changed[0, 7] + 1) % shape.vocabulary
    with torch.no_grad():
        before, after = model(tokens)[0][0], model(changed)[0][0]
    torch.testing.assert_close(before[:7], after[:7])
    assert (before[7:] - after[7:]).abs().amax(-1).min() > 1e-4, "an earlier token does not reach every later score"


def test_llama_3_stretches_only_the_slow_frequencies() -> None:
    plain = rotary_tables(replace(SHAPES["llama3_1_8b"], rope_scaling=None), 2, CPU)
    scaled = rotary_tables(SHAPES["llama3_1_8b"], 2, CPU)
    expected = []
    for pair in range(64):
        frequency = 500_000.0 ** (-2 * pair / 128)
        wavelength = 2 * math.pi / frequency
        if wavelength > 8192 / 1.0:
            frequency /= 8
        elif wavelength > 8192 / 4.0:
            smooth = (8192 / wavelength - 1.0) / (4.0 - 1.0)
            frequency = (1 - smooth) * frequency / 8 + smooth * frequency
        expected.append(frequency)
    angles = torch.tensor([expected, expected]).flatten()
    torch.testing.assert_close(torch.atan2(scaled[1][1], scaled[0][1]), angles)
    torch.testing.assert_close(scaled[0][0], torch.ones(128))
    torch.testing.assert_close(scaled[0][1, :20], plain[0][1, :20])


def test_rotation_keeps_scores_of_equal_distance() -> None:
    cosine, sine = rotary_tables(SMALL, 12, CPU)
    vectors = torch.randn(2, SMALL.head_width, generator=torch.Generator().manual_seed(1))
    query, key = (rotate(vector.expand(12, -1), cosine, sine) for vector in vectors)
    scores = query @ key.T
    for distance in range(-11, 12):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=1e-4)


def test_a_tied_table_takes_gradients_from_both_its_uses() -> None:
    model, tokens = model_of(TIED), some_tokens(TIED)
    assert "head.weight" not in dict(model.named_parameters())
    model(tokens)[0].logsumexp(-1).sum().backward()
    gradient = model.embedding.weight.grad
    assert gradient is not None
    unused = [token for token in range(TIED.vocabulary) if token not in tokens]
    assert gradient[unused].abs().sum(-1).min() > 0, "scores give gradients to tokens that the rows do not hold"


def test_first_weights_are_wide_as_published_formulas_say() -> None:
    shape = SHAPES["tiny"]
    assert init_std(shape, "blocks.0.attention.query.weight") == pytest.approx(math.sqrt(2 / (5 * 128)))
    for name in ("attention.out.weight", "ffn.down.weight", "ffn.down"):
        assert init_std(shape, f"blocks.0.{name}") == pytest.approx(math.sqrt(2 / (5 * 128)) / math.sqrt(8))
    assert init_std(shape, "head.weight") == 0.02
    assert init_std(SHAPES["llama3_2_1b"], "embedding.weight") == pytest.approx(math.sqrt(0.1 / 2048))


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("width", [128, 4096])
def test_an_untrained_model_guesses_evenly_at_any_width(width: int, tied: bool) -> None:
    shape = replace(SHAPES["tiny"], width=width, heads=width // 32, layers=1, ffn=96, tied=tied)
    tokens = some_tokens(shape, rows=8, length=33)
    with torch.no_grad():
        scores, _ = model_of(shape, 32)(tokens[:, :-1])
    loss = cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten())
    assert float(loss) == pytest.approx(math.log(256), abs=0.1)


def slow_experts(experts: Experts, x: Tensor) -> tuple[Tensor, Tensor]:
    """Every token through its two best experts, one after the other."""
    gate, up, down = (weight.unflatten(0, (experts.experts, -1)) for weight in (experts.gate, experts.up, experts.down))
    odds = experts.router(x.flatten(0, 1)).softmax(-1)
    out, load = torch.zeros_like(x.flatten(0, 1)), torch.zeros(experts.experts)
    for token, row in enumerate(x.flatten(0, 1)):
        best = odds[token].argsort(descending=True)[: experts.chosen]
        for expert in best.tolist():
            y = down[expert] @ (silu(gate[expert] @ row) * (up[expert] @ row))
            out[token] += odds[token, expert] / odds[token, best].sum() * y
            load[expert] += 1
    balance = experts.experts * (load / load.sum() * odds.mean(0)).sum()
    return out.view_as(x), balance


@pytest.mark.parametrize("chosen", [1, 2, 4])
def test_experts_give_what_a_loop_over_experts_gives(chosen: int) -> None:
    experts = model_of(replace(EXPERTS, experts_per_token=chosen)).blocks[0].ffn
    assert isinstance(experts, Experts)
    x = torch.randn(3, 12, 32, generator=torch.Generator().manual_seed(1))
    results = []
    for function in (experts, lambda x: slow_experts(experts, x)):
        experts.zero_grad()
        out, balance = function(x)
        (out.pow(2).sum() + balance).backward()
        results.append((out, balance, {name: weight.grad for name, weight in experts.named_parameters()}))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-4)


def test_an_expert_that_no_token_chooses_changes_nothing() -> None:
    experts = model_of(EXPERTS).blocks[0].ffn
    assert isinstance(experts, Experts)
    x = torch.rand(1, 12, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        experts.router.weight[3] = -1  # all inputs are positive
        torch.testing.assert_close(experts(x), slow_experts(experts, x))


def test_the_balance_loss_is_1_for_an_even_load_and_more_for_an_uneven_one() -> None:
    experts = model_of(replace(EXPERTS, experts_per_token=1)).blocks[0].ffn
    assert isinstance(experts, Experts)
    with torch.no_grad():
        experts.router.weight.copy_(torch.eye(4, 32) * 50)
        even = torch.eye(4, 32)[None]
        assert float(experts(even)[1]) == pytest.approx(1)
        assert float(experts(even[:, :1].expand(1, 4, 32))[1]) == pytest.approx(4)


class MatrixProducts(TorchDispatchMode):
    """Counts matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Callable[..., object], types: object, args: Any = (), kwargs: Any = None
    ) -> object:
        name = str(function)
        if name in ("aten.mm.default", "aten._grouped_mm.default"):
            self.count["products"] += 1
        elif name in ("aten.silu.default", "aten._fused_rms_norm.default", "aten.rsqrt.default"):
            self.count["cheap"] += 1
        return function(*args, **(kwargs or {}))


def gradients(shape: Shape, recompute: str) -> tuple[dict[str, Tensor | None], Counter[str]]:
    model, tokens = model_of(shape, recompute=recompute), some_tokens(shape)
    with MatrixProducts() as products:
        scores, balance = model(tokens)
        (scores.logsumexp(-1).mean() + balance).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}, products.count


@pytest.mark.parametrize("shape", [SMALL, EXPERTS], ids=["dense", "experts"])
def test_recomputation_leaves_gradients_as_they_are(shape: Shape) -> None:
    off, _ = gradients(shape, "off")
    for recompute in ("selective", "full"):
        torch.testing.assert_close(gradients(shape, recompute)[0], off)


@pytest.mark.parametrize("shape", [SMALL, EXPERTS], ids=["dense", "experts"])
def test_selective_recomputation_spares_matrix_products_and_full_none(shape: Shape) -> None:
    off, selective, full = (gradients(shape, recompute)[1] for recompute in ("off", "selective", "full"))
    assert off["products"] == selective["products"] < full["products"]
    assert off["cheap"] < selective["cheap"] == full["cheap"]
