"""Case fsdp against torchtitan on one H200: tokens/s, MFU, memory and losses of the same shapes on the same rows.

    python3 benchmarks/fsdp_h200.py --results=FILE [--cells=3b-2,3b-1,1b-2,1b-1] [--programs=fsdp,torchtitan]
    python3 benchmarks/fsdp_h200.py --profile=3b-2 [--programs=fsdp_float8]

A cell is a model and its rows of 8,192 tokens a step; its programs run one after the other on the same GPU. FILE gets a
line of JSON for each whole cell: a second call passes over those that stand there. The fsdp programs are presets of
case.yml (MODEL_one_gpu and MODEL_float8) with an untied table, as torchtitan has no other. Needs PyTorch, PyYAML and,
for its column, torchtitan 0.2.2 with what it imports.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import runpy
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CASE = ROOT / "test_cases/pytorch/fsdp"
LENGTH = 8192  # tokens of a row
LOG_EVERY = 5  # steps
RATE = 3e-4  # peak learning rate, after a fifth of the steps
PEAK = 989e12  # FLOP/s: dense bf16 of H100 and H200, as torchtitan takes it
MODELS = {"1b": "llama3_2_1b", "3b": "llama3_2_3b"}
ANCHORS = {"3b-2": 21869, "3b-1": 20705, "1b-2": 53489, "1b-1": 49461}
"""tokens/s of torchtitan 0.2.2 by cell, measured on 2026-11-23: it must come within 3 % for a cell to count."""
PROGRAMS = ("fsdp", "fsdp_float8", "torchtitan")


@dataclass
class Speed:
    """What one program did in one cell."""

    program: str
    tokens_per_s: float
    """Median of the last three lines."""
    mfu: float
    memory_gib: float
    seconds: float
    """All of its run: start and compilation too."""
    losses: dict[int, float] = field(default_factory=dict)
    """By step, from 0: the loss of its batch before its update."""
    held_out: dict[int, float] = field(default_factory=dict)
    """By updates seen: the loss on rows that training never sees."""


def main() -> int:
    """Measure the cells that FILE does not hold, and print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, metavar="FILE")
    parser.add_argument("--cells", default=",".join(ANCHORS))
    parser.add_argument("--programs", default="fsdp,torchtitan")
    parser.add_argument("--data", default="synthetic:128256", help="as the case's parameter of that name")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--set", default="", metavar="WORDS", help="parameters that replace the preset's: 'a=1 b=2'")
    parser.add_argument("--profile", metavar="CELL", help="no comparison: the kernels of one step")
    parser.add_argument("--torchtitan", metavar="CELL", help=argparse.SUPPRESS)
    parser.add_argument("--words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.torchtitan:
        return train_torchtitan(asked.torchtitan, asked.data, asked.steps)
    if asked.words is not None:
        return train_profiled(asked.words)
    cells, programs = asked.cells.split(","), asked.programs.split(",")
    for given, known in ((cells, ANCHORS), (programs, PROGRAMS)):
        for name in given:
            if name not in known:
                parser.error(f"{name} is not known; one of {', '.join(known)}")
    if asked.profile:
        words = words_of(programs[0], asked.profile, asked.data, 12, asked.set)
        return subprocess.call([sys.executable, __file__, "--words", *words], env=environment())
    if not asked.results:
        parser.error("--results=FILE is not given")
    for cell in cells:
        if cell not in read(asked.results):
            speeds = [measure(program, cell, asked.data, asked.steps, asked.set) for program in programs]
            with open(asked.results, "a", encoding="utf-8") as file:
                file.write(
                    json.dumps({"cell": cell, "gpu": gpu(), "speeds": [asdict(speed) for speed in speeds]}) + "\n"
                )
    print(table(read(asked.results)))
    return 0


def read(results: Path) -> dict[str, list[Speed]]:
    """The cells that a file holds."""
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return {line["cell"]: [Speed(**speed) for speed in line["speeds"]] for line in lines}


def table(cells: dict[str, list[Speed]]) -> str:
    """Markdown; a cell counts where torchtitan comes within 3 % of its anchor."""
    lines = [
        "| cell | program | tokens/s | MFU | memory | over torchtitan | last loss | counts |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell, speeds in cells.items():
        other = next((speed for speed in speeds if speed.program == "torchtitan"), None)
        counts = "yes" if other and abs(other.tokens_per_s / ANCHORS[cell] - 1) <= 0.03 else "no"
        for speed in speeds:
            ratio = f"{speed.tokens_per_s / other.tokens_per_s:.3f}" if other else "-"
            last = list(speed.losses.values())[-1]
            lines.append(
                f"| {cell} | {speed.program} | {speed.tokens_per_s:,.0f} | {speed.mfu:.1%} "
                f"| {speed.memory_gib:.0f} GiB | {ratio} | {last:.4f} | {counts} |"
            )
    return "\n".join(lines)


def measure(program: str, cell: str, data: str, steps: int, replaced: str) -> Speed:
    """Run one program to its last step, or to the evaluation after it where ``replaced`` asks for evaluations."""
    started = time.monotonic()
    if program == "torchtitan":
        words = [__file__, f"--torchtitan={cell}", f"--data={data}", f"--steps={steps}"]
        parse: Callable[[str], tuple[int, float, float, float, float] | None] = parse_torchtitan
    else:
        words, parse = ["train.py", *words_of(program, cell, data, steps, replaced)], parse_fsdp
    evaluates = program != "torchtitan" and "eval_every=" in replaced

    def ends(text: str) -> bool:
        found, last = (parse_held_out(text), steps) if evaluates else (parse(text), steps - 1)
        return bool(found) and found[0] == last

    told = list(follow(words, ends))
    lines = [line for line in map(parse, told) if line]
    losses = {step: loss for step, loss, *_ in lines}
    held_out = dict(pair for pair in map(parse_held_out, told) if pair)
    tokens, memory, mfu = (statistics.median(line[column] for line in lines[-3:]) for column in (2, 3, 4))
    speed = Speed(program, tokens, mfu, memory, time.monotonic() - started, losses, held_out)
    print(cell, speed, flush=True)
    return speed


def follow(words: list[str], ends: Callable[[str], bool]) -> Iterator[str]:
    """The lines of a program, which is ended after the one that ``ends``: it need not save."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, *words],
            cwd=CASE,
            env={**environment(), "ADT_RUN_DIR": folder},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as job,
    ):
        assert job.stdout is not None
        told: list[str] = []
        for text in job.stdout:
            told.append(text)
            yield text
            if ends(text):
                job.kill()
                return
        raise SystemExit(f"{' '.join(words)} ended too early:\n{''.join(told[-40:])}")


def environment() -> dict[str, str]:
    """For both: one rank, and PyTorch's allocator as torchtitan's own launcher sets it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "test_cases/lib"), os.environ.get("PYTHONPATH", "")]),
        "PYTHONUNBUFFERED": "1",
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        "ADT_PEAK_TFLOPS": str(PEAK / 1e12),
        **{"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
    }


def gpu() -> str:
    """The GPU's name; the first one's where there are several."""
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def words_of(program: str, cell: str, data: str, steps: int, replaced: str) -> list[str]:
    """train.py's words: its preset, the cell, and what both programs have alike."""
    import yaml

    model, rows = cell.split("-")
    presets = yaml.safe_load((CASE / "case.yml").read_text(encoding="utf-8"))["presets"]
    values: dict[str, Any] = {}
    name: str | None = f"{MODELS[model]}_{ {'fsdp': 'one_gpu', 'fsdp_float8': 'float8'}[program] }"
    while name:
        values = {**presets[name].get("set", {}), **values}
        name = presets[name].get("like")
    values |= {"untied": True, "sequence_length": LENGTH, "global_batch": int(rows)}
    values |= {"data": data, "steps": steps, "log_every": LOG_EVERY, "learning_rate": RATE, "warmup_steps": steps // 5}
    values["checkpoint_every"] = 10**6
    values |= dict(word.split("=", 1) for word in replaced.split())
    return [f"--{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in values.items()]


def parse_fsdp(text: str) -> tuple[int, float, float, float, float] | None:
    """Step, loss, tokens/s, GiB and MFU of a step line."""
    if not text.startswith("ADT_METRIC "):
        return None
    metric = json.loads(text.removeprefix("ADT_METRIC "))
    if metric["kind"] != "step":
        return None
    return metric["step"], metric["loss"], metric["tokens_per_s"], metric["memory_gib"], metric["mfu"]


def parse_held_out(text: str) -> tuple[int, float] | None:
    """Updates seen, and loss, of a line of an evaluation."""
    if not text.startswith("ADT_METRIC "):
        return None
    metric = json.loads(text.removeprefix("ADT_METRIC "))
    return (metric["step"], metric["loss"]) if metric["kind"] == "eval" else None


def parse_torchtitan(text: str) -> tuple[int, float, float, float, float] | None:
    """The same, of torchtitan's line, whose steps count from 1."""
    pattern = r"step: +(\d+) +loss: +([\d.]+|nan) .*memory: +([\d.]+)GiB.*tps: ([\d,]+) .*mfu: ([\d.]+)%"
    found = re.search(pattern, text)
    if not found:
        return None
    step, loss, memory, tokens, mfu = found.groups()
    return int(step) - 1, float(loss), float(tokens.replace(",", "")), float(memory), float(mfu) / 100


def train_torchtitan(cell: str, data: str, steps: int) -> int:
    """torchtitan's own training on the cell's shape, from train.py's first weights and on its rows."""
    model, rows = cell.split("-")
    # before its import, which reads them
    sys.argv = [
        *("torchtitan", "--model.name=cell", f"--model.flavor={model}", f"--training.steps={steps}"),
        *(f"--training.seq-len={LENGTH}", f"--training.local-batch-size={rows}", f"--metrics.log-freq={LOG_EVERY}"),
        *("--compile.enable", "--activation-checkpoint.mode=none", "--metrics.disable-color-printing"),
        *(f"--optimizer.lr={RATE}", f"--lr-scheduler.warmup-steps={steps // 5}", "--lr-scheduler.decay-type=cosine"),
        "--lr-scheduler.min-lr-factor=0.1",
    ]
    import torch
    from torchtitan.models import llama3
    from torchtitan.models.llama3.model.args import RoPEScalingArgs
    from torchtitan.protocols.train_spec import register_train_spec
    from torchtitan.train import Trainer
    from torchtitan.train import main as titan_main

    sys.path.insert(0, str(CASE))
    from models import SHAPES
    from setup_model import fill_normal, init_std

    from adt_train.data import open_source

    shape = replace(SHAPES[MODELS[model]], tied=False)
    source = open_source(data, LENGTH, int(rows), seed=1)

    class Rows:
        """train.py's rows in the form of torchtitan's loader."""

        def __iter__(self) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
            for step in range(steps):
                batch = torch.from_numpy(source.rows(step, range(int(rows))))
                yield {"input": batch[:, :-1]}, batch[:, 1:]

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            pass

    class SameWeights(llama3.Transformer):
        """Begins with the weights that train.py draws."""

        def init_weights(self, buffer_device: torch.device | None = None) -> None:
            super().init_weights(buffer_device)
            for name, weight in self.named_parameters():
                ours = name_in_models(name)
                if ours.endswith("norm.weight"):
                    continue
                fill_normal(weight, init_std(shape, ours), f"1 {ours}")
                if ours.endswith(("query.weight", "key.weight")):
                    # elements of a head that turn together: i and i + C/2 there, 2i and 2i + 1 here
                    halves = weight.detach().unflatten(0, (-1, 2, shape.head_width // 2))
                    weight.copy_(halves.transpose(1, 2).flatten(0, 2))

    alike: dict[str, Any] = {
        "n_kv_heads": 8,
        "rope_theta": 500000,
        "rope_scaling_args": RoPEScalingArgs(scaling_factor=32),
    }
    spec = llama3.get_train_spec()
    spec.model_cls = SameWeights
    spec.model_args = {
        "1b": llama3.TransformerModelArgs(
            dim=2048, n_layers=16, n_heads=32, ffn_dim_multiplier=1.5, multiple_of=1024, **alike
        ),
        "3b": llama3.TransformerModelArgs(dim=3072, n_layers=28, n_heads=24, **alike),
    }
    spec.build_tokenizer_fn = None
    spec.build_dataloader_fn = lambda **_: Rows()
    spec.state_dict_adapter = None
    register_train_spec("cell", spec)
    titan_main(Trainer)
    return 0


def name_in_models(name: str) -> str:
    """A weight of torchtitan's Llama as models.py calls it."""
    for theirs, ours in (
        *(("_orig_mod.", ""), ("tok_embeddings", "embedding"), ("layers.", "blocks."), ("output.", "head.")),
        *((".wq.", ".query."), (".wk.", ".key."), (".wv.", ".value."), (".wo.", ".out.")),
        *(("feed_forward.", "ffn."), (".w1.", ".gate."), (".w2.", ".down."), (".w3.", ".up.")),
    ):
        name = name.replace(theirs, ours)
    return name


def train_profiled(words: list[str]) -> int:
    """train.py, with a table of the kernels of its steps 9 and 10, by the time that they take."""
    from torch.autograd import DeviceType
    from torch.optim.optimizer import register_optimizer_step_post_hook
    from torch.profiler import ProfilerActivity, profile, schedule

    def show(profiler: profile) -> None:
        kernels = [event for event in profiler.key_averages() if event.self_device_time_total]
        whole = sum(kernel.self_device_time_total for kernel in kernels)
        ranges = [event.time_range for event in profiler.events() or () if event.device_type == DeviceType.CUDA]
        span = max(each.end for each in ranges) - min(each.start for each in ranges)
        print(f"{whole / 2e3:.1f} ms of kernels in {span / 2e3:.1f} ms, a step")
        for kernel in sorted(kernels, key=lambda kernel: -kernel.self_device_time_total)[:45]:
            milliseconds = kernel.self_device_time_total / 2e3
            print(
                f"{milliseconds:8.2f} ms {milliseconds * 2e5 / whole:5.1f} %",
                f"{kernel.count // 2:5d} x {kernel.key[:150]}",
            )
        os._exit(0)

    profiler = profile(
        activities=[ProfilerActivity.CUDA], schedule=schedule(wait=7, warmup=1, active=2), on_trace_ready=show
    )
    profiler.start()
    register_optimizer_step_post_hook(lambda *_: profiler.step())
    sys.path.insert(0, str(CASE))
    sys.argv = ["train.py", *words]
    runpy.run_path(str(CASE / "train.py"), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
