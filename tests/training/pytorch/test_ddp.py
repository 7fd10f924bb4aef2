"""Case ddp: its model, and train.py as launchers start it."""

from __future__ import annotations

import functools
import math
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from model import ByteModel, Shape, flops_per_token
from tests.training import processes
from tests.training.processes import Run, run_script
from torch.nn.functional import cross_entropy

from adt_train import checkpoints, data

SHAPE = Shape(vocabulary=64, width=16, layers=3)
STEPS = 12


def train(folder: Path, *words: str, ranks: int = 2, **options: Any) -> Run:
    """A small model, every loss told; later words win."""
    sizes = ("--width=32", "--layers=3", "--sequence_length=32", "--global_batch=8", "--eval_rows=8")
    usual = (*sizes, f"--steps={STEPS}", "--log_every=1")
    return run_script("pytorch/ddp/train.py", folder, *usual, *words, ranks=ranks, **options)


def model_of(shape: Shape) -> ByteModel:
    torch.manual_seed(1)
    return ByteModel(shape)


def test_a_token_changes_the_scores_of_its_context_and_no_earlier_one() -> None:
    model = model_of(SHAPE)
    tokens = torch.randint(64, (1, 24), generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 64
    with torch.no_grad():
        differs = (model(tokens) - model(changed)).abs().amax(-1)[0] > 1e-7
    assert differs.nonzero().flatten().tolist() == list(range(7, 7 + SHAPE.context))


def test_an_untrained_model_guesses_evenly() -> None:
    tokens = torch.randint(64, (8, 24), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        loss = cross_entropy(model_of(SHAPE)(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
    assert float(loss) == pytest.approx(math.log(64), abs=0.1)


def test_operations_count_the_weights_that_multiply() -> None:
    joins, mixes = 3 * (16 * 32 * 2 + 32), 3 * (16 * 16 + 16)
    assert flops_per_token(model_of(SHAPE)) == 6 * (joins + mixes + 16 * 64 + 64)


@pytest.fixture(scope="module")
def unbroken_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unbroken")


@pytest.fixture(scope="module")
def unbroken(unbroken_dir: Path) -> Run:
    """Two ranks, all steps, a checkpoint after half of them."""
    run = train(unbroken_dir, "--checkpoint_every=6")
    assert run.statuses == [0, 0], run.output
    return run


def test_every_step_and_the_held_out_loss_are_told(unbroken: Run) -> None:
    assert list(unbroken.losses) == list(range(STEPS))
    assert [metric["step"] for metric in unbroken.of("eval")] == [STEPS]
    assert [metric["step"] for metric in unbroken.of("checkpoint")] == [6, 12]
    assert unbroken.events("finished")[0]["message"] == "12 steps"


def test_replicas_are_equal(unbroken: Run) -> None:
    assert unbroken.events("replicas_equal")[0]["message"] == "the weights of 2 ranks are equal"


def _rank_1_goes_its_own_way() -> None:
    step = torch.optim.AdamW.step

    def other(self: torch.optim.AdamW) -> None:
        step(self)
        if processes.this_rank() == 1:
            with torch.no_grad():
                self.param_groups[0]["params"][0].add_(1e-7)

    torch.optim.AdamW.step = other


def test_replicas_that_differ_are_an_error(run_dir: Path) -> None:
    run = train(run_dir, "--steps=2", first_do=_rank_1_goes_its_own_way)
    assert 0 not in run.statuses
    message = "after training, the weights of ranks [1] of 2 differ from those of rank 0"
    assert run.events("error")[0]["message"] == message


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_a_resumed_run_equals_the_unbroken_one(unbroken: Run, unbroken_dir: Path, run_dir: Path, ranks: int) -> None:
    shutil.copytree(unbroken_dir / "checkpoints/step-00000006", run_dir / "checkpoints/step-00000006")
    resumed = train(run_dir, ranks=ranks)
    assert resumed.statuses == [0] * ranks, resumed.output
    assert resumed.events("resumed")[0]["step"] == 6
    expected = {step: loss for step, loss in unbroken.losses.items() if step >= 6}
    assert resumed.losses == pytest.approx(expected, abs=1e-4)
    assert resumed.of("eval")[0]["loss"] == pytest.approx(unbroken.of("eval")[0]["loss"], abs=1e-4)


def test_fewer_held_out_rows_than_ranks_give_a_loss(unbroken: Run, unbroken_dir: Path, run_dir: Path) -> None:
    shutil.copytree(unbroken_dir / "checkpoints/step-00000012", run_dir / "checkpoints/step-00000012")
    run = train(run_dir, "--eval_rows=1")
    assert run.statuses == [0, 0], run.output
    assert 1 < run.of("eval")[0]["loss"] < 6


def test_a_batch_that_ranks_cannot_share_evenly_is_refused(run_dir: Path) -> None:
    refused = train(run_dir, "--global_batch=7")
    assert 0 not in refused.statuses
    (error,) = refused.events("error")
    assert error["message"] == "global_batch=7 rows cannot be shared evenly by 2 ranks"
    assert error["fix"] == "global_batch=8"


def test_a_checkpoint_of_another_model_is_refused(unbroken: Run, unbroken_dir: Path, run_dir: Path) -> None:
    shutil.copytree(unbroken_dir / "checkpoints", run_dir / "checkpoints")
    refused = train(run_dir, "--width=16", ranks=1)
    assert refused.statuses == [2]
    assert "does not fit: width 32 there, 16 here" in refused.events("error")[0]["message"]


def _stop_is_asked_of_rank_1_in_step(number: int) -> None:
    rows = data.Windows.rows

    def asking(self: data.Windows, step: int, lanes: range) -> data.Tokens:
        if step == number and processes.this_rank() == 1:
            signal.raise_signal(signal.SIGTERM)
        return rows(self, step, lanes)

    data.Windows.rows = asking  # type: ignore[method-assign,assignment]


def test_a_stop_asked_of_one_rank_saves_and_the_next_run_goes_on(unbroken: Run, run_dir: Path) -> None:
    stopped = train(run_dir, first_do=functools.partial(_stop_is_asked_of_rank_1_in_step, 4))
    assert stopped.statuses == [75, 75], stopped.output
    assert (run_dir / "saved.1").exists()
    resumed = train(run_dir)
    assert min(resumed.losses) == 5
    assert {**stopped.losses, **resumed.losses} == pytest.approx(unbroken.losses, abs=1e-4)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for one checkpoint of 250 kB, and not for two."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system can only be mounted by root")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_is_told_in_one_line_and_costs_no_good_checkpoint(run_dir: Path, small_disk: Path) -> None:
    root = small_disk / "checkpoints"
    full = train(run_dir, "--checkpoint_every=2", ranks=1, variables={"ADT_CHECKPOINT_DIR": str(root)})
    assert full.statuses == [2], full.output
    message = full.events("error")[0]["message"]
    assert message.startswith(f"the checkpoint of step 4 could not be saved in {root}: No space left on device; ")
    assert [path.name for path in root.iterdir()] == ["step-00000002"]
    assert checkpoints.newest(root, print) is not None
