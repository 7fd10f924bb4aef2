"""Sharded checkpoints of a PyTorch model and its optimizer: written by all ranks, read by any number of them."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.staging import BlockingAsyncStager
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from adt_train import checkpoints
from adt_train.metrics import MetricWriter


@dataclass
class _Save:
    """A save that is under way on this rank."""

    step: int
    part: Path
    future: Future[Any]
    started: float
    blocked_s: float
    published: bool = False


class TorchCheckpoints:
    """Saves and loads; at most one save is under way.

    There is no random state to save: batches follow from the step (adt_train.data), and the models have no dropout.
    """

    def __init__(
        self,
        root: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        identity: dict[str, Any],
        writer: MetricWriter,
        keep: int,
        in_background: bool,
    ) -> None:
        """
        :param identity: what must be equal for a checkpoint to fit: the model's sizes, the rows of a step.
        :param keep: complete checkpoints that are kept.
        :param in_background: training goes on while files are written.
        """
        self.root, self.model, self.optimizer, self.identity, self.writer = root, model, optimizer, identity, writer
        self.keep, self.in_background = keep, in_background
        self.rank = dist.get_rank()
        # The thread that writes in the background talks to its peers: never over a group that training uses meanwhile.
        self._group = dist.new_group(backend="gloo")
        # Page-locked, and kept for the next save: training waits only while a GPU copies into it, not for its pages.
        self._stager = BlockingAsyncStager(cache_staged_state_dict=True) if torch.cuda.is_available() else None
        self._removals: list[threading.Thread] = []
        self._save: _Save | None = None
        self._saved_step = -1

    def save(self, step: int, wait: bool = False) -> None:
        """Save the state after ``step`` updates; with ``wait`` it is complete on return."""
        self.finish()
        if self._saved_step == step:
            return
        started = time.monotonic()
        part = checkpoints.part_of(self.root, step)
        try:
            if self.rank == 0:
                checkpoints.begin(self.root, step)
            dist.barrier(group=self._group)
            model, optimizer = get_state_dict(self.model, self.optimizer)
            state = {"model": model, "optimizer": optimizer}
            if self.in_background and not wait:
                future = dcp.async_save(state, checkpoint_id=part, process_group=self._group, async_stager=self._stager)
            else:
                future = Future()
                future.set_result(dcp.save(state, checkpoint_id=part, process_group=self._group))
        except (Exception, CheckpointException) as error:
            self._fail(step, error)
        assert isinstance(future, Future)
        self._save = _Save(step, part, future, started, time.monotonic() - started)
        if wait or not self.in_background:
            self.finish()

    def poll(self) -> bool:
        """Publish a save in the background once it is complete; whether it failed, which the next ``save`` tells.

        Rank 0 alone publishes: its part of a save ends after all the others'.
        """
        save = self._save
        if save is None or not save.future.done():
            return False
        if save.future.exception() is not None:
            return True
        if self.rank == 0 and not save.published:
            self._publish(save)
        return False

    def finish(self) -> None:
        """Wait for the save that is under way, on every rank."""
        save = self._save
        if save is None:
            return
        waited = time.monotonic()
        try:
            save.future.result()
        except (Exception, CheckpointException) as error:  # the latter is not one of the former
            self._fail(save.step, error)
        if self.rank == 0 and not save.published:
            save.blocked_s += time.monotonic() - waited
            self._publish(save)
        for removal in self._removals:
            removal.join()
        self._removals.clear()
        dist.barrier(group=self._group)
        self._save, self._saved_step = None, save.step

    def load(self) -> int:
        """Load the newest complete checkpoint; returns the number of updates it has seen, 0 without one."""
        found: list[Any] = [None]
        if self.rank == 0:
            checkpoints.abandon(self.root)
            found = [checkpoints.newest(self.root, lambda text: self.writer.event("checkpoint_damaged", text))]
        dist.broadcast_object_list(found, src=0, group=self._group)
        if found[0] is None:
            return 0
        path, about = found[0]
        checkpoints.refuse_another(path, about, self.identity)
        model, optimizer = get_state_dict(self.model, self.optimizer)
        state = {"model": model, "optimizer": optimizer}
        dcp.load(state, checkpoint_id=path, process_group=self._group)
        set_state_dict(self.model, self.optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
        self._saved_step = int(about["step"])
        self.writer.event("resumed", f"from {path.name}, saved by {about['ranks']} ranks", step=self._saved_step)
        return self._saved_step

    def _publish(self, save: _Save) -> None:
        began = time.monotonic()
        about = {"step": save.step, "identity": self.identity, "ranks": dist.get_world_size()}
        try:
            path, size = checkpoints.publish(save.part, about, self.keep, self._remove)
        except OSError as error:
            self._fail(save.step, error)
        save.published = True
        save.blocked_s += time.monotonic() - began
        self.writer.checkpoint(save.step, str(path), time.monotonic() - save.started, size, save.blocked_s)

    def _remove(self, old: Path) -> None:
        """Beside training: a disk may take seconds for a large file. What a crash leaves of it, ``abandon`` removes."""
        gone = old.rename(old.with_name(f".{old.name}.tmp"))
        self._removals.append(threading.Thread(target=shutil.rmtree, args=(gone,), kwargs={"ignore_errors": True}))
        self._removals[-1].start()

    def _fail(self, step: int, error: BaseException) -> NoReturn:
        told = checkpoints.save_error(self.root, step, error)
        if self.rank == 0:  # which alone speaks, and must find the disk as it was
            checkpoints.abandon(self.root)
        raise told from None
