"""What a launcher tells a training script: the ADT_… variables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Environment:
    """Where a run lies, how large it is and which attempt this is; a script started by hand gets ./runs/manual."""

    run_dir: Path
    checkpoint_dir: Path
    data_dir: Path
    nodes: int
    node_rank: int
    procs_per_node: int
    head_addr: str
    head_port: int
    attempt: int
    accelerator: str
    peak_tflops: float | None
    """Dense bf16 peak of one accelerator in TFLOP/s; None where it is not known."""

    @classmethod
    def read(cls) -> Environment:
        """The environment of this process."""
        run_dir = Path(_get("ADT_RUN_DIR", "runs/manual"))
        peak = _get("ADT_PEAK_TFLOPS", "")
        return cls(
            run_dir=run_dir,
            checkpoint_dir=Path(_get("ADT_CHECKPOINT_DIR", str(run_dir / "checkpoints"))),
            data_dir=Path(_get("ADT_DATA_DIR", str(run_dir / "data"))),
            nodes=int(_get("ADT_NODES", "1")),
            node_rank=int(_get("ADT_NODE_RANK", "0")),
            procs_per_node=int(_get("ADT_PROCS_PER_NODE", _get("LOCAL_WORLD_SIZE", "1"))),
            head_addr=_get("ADT_HEAD_ADDR", "127.0.0.1"),
            head_port=int(_get("ADT_HEAD_PORT", "29500")),
            attempt=int(_get("ADT_ATTEMPT", "1")),
            accelerator=_get("ADT_ACCELERATOR", "cpu"),
            peak_tflops=float(peak) if peak else None,
        )

    def mark_saved(self) -> None:
        """Tell the job script that this attempt's state is saved: torchrun hides a process's exit status 75."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        (self.run_dir / f"saved.{self.attempt}").touch()


def _get(name: str, default: str) -> str:
    return os.environ.get(name) or default
