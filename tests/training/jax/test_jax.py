"""Case jax: its model, and train.py as launchers start it, on one process and on two."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.training.processes import TEST_CASES, Run, free_port, load_script

from adt_train import checkpoints, data

SCRIPT = TEST_CASES / "jax/plain/train.py"
SIZES = ("--width=32", "--layers=2", "--heads=2", "--sequence_length=32", "--global_batch=8", "--eval_rows=8")
STEPS = 12

# In step 4 rank 1 asks its launcher to stop, and gives it time to hand that on.
ASKED_TO_STOP = f"""
import os, runpy, signal, sys, time
from adt_train import data
rows = data.Windows.rows
def asking(self, step, lanes):
    if step == 4 and os.environ["ADT_RANK"] == "1":
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(0.5)
    return rows(self, step, lanes)
data.Windows.rows = asking
sys.argv[0] = {str(SCRIPT)!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the text as tokens, and with what JAX has compiled already."""
    folder = tmp_path_factory.mktemp("jax")
    data.write_tokens(folder / "data/tokens.bin", np.frombuffer(data.bundled_text(), np.uint8), 256)
    return folder


def train(place: Path, run: str, *words: str, processes: int = 1, script: tuple[str, ...] = (str(SCRIPT),)) -> Run:
    """A small model, every loss told; later words win."""
    environment = {
        **os.environ,
        "ADT_NODES": "1",
        "ADT_NODE_RANK": "0",
        "ADT_PROCS_PER_NODE": str(processes),
        "ADT_HEAD_ADDR": "127.0.0.1",
        "ADT_HEAD_PORT": str(free_port()),
        "ADT_RUN_DIR": str(place / run),
        "ADT_DATA_DIR": str(place / "data"),
        "JAX_COMPILATION_CACHE_DIR": str(place / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    usual = (*SIZES, f"--steps={STEPS}", "--log_every=1")
    command = [sys.executable, "-m", "adt_train.per_rank", sys.executable, *script, *usual, *words]
    ran = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90, check=False
    )
    return Run([ran.returncode], ran.stdout)


@pytest.fixture(scope="module")
def unbroken(place: Path) -> Run:
    """One process, all steps, a checkpoint after half of them."""
    run = train(place, "unbroken", "--checkpoint_every=6")
    assert run.statuses == [0], run.output
    return run


@pytest.fixture(scope="module")
def stopped(place: Path) -> Run:
    """Two processes that are asked to stop in the fifth step."""
    return train(place, "stopped", processes=2, script=("-c", ASKED_TO_STOP))


def test_every_step_and_the_held_out_loss_are_told(unbroken: Run) -> None:
    assert list(unbroken.losses) == list(range(STEPS))
    assert unbroken.losses[0] == pytest.approx(math.log(256), abs=0.2)
    assert [metric["step"] for metric in unbroken.of("eval")] == [STEPS]
    assert [metric["step"] for metric in unbroken.of("checkpoint")] == [6, 12]


def test_sigterm_to_the_launcher_saves_and_exits_with_75(stopped: Run, place: Path) -> None:
    assert stopped.statuses == [75], stopped.output
    (saved,) = stopped.events("saved_on_request")
    assert (place / "stopped/saved.1").exists()
    found = checkpoints.newest(place / "stopped/checkpoints", print)
    assert found is not None
    assert found[1]["step"] == saved["step"] < STEPS


def test_two_processes_lose_what_one_loses(unbroken: Run, stopped: Run) -> None:
    assert len(stopped.losses) >= 5
    assert stopped.losses == pytest.approx({step: unbroken.losses[step] for step in stopped.losses}, abs=1e-4)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_resumed_run_equals_the_unbroken_one(unbroken: Run, stopped: Run, place: Path, processes: int) -> None:
    run = f"resumed-on-{processes}"
    shutil.copytree(place / "stopped/checkpoints", place / run / "checkpoints")
    resumed = train(place, run, processes=processes)
    assert resumed.statuses == [0], resumed.output
    assert {**stopped.losses, **resumed.losses} == pytest.approx(unbroken.losses, abs=1e-4)
    assert min(resumed.losses) == stopped.events("saved_on_request")[0]["step"]
    assert resumed.of("eval")[0]["loss"] == pytest.approx(unbroken.of("eval")[0]["loss"], abs=1e-4)


def test_instead_of_a_truncated_checkpoint_the_one_before_is_used(unbroken: Run, place: Path) -> None:
    shutil.copytree(place / "unbroken/checkpoints", place / "truncated/checkpoints")
    os.truncate(place / "truncated/checkpoints/step-00000012/state.npz", 1000)
    resumed = train(place, "truncated")
    assert resumed.events("resumed")[0]["step"] == 6
    assert "step-00000012 is damaged" in resumed.events("checkpoint_damaged")[0]["message"]
    assert resumed.losses == pytest.approx({step: unbroken.losses[step] for step in range(6, STEPS)}, abs=1e-4)


def test_a_checkpoint_of_another_model_is_refused_in_one_line(unbroken: Run, place: Path) -> None:
    shutil.copytree(place / "unbroken/checkpoints", place / "other/checkpoints")
    refused = train(place, "other", "--width=16")
    assert refused.statuses == [2]
    (error,) = refused.events("error")
    assert "does not fit: width 32 there, 16 here" in error["message"]
    assert "Traceback" not in refused.output


def test_a_later_byte_does_not_change_earlier_scores() -> None:
    script = load_script("jax/plain/train.py")
    settings = script.Settings(width=32, layers=2, heads=2)
    weights = script.first_weights(jax.random.key(1), settings)
    text = jax.random.randint(jax.random.key(2), (1, 12), 0, 256)
    scores = jax.jit(script.model, static_argnums=2)
    changed = text.at[0, 7].set((text[0, 7] + 1) % 256)
    before, after = (np.asarray(scores(weights, each, 2)[0]) for each in (text, changed))
    np.testing.assert_allclose(before[:7], after[:7], atol=1e-6)
    assert np.abs(before[7:] - after[7:]).max(-1).min() > 1e-5, "an earlier byte does not reach every later score"


def test_positions_are_turned_as_roformer_says() -> None:
    script = load_script("jax/plain/train.py")
    x = jax.random.normal(jax.random.key(1), (1, 5, 1, 8))
    expected = np.empty((5, 8))
    for position in range(5):
        for pair in range(4):
            angle = position * 10_000 ** (-2 * pair / 8)
            one, other = float(x[0, position, 0, pair]), float(x[0, position, 0, pair + 4])
            expected[position, pair] = one * math.cos(angle) - other * math.sin(angle)
            expected[position, pair + 4] = other * math.cos(angle) + one * math.sin(angle)
    np.testing.assert_allclose(script.rotated(jnp.asarray(x))[0, :, 0], expected, atol=1e-5)
