"""Case fsdp as launchers start it: it goes on from its checkpoints, saves on request, and fails in one line."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from models import SHAPES, parameter_count
from tests.training import processes
from tests.training.processes import Run, load_script, run_script

from adt_train import UserError, checkpoints, data, errors, parse_arguments
from adt_train.torch_ranks import Ranks

SCRIPT = "pytorch/fsdp/train.py"
STEPS = 12


def _with_a_smaller_model(first_do: Callable[[], None] | None) -> None:
    SHAPES["tiny"] = replace(SHAPES["tiny"], width=64, layers=2, ffn=192)
    if first_do:
        first_do()


def train(
    folder: Path,
    *words: str,
    ranks: int = 2,
    first_do: Callable[[], None] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Run:
    """A small model, short rows, every loss told; later words win."""
    batches = ("--sequence_length=32", "--global_batch=8", "--micro_batch=2", "--eval_rows=8")
    usual = (*batches, f"--steps={STEPS}", "--log_every=1")
    smaller = functools.partial(_with_a_smaller_model, first_do)
    return run_script(SCRIPT, folder, *usual, *words, ranks=ranks, first_do=smaller, variables=variables)


def ranks_of(count: int) -> Ranks:
    return Ranks(0, count, torch.device("cpu"), cpu_group=None)


def saved_steps(folder: Path) -> list[int]:
    return [int(path.name.removeprefix("step-")) for path in checkpoints.complete(folder / "checkpoints")]


def first_steps(whole: Path, copy: Path, step: int) -> Path:
    """A run folder with no checkpoint but that of ``step``."""
    name = f"checkpoints/step-{step:08d}"
    shutil.copytree(whole / name, copy / name)
    return copy


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
    assert unbroken.events("finished")[0]["message"] == "12 steps"
    assert unbroken.events("environment")[0]["message"] == "2 ranks on CPU, from step 0"


def test_the_loss_falls(unbroken: Run) -> None:
    assert unbroken.losses[0] == pytest.approx(5.55, abs=0.2)
    assert unbroken.losses[STEPS - 1] < 4.8


def test_checkpoints_are_written_beside_training_and_kept(unbroken: Run, unbroken_dir: Path) -> None:
    assert saved_steps(unbroken_dir) == [12, 6]
    told = unbroken.of("checkpoint")
    assert [metric["step"] for metric in told] == [6, 12]
    assert all(metric["bytes"] > 3 * 4 * 120_000 for metric in told), "weights and both moments, in float32"
    assert told[0]["blocked_s"] < told[0]["seconds"]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_a_resumed_run_equals_the_unbroken_one(unbroken: Run, unbroken_dir: Path, run_dir: Path, ranks: int) -> None:
    resumed = train(first_steps(unbroken_dir, run_dir, 6), ranks=ranks)
    assert resumed.statuses == [0] * ranks, resumed.output
    assert resumed.events("resumed")[0]["message"] == "from step-00000006, saved by 2 ranks"
    expected = {step: loss for step, loss in unbroken.losses.items() if step >= 6}
    assert resumed.losses == pytest.approx(expected, abs=1e-4)
    assert resumed.of("eval")[0]["loss"] == pytest.approx(unbroken.of("eval")[0]["loss"], abs=1e-4)


def test_a_finished_run_that_is_started_again_only_evaluates(unbroken: Run, unbroken_dir: Path, run_dir: Path) -> None:
    again = train(first_steps(unbroken_dir, run_dir, 12))
    assert again.statuses == [0, 0]
    assert again.losses == {}
    assert again.of("eval")[0]["loss"] == pytest.approx(unbroken.of("eval")[0]["loss"], abs=1e-4)


def test_settings_that_change_only_how_it_is_computed_leave_losses_as_they_are(unbroken: Run, run_dir: Path) -> None:
    # offload is for GPUs alone
    words = ("--offload=true", "--sharding=hybrid", "--shard_size=1", "--recompute=full", "--micro_batch=1")
    other = train(run_dir, *words, "--checkpoint_in_background=false")
    assert other.losses == pytest.approx(unbroken.losses, abs=1e-4)


@pytest.fixture(scope="module")
def with_masters_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masters")


@pytest.fixture(scope="module")
def with_masters(with_masters_dir: Path) -> Run:
    """Two ranks with weights in bfloat16 and masters, a checkpoint after half of the steps."""
    run = train(with_masters_dir, "--masters=true", "--checkpoint_every=6")
    assert run.statuses == [0, 0], run.output
    return run


def test_masters_learn_as_float32_weights_do(unbroken: Run, with_masters: Run) -> None:
    assert with_masters.losses == pytest.approx(unbroken.losses, abs=0.02)
    assert with_masters.losses != pytest.approx(unbroken.losses, abs=1e-5), "bfloat16 would leave no trace"


def test_masters_are_saved_and_the_next_run_goes_on(with_masters: Run, with_masters_dir: Path, run_dir: Path) -> None:
    resumed = train(first_steps(with_masters_dir, run_dir, 6), "--masters=true")
    expected = {step: loss for step, loss in with_masters.losses.items() if step >= 6}
    assert resumed.losses == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("micro_batch", [8, 2])
def test_one_rank_with_masters_goes_on_from_two(
    with_masters: Run, with_masters_dir: Path, run_dir: Path, micro_batch: int
) -> None:
    # all rows at once: nothing is sharded, and FSDP has no part in it
    words = ("--masters=true", f"--micro_batch={micro_batch}")
    resumed = train(first_steps(with_masters_dir, run_dir, 6), *words, ranks=1)
    expected = {step: loss for step, loss in with_masters.losses.items() if step >= 6}
    assert resumed.losses == pytest.approx(expected, abs=0.02)


def test_a_checkpoint_of_float32_weights_is_refused_for_masters(
    unbroken: Run, unbroken_dir: Path, run_dir: Path
) -> None:
    refused = train(first_steps(unbroken_dir, run_dir, 6), "--masters=true", ranks=1)
    assert refused.statuses == [2]
    assert "does not fit: masters False there, True here" in refused.events("error")[0]["message"]


def test_masters_of_float32_weights_are_refused(run_dir: Path) -> None:
    refused = train(run_dir, "--masters=true", "--bf16=false", ranks=1)
    assert refused.statuses == [2]
    message = "masters=true keeps weights in bfloat16, and bf16=false asks for float32"
    assert refused.events("error")[0]["message"] == message


def test_float8_learns_as_bfloat16_does(with_masters: Run, run_dir: Path) -> None:
    rounded = train(run_dir, "--masters=true", "--float8=true")
    assert rounded.losses == pytest.approx(with_masters.losses, rel=0.01)
    assert rounded.losses != with_masters.losses


def test_an_untied_model_has_a_head_of_its_own() -> None:
    script = load_script("pytorch/fsdp/train.py")
    tied, untied = (script.shape_of(script.Settings(model="llama3_2_1b", untied=untied)) for untied in (False, True))
    assert parameter_count(untied) - parameter_count(tied) == 128256 * 2048


def _compile_without_a_compiler() -> None:
    compile_ = torch.compile
    torch.compile = lambda function: print("compiled") or compile_(function, backend="aot_eager")


def test_compiled_blocks_give_the_same_losses(unbroken: Run, run_dir: Path) -> None:
    compiled = train(run_dir, "--compile=true", ranks=1, first_do=_compile_without_a_compiler)
    assert compiled.output.count("compiled\n") == 3, "two blocks and the loss"
    assert compiled.losses == pytest.approx(unbroken.losses, abs=1e-4)


def _stop_is_asked_of_rank_1_in_step(number: int) -> None:
    rows = data.Windows.rows

    def asking(self: data.Windows, step: int, lanes: range) -> data.Tokens:
        if step == number and processes.this_rank() == 1:
            signal.raise_signal(signal.SIGUSR1)
        return rows(self, step, lanes)

    data.Windows.rows = asking  # type: ignore[method-assign,assignment]


def test_a_stop_asked_of_one_rank_saves_on_all_and_the_next_run_goes_on(unbroken: Run, run_dir: Path) -> None:
    stop = functools.partial(_stop_is_asked_of_rank_1_in_step, 4)
    stopped = train(run_dir, first_do=stop, variables={"ADT_ATTEMPT": "3"})
    assert stopped.statuses == [75, 75], stopped.output
    assert stopped.events("saved_on_request")[0]["message"] == "after 5 of 12 steps"
    assert (run_dir / "saved.3").exists()
    assert saved_steps(run_dir) == [5]
    resumed = train(run_dir)
    assert resumed.statuses == [0, 0], resumed.output
    assert {**stopped.losses, **resumed.losses} == pytest.approx(unbroken.losses, abs=1e-4)
    assert min(resumed.losses) == 5


def test_sigterm_to_torchrun_saves_and_the_next_run_goes_on(run_dir: Path) -> None:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *(str(processes.TEST_CASES / SCRIPT), "--sequence_length=32", "--steps=100000", "--log_every=1"),
    ]
    environment = {**os.environ, "ADT_RUN_DIR": str(run_dir), "ADT_ATTEMPT": "2", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        output = ""
        for line in job.stdout:
            output += line
            if '"step": 2,' in line:
                job.terminate()
        _, complaints = job.communicate()
    assert job.returncode != 0
    (saved,) = Run([], output).events("saved_on_request")
    assert (run_dir / "saved.2").exists(), complaints
    assert saved_steps(run_dir) == [saved["step"]]
    resumed = run_script(SCRIPT, run_dir, "--sequence_length=32", f"--steps={saved['step'] + 1}", ranks=1)
    assert list(resumed.losses) == [saved["step"]]


def test_a_checkpoint_of_another_model_is_refused_and_left(unbroken: Run, unbroken_dir: Path, run_dir: Path) -> None:
    refused = train(first_steps(unbroken_dir, run_dir, 6), "--model=tiny_experts")
    assert 0 not in refused.statuses
    (error,) = refused.events("error")
    assert "does not fit: model tiny there, tiny_experts here" in error["message"]
    assert "Traceback" not in refused.output
    assert saved_steps(run_dir) == [6]


def test_instead_of_a_truncated_checkpoint_the_one_before_is_used(
    unbroken: Run, unbroken_dir: Path, run_dir: Path
) -> None:
    shutil.copytree(unbroken_dir / "checkpoints", run_dir / "checkpoints")
    newest = run_dir / "checkpoints/step-00000012/__1_0.distcp"
    os.truncate(newest, newest.stat().st_size // 2)
    resumed = train(run_dir, "--steps=7", ranks=1)
    assert resumed.statuses == [0], resumed.output
    assert "step-00000012 is damaged (__1_0.distcp)" in resumed.events("checkpoint_damaged")[0]["message"]
    assert resumed.losses == pytest.approx({6: unbroken.losses[6]}, abs=1e-4)


def test_what_cannot_be_read_is_refused_in_one_line_by_all_ranks(run_dir: Path) -> None:
    refused = train(run_dir, "--data=text:none.txt")
    assert 0 not in refused.statuses
    (error,) = refused.events("error")
    assert error["message"] == "data=text:none.txt cannot be read: No such file or directory"
    assert "Traceback" not in refused.output
    assert not (run_dir / "checkpoints").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--global_batch=9"], "global_batch=9 rows cannot be shared evenly by 2 ranks"),
        (["--global_batch=6", "--micro_batch=2"], "micro_batch=2 does not divide a rank's 3 of 6 rows"),
    ],
)
def test_batches_that_do_not_fit_are_refused(words: list[str], message: str) -> None:
    script = load_script("pytorch/fsdp/train.py")
    settings = parse_arguments(script.Settings, words)
    with pytest.raises(UserError) as refused:
        script.fit_batches(settings, ranks_of(2))
    assert refused.value.message == message


def test_batches_that_are_left_open_fit_any_number_of_ranks() -> None:
    script = load_script("pytorch/fsdp/train.py")
    for count, batches in ((1, (8, 8)), (2, (8, 4)), (3, (9, 3)), (16, (16, 1))):
        settings = script.Settings()
        script.fit_batches(settings, ranks_of(count))
        assert (settings.global_batch, settings.micro_batch) == batches


def test_data_of_a_larger_vocabulary_is_refused(run_dir: Path) -> None:
    refused = train(run_dir, "--data=synthetic:300", ranks=1)
    assert refused.statuses == [2]
    assert refused.events("error")[0]["message"] == "data=synthetic:300 has 300 tokens; model tiny knows 256"


def test_synthetic_data_is_said_to_be_so(run_dir: Path) -> None:
    run = train(run_dir, "--data=synthetic:256", "--steps=1", ranks=1)
    assert run.events("synthetic_data")[0]["message"] == "random tokens: speed is real, the loss means nothing"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for one checkpoint of 1.5 MB, and not for two."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2500k", "none", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system can only be mounted by root")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize("in_background", ["true", "false"])
def test_a_full_disk_is_told_in_one_line_and_costs_no_good_checkpoint(
    unbroken: Run, run_dir: Path, small_disk: Path, in_background: str
) -> None:
    words = ("--checkpoint_every=2", f"--checkpoint_in_background={in_background}")
    full = train(run_dir, *words, variables={"ADT_CHECKPOINT_DIR": str(small_disk / "checkpoints")})
    assert 0 not in full.statuses
    assert 75 not in full.statuses
    error = full.events("error")[0]
    assert "the checkpoint of step 4 could not be saved in" in error["message"]
    assert "No space left on device; " in error["message"]
    assert "Traceback" not in full.output
    assert [path.name for path in (small_disk / "checkpoints").iterdir()] == ["step-00000002"]
    shutil.copytree(small_disk / "checkpoints", run_dir / "checkpoints")
    resumed = train(run_dir, "--steps=3", ranks=1)
    assert resumed.losses == pytest.approx({2: unbroken.losses[2]}, abs=1e-4)


def _other_ranks_speak_soon() -> None:
    errors._LAST_WORDS_S = 0.2


def test_where_one_rank_cannot_save_all_end(run_dir: Path) -> None:
    run_dir.mkdir()
    (run_dir / "checkpoints").touch()
    failed = train(run_dir, "--checkpoint_every=2", first_do=_other_ranks_speak_soon)
    assert failed.statuses[0] == 2
    assert failed.statuses[1] in (2, -signal.SIGTERM)
    error = failed.events("error")[0]
    assert "the checkpoint of step 2 could not be saved in" in error["message"]
    assert "Not a directory; " in error["message"]
    assert "Traceback" not in failed.output
