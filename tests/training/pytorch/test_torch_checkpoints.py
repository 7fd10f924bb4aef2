"""Sharded checkpoints that are written while training goes on."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from models import Shape
from setup_model import build_model, make_mesh
from tests.training import processes
from torch import nn
from torch.distributed.checkpoint import FileSystemWriter
from torch.distributed.tensor import DTensor

from adt_train import Environment, MetricWriter, checkpoints
from adt_train.torch_checkpoints import TorchCheckpoints

SHAPE = Shape(width=32, layers=1, heads=2, kv_heads=1, ffn=48, vocabulary=64)


def of_a_model(root: Path, in_background: bool, keep: int = 2) -> tuple[nn.Module, TorchCheckpoints]:
    """A sharded model that has made an update, and its checkpoints."""
    model = build_model(SHAPE, 8, make_mesh("cpu", "full", 0, 1), seed=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model(torch.zeros(2, 8, dtype=torch.long))[0].logsumexp(-1).mean().backward()
    optimizer.step()
    writer = MetricWriter(Environment.read(), 1, accelerators=1, tokens_per_step=1, flops_per_token=1, total_steps=1)
    return model, TorchCheckpoints(root, model, optimizer, {"model": "small"}, writer, keep, in_background)


def own_part(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of what this rank holds."""
    return {
        name: (weight.to_local() if isinstance(weight, DTensor) else weight).detach().clone()
        for name, weight in model.named_parameters()
    }


def train_on_while_a_checkpoint_is_written(root: Path) -> dict[str, Any]:
    model, saves = of_a_model(root, in_background=True)
    may_write, write = threading.Event(), FileSystemWriter.write_data

    def when_allowed(self: FileSystemWriter, *arguments: Any) -> Any:
        may_write.wait(30)
        return write(self, *arguments)

    FileSystemWriter.write_data = when_allowed
    before = own_part(model)
    saves.save(1)
    facts: dict[str, Any] = {"failed": saves.poll(), "published early": checkpoints.complete(root) != []}
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(7.0)
    may_write.set()
    saves.finish()
    facts["published"] = [path.name for path in checkpoints.complete(root)]
    facts["step"] = saves.load()
    after = own_part(model)
    facts["as they were"] = all(torch.equal(after[name], before[name]) for name in before)
    return facts


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two ranks see."""
    root = tmp_path_factory.mktemp("background") / "checkpoints"
    return processes.on_ranks(2, train_on_while_a_checkpoint_is_written, root)


def test_a_save_in_the_background_holds_the_weights_of_its_step(facts: list[dict[str, Any]]) -> None:
    for rank in facts:
        assert rank["as they were"], "what training did meanwhile got into the checkpoint"
        assert rank["step"] == 1


def test_a_checkpoint_is_published_only_when_it_is_complete(facts: list[dict[str, Any]]) -> None:
    for rank in facts:
        assert not rank["failed"]
        assert not rank["published early"]
        assert rank["published"] == ["step-00000001"]


def save_four_times(root: Path, in_background: bool) -> list[int]:
    _, saves = of_a_model(root, in_background)
    for step in (1, 2, 3, 3, 4):
        saves.save(step)
    saves.finish()
    return [saves.load()]


@pytest.mark.parametrize("in_background", [True, False])
def test_so_many_checkpoints_are_kept(tmp_path: Path, in_background: bool) -> None:
    assert processes.on_ranks(2, save_four_times, tmp_path, in_background) == [[4], [4]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


def train_on_while_an_old_checkpoint_is_removed(root: Path) -> list[list[str]]:
    _, saves = of_a_model(root, in_background=True, keep=1)
    may_remove, remove = threading.Event(), shutil.rmtree

    def when_allowed(path: Path, ignore_errors: bool = False) -> None:
        if Path(path).exists():
            may_remove.wait(30)
        remove(path, ignore_errors)

    shutil.rmtree = when_allowed  # type: ignore[assignment]
    saves.save(1)
    saves.save(2)
    while not (root / "step-00000002").exists():
        assert not saves.poll()
        time.sleep(0.01)
    seen = [sorted(path.name for path in root.iterdir())]
    may_remove.set()
    saves.finish()
    return [*seen, sorted(path.name for path in root.iterdir())]


def test_an_old_checkpoint_is_removed_beside_training_and_is_none_meanwhile(tmp_path: Path) -> None:
    (seen,) = processes.on_ranks(1, train_on_while_an_old_checkpoint_is_removed, tmp_path)
    assert seen == [[".step-00000001.tmp", "step-00000002"], ["step-00000002"]]
