"""Sharded checkpoints of a PyTorch model and its optimizer: written by all ranks, read by any number of them."""

from __future__ import annotations

import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from adt_train import checkpoints
from adt_train.errors import UserError
from adt_train.metrics import MetricWriter


class TorchCheckpoints:
    """Saves and loads; at most one save is under way."""

    def __init__(
        self, root: Path, model: nn.Module, optimizer: torch.optim.Optimizer, shape: dict[str, Any], writer: MetricWriter,
        keep: int, in_background: bool,
    ) -> None:
        """
        :param shape: what must be equal for a checkpoint to fit: the model's sizes.
        :param keep: complete checkpoints that are kept.
        :param in_background: training goes on while files are written.
        """
        self.root, self.model, self.optimizer, self.shape, self.writer = root, model, optimizer, shape, writer
        self.keep, self.in_background = keep, in_background
        self.rank = dist.get_rank()
        # a save in the background must not use the group that training uses at the same time
        self.group = dist.new_group(backend="gloo")
        self.saved_step = -1
        self._pending: tuple[Future[Any], Path, int, float, float] | None = None

    def save(self, step: int, wait: bool = False) -> None:
        """Save the state after ``step`` updates; with ``wait`` it is complete on return."""
        self.finish()
        if self.saved_step == step:
            return
        started = time.monotonic()
        part = self.root / f".step-{step:08d}.part"
        try:
            if self.rank == 0:
                checkpoints.begin(self.root, step)
            self._agree()
            model, optimizer = get_state_dict(self.model, self.optimizer)
            state = {"model": model, "optimizer": optimizer}
            if self.in_background and not wait:
                future = dcp.async_save(state, checkpoint_id=part, process_group=self.group)
            else:
                future = Future()
                future.set_result(dcp.save(state, checkpoint_id=part, process_group=self.group))
        except Exception as error:
            self._fail(error)
        self._pending = (future, part, step, started, time.monotonic() - started)
        if wait or not self.in_background:
            self.finish()

    def poll(self) -> None:
        """Publish a save in the background that is complete. Rank 0 alone looks: its part ends after all the others'."""
        if self.rank == 0 and self._pending and self._pending[0].done():
            self._publish()

    def finish(self) -> None:
        """Wait for the save that is under way, on every rank."""
        if self._pending:
            waited = time.monotonic()
            future, part, step, started, blocked = self._pending
            try:
                future.result()
            except Exception as error:
                self._fail(error)
            self._pending = (future, part, step, started, blocked + time.monotonic() - waited)
            if self.rank == 0:
                self._publish()
            self._pending = None
            self.saved_step = step
        self._agree()

    def load(self) -> int:
        """Load the newest complete checkpoint; returns the number of updates it has seen, 0 without one."""
        found: list[Any] = [None]
        if self.rank == 0:
            checkpoints.abandon(self.root)
            found = [checkpoints.newest(self.root, lambda text: self.writer.event("checkpoint_damaged", text))]
        dist.broadcast_object_list(found, src=0, group=self.group)
        if found[0] is None:
            return 0
        path, about = found[0]
        if about["shape"] != self.shape:
            differing = [key for key in self.shape if about["shape"].get(key) != self.shape[key]]
            told = ", ".join(f"{key} {about['shape'].get(key)} there, {self.shape[key]} here" for key in differing)
            raise UserError(f"checkpoint {path} is of another model: {told}", "the model that it was made with, or another run")
        model, optimizer = get_state_dict(self.model, self.optimizer)
        state = {"model": model, "optimizer": optimizer}
        dcp.load(state, checkpoint_id=path, process_group=self.group)
        set_state_dict(
            self.model, self.optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"]
        )
        self.saved_step = int(about["step"])
        self.writer.event("resumed", f"from {path.name}, saved by {about['ranks']} ranks", step=self.saved_step)
        return self.saved_step

    def _publish(self) -> None:
        if self._pending is None:
            return
        future, part, step, started, blocked = self._pending
        if not part.exists():  # published by poll before
            return
        if future.exception() is not None:
            return  # finish tells it, on every rank
        about = {"step": step, "shape": self.shape, "ranks": dist.get_world_size()}
        try:
            path, size = checkpoints.publish(part, about, self.keep)
        except OSError as error:
            self._fail(error)
        self.writer.checkpoint(step, str(path), time.monotonic() - started, size, blocked)

    def _agree(self) -> None:
        dist.barrier(group=self.group)

    def _fail(self, error: Exception) -> NoReturn:
        if self.rank == 0:
            checkpoints.abandon(self.root)
        reason = _innermost(error)
        free = checkpoints.free_bytes(self.root) / 2**20
        raise UserError(
            f"the checkpoint could not be saved in {self.root} ({reason}; {free:.0f} MiB free)",
            "free space there, or another checkpoint folder; then run again: the last complete checkpoint is kept",
        ) from None


def _innermost(error: BaseException) -> str:
    """The operating system's own words, out of what wraps them."""
    failures = getattr(error, "failures", None)
    if failures:
        return _innermost(next(iter(failures.values()))[0])
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
