"""The sharded model, built from the meta device on one to four ranks: its first weights, its gradients, its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import setup_model
import torch
import torch.distributed as dist
from models import Shape, rotary_tables
from setup_model import build_model, init_std, make_mesh
from tests.training import processes
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, Shard

from adt_train import UserError
from adt_train.data import open_source
from adt_train.torch_ranks import Ranks

# Odd sizes: shards of two and three ranks are unlike, and the vocabulary is drawn in several runs of rows.
SHAPES = {
    "dense": Shape(width=36, layers=2, heads=6, kv_heads=3, ffn=100, vocabulary=2501),
    "tied": Shape(width=36, layers=2, heads=6, kv_heads=3, ffn=100, vocabulary=2501, tied=True),
    "experts": Shape(width=36, layers=2, heads=6, kv_heads=3, ffn=80, vocabulary=2501, experts=5),
}
LENGTH = 16
MESHES = {
    "2 ranks": (2, "full", 0),
    "3 ranks, unlike shards": (3, "full", 0),
    "2 ranks, replicated": (2, "hybrid", 1),
    "4 ranks, hybrid": (4, "hybrid", 2),
}


def whole(value: Tensor) -> Tensor:
    """A copy of all of a tensor that may be sharded."""
    return (value.full_tensor() if isinstance(value, DTensor) else value).detach().clone()


@dataclass
class Built:
    """All of a sharded model: its weights and tables."""

    weights: dict[str, Tensor]
    tables: tuple[Tensor, Tensor]


def build_all(sharding: str, shard_size: int) -> dict[str, Built]:
    """On each rank: every shape, sharded, then gathered."""
    built = {}
    for name, shape in SHAPES.items():
        model = build_model(shape, LENGTH, make_mesh("cpu", sharding, shard_size, 1), seed=1)
        weights = {key: whole(parameter) for key, parameter in model.named_parameters()}
        built[name] = Built(weights, (model.cosine_TC.clone(), model.sine_TC.clone()))
    return built


def build_without_first_weights() -> dict[str, Built]:
    setup_model.initialise = lambda model, seed: None
    return build_all("full", 0)


def faults(built: Built, shape: Shape) -> list[str]:
    """What is not as first weights are."""
    found = []
    for name, weight in built.weights.items():
        if not weight.isfinite().all():
            found.append(f"{name} is not finite")
        elif name.endswith("norm.weight"):
            if not (weight == 1).all():
                found.append(f"{name} is not one")
        else:
            std, expected = float(weight.std()), init_std(shape, name)
            if not abs(std - expected) < 0.1 * expected or abs(float(weight.mean())) > 0.1 * expected:
                found.append(f"{name}: mean {weight.mean():.3g}, deviation {std:.3g} and not {expected:.3g}")
    for table, expected_table in zip(built.tables, rotary_tables(shape, LENGTH, torch.device("cpu")), strict=True):
        if not torch.equal(table, expected_table):
            found.append("a rotary table is another")
    return found


@pytest.fixture(scope="module")
def alone() -> dict[str, Built]:
    """The models of one rank."""
    built: dict[str, Built] = processes.on_ranks(1, build_all, "full", 0)[0]
    return built


@pytest.fixture(scope="module", params=MESHES)
def everywhere(request: pytest.FixtureRequest) -> list[dict[str, Built]]:
    """The models as each rank of a mesh gathers them."""
    ranks, sharding, shard_size = MESHES[request.param]
    return processes.on_ranks(ranks, build_all, sharding, shard_size)


@pytest.mark.parametrize("name", SHAPES)
def test_weights_of_one_rank_are_initialised(alone: Mapping[str, Built], name: str) -> None:
    assert faults(alone[name], SHAPES[name]) == []


@pytest.mark.parametrize("name", SHAPES)
def test_weights_of_several_ranks_are_initialised_and_equal_those_of_one(
    alone: Mapping[str, Built], everywhere: list[dict[str, Built]], name: str
) -> None:
    for rank in everywhere:
        assert faults(rank[name], SHAPES[name]) == []
        torch.testing.assert_close(rank[name].weights, alone[name].weights, rtol=0, atol=0)


@pytest.mark.parametrize("name", SHAPES)
def test_no_two_weights_are_drawn_alike(alone: Mapping[str, Built], name: str) -> None:
    firsts = [
        weight.flatten()[:4].tolist() for key, weight in alone[name].weights.items() if not key.endswith("norm.weight")
    ]
    assert len({tuple(first) for first in firsts}) == len(firsts)
    embedding = alone[name].weights["embedding.weight"]
    assert not torch.equal(embedding[:1024], embedding[1024:2048]), "two runs of rows are drawn alike"


def test_the_check_fails_where_weights_are_not_initialised() -> None:
    (built,) = processes.on_ranks(1, build_without_first_weights)
    for name, shape in SHAPES.items():
        assert len(faults(built[name], shape)) > 5, name


def mesh_facts() -> tuple[tuple[str, ...] | None, tuple[int, ...], set[tuple[object, ...]]]:
    mesh = make_mesh("cpu", "hybrid", shard_size=2, procs_per_node=4)
    model = build_model(SHAPES["dense"], LENGTH, mesh, seed=1)
    placements = {parameter.placements for parameter in model.parameters() if isinstance(parameter, DTensor)}
    return mesh.mesh_dim_names, tuple(mesh.shape), placements


def test_hybrid_sharding_is_a_mesh_of_two_dimensions() -> None:
    expected = (("replicate", "shard"), (2, 2), {(Replicate(), Shard(0))})
    assert processes.on_ranks(4, mesh_facts) == [expected] * 4


def mesh_refusals() -> tuple[tuple[int, ...], str]:
    by_node = tuple(make_mesh("cpu", "hybrid", shard_size=0, procs_per_node=1).shape)
    with pytest.raises(UserError) as refused:
        make_mesh("cpu", "hybrid", shard_size=3, procs_per_node=1)
    return by_node, str(refused.value)


def test_a_shard_group_is_a_node_or_a_divisor_of_the_ranks() -> None:
    told = "shard_size=3 does not divide 2 ranks; fix: shard_size that divides the ranks"
    assert processes.on_ranks(2, mesh_refusals) == [((2, 1), told)] * 2


@dataclass(frozen=True)
class Way:
    """How gradients of one global batch of eight rows are made."""

    shape: str = "dense"
    micro_batch: int = 2
    reshard: str = "auto"
    prefetch: int = 0
    recompute: str = "off"


OPTIONS = {
    "micro-batches of one": Way(micro_batch=1),
    "never freed": Way(reshard="never"),
    "always freed, asked for ahead": Way(reshard="always", prefetch=1),
    "all recomputed": Way(recompute="full"),
    "the cheap recomputed": Way(recompute="selective"),
}
Gradients = tuple[dict[str, Tensor], float]


def gradients(ways: Sequence[Way], sharding: str, shard_size: int) -> list[Gradients]:
    """Whole gradients and the mean loss for each way."""
    train, found = processes.load_script("pytorch/fsdp/train.py"), []
    rank, world = dist.get_rank(), dist.get_world_size()
    source = open_source("text:", LENGTH, 8, seed=1)
    rows = torch.from_numpy(source.rows(0, range(rank * 8 // world, (rank + 1) * 8 // world)))
    mesh = make_mesh("cpu", sharding, shard_size, 1)
    for way in ways:
        # the load-balancing loss is a product of means: it depends on how rows are grouped
        settings = train.Settings(micro_batch=way.micro_batch, balance_loss=0.0)
        options: dict[str, Any] = {"reshard": way.reshard, "prefetch": way.prefetch, "recompute": way.recompute}
        model = build_model(SHAPES[way.shape], LENGTH, mesh, seed=1, **options)
        loss = train.accumulate_gradients(model, rows, settings)
        dist.all_reduce(loss)
        found.append(({name: whole(weight.grad) for name, weight in model.named_parameters()}, float(loss) / world))
    return found


@pytest.fixture(scope="module")
def of_one_piece() -> dict[str, Gradients]:
    """Gradients of one rank that takes the batch in one piece, by shape."""
    ways = [Way(shape, micro_batch=8) for shape in SHAPES]
    return dict(zip(SHAPES, processes.on_ranks(1, gradients, ways, "full", 0)[0], strict=True))


@pytest.fixture(scope="module", params=[(1, "full", 0), (2, "full", 0), (2, "hybrid", 1), (4, "hybrid", 2)], ids=str)
def of_ranks(request: pytest.FixtureRequest) -> list[dict[str, Gradients]]:
    """Gradients as each rank of a mesh gathers them."""
    ranks, sharding, shard_size = request.param
    ways = [Way(shape) for shape in SHAPES]
    by_rank = processes.on_ranks(ranks, gradients, ways, sharding, shard_size)
    return [dict(zip(SHAPES, found, strict=True)) for found in by_rank]


@pytest.mark.parametrize("shape", SHAPES)
def test_sharded_and_accumulated_gradients_are_those_of_one_piece(
    of_ranks: list[dict[str, Gradients]], of_one_piece: Mapping[str, Gradients], shape: str
) -> None:
    for found in of_ranks:
        torch.testing.assert_close(found[shape], of_one_piece[shape], atol=1e-6, rtol=1e-4)


@pytest.fixture(scope="module")
def by_option() -> dict[str, Gradients]:
    """Gradients of two ranks, made in every way."""
    found = processes.on_ranks(2, gradients, [*OPTIONS.values()], "full", 0)[0]
    return dict(zip(OPTIONS, found, strict=True))


@pytest.mark.parametrize("option", OPTIONS)
def test_no_option_changes_gradients(
    by_option: Mapping[str, Gradients], of_one_piece: Mapping[str, Gradients], option: str
) -> None:
    torch.testing.assert_close(by_option[option], of_one_piece["dense"], atol=1e-6, rtol=1e-4)


def these_ranks() -> Ranks:
    group = dist.new_group(backend="gloo")
    return Ranks(dist.get_rank(), dist.get_world_size(), torch.device("cpu"), group)


def rows_of_each_rank(global_batch: int) -> list[list[tuple[int, ...]]]:
    """The rows that train.py gives this rank in three steps, from the second on."""
    train = processes.load_script("pytorch/fsdp/train.py")
    settings = train.Settings(global_batch=global_batch, steps=4)
    source = open_source("text:", LENGTH, global_batch, seed=1)
    steps = train.rows_of_steps(source, settings, these_ranks(), first=1)
    return [[tuple(row.tolist()) for row in rows] for rows in steps]


@pytest.mark.parametrize("ranks", [2, 4])
def test_every_rank_reads_different_rows_and_together_they_read_the_batch(ranks: int) -> None:
    by_rank = processes.on_ranks(ranks, rows_of_each_rank, 8)
    source = open_source("text:", LENGTH, 8, seed=1)
    for number in range(3):
        read = [row for steps in by_rank for row in steps[number]]
        assert len(set(read)) == 8
        assert read == [tuple(row) for row in source.rows(number + 1, range(8)).tolist()]


def evaluate_on(eval_rows: Sequence[int]) -> list[float]:
    train = processes.load_script("pytorch/fsdp/train.py")
    model = build_model(SHAPES["dense"], LENGTH, make_mesh("cpu", "full", 0, 1), seed=1)
    source = open_source("text:", LENGTH, 8, seed=1)
    settings = [train.Settings(global_batch=8, micro_batch=2, eval_rows=count) for count in eval_rows]
    return [train.evaluate(model, source, each, these_ranks()) for each in settings]


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_held_out_loss_does_not_depend_on_the_ranks(ranks: int) -> None:
    eval_rows = (1, 5, 8)
    (alone,) = processes.on_ranks(1, evaluate_on, eval_rows)
    assert alone == pytest.approx([math.log(2501)] * 3, abs=0.2)
    assert len(set(alone)) == 3
    for losses in processes.on_ranks(ranks, evaluate_on, eval_rows):
        assert losses == pytest.approx(alone, abs=1e-5)
