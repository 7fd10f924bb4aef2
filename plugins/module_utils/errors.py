# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The collection's one exception."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TrainingError(Exception):
    """What is wrong with a request, its value and its fix, as one line."""

    def __init__(self, problem: str, fix: str = "") -> None:
        self.problem = " ".join(problem.split())
        self.fix = " ".join(fix.split())
        super().__init__(f"{self.problem}; fix: {self.fix}" if self.fix else self.problem)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A fix for an unknown name: its nearest neighbour, where there is one, and the known names."""
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    listed = ", ".join(names) or "none"
    return f"did you mean {nearest[0]}? Known: {listed}" if nearest else f"known: {listed}"
