"""Runs that several modules look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support

DDP_PARAMS = "steps=40 checkpoint_every=20 eval_rows=32"


@pytest.fixture(scope="session")
def trained_ddp(make_workplace: Callable[[str], Path]) -> Path:
    """The folder of a short run of case ddp, with checkpoints at steps 20 and 40. Copy it, do not change it."""
    folder = make_workplace("trained-ddp")
    ran = support.play(["-e", "case=ddp", "-e", f"params='{DDP_PARAMS}'"], folder)
    assert ran.returncode == 0, ran.stdout
    return support.latest_run(folder, "ddp")
