# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Groups of checks on one machine, each held to its part of the record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Clock,
    Expected,
    Reader,
    Result,
    record,
    registry,
    run_all,
)


def run_groups(
    names: Iterable[str],
    groups: Mapping[str, Expected],
    here: Expected,
    read: Reader,
    node: str = "",
    wait_s: float = 0.0,
    clock: Clock | None = None,
) -> list[Result]:
    """Run the checks of some groups.

    :param groups: the machine's record.
    :param here: what is known of the machine without it.
    :param wait_s: for all together; what fails is tried again until it has passed.
    """
    time_of = clock or Clock()
    end = time_of.now() + wait_s
    found: list[Result] = []
    for name in names:
        held_to = record.held_to(name, groups, here)
        left = max(0.0, end - time_of.now()) if wait_s else 0.0
        found += run_all(registry.select([name]), held_to, read, node, left, time_of)
    return found
