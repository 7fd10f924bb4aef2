# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Messages: one line, with a fix and the nearest neighbour."""

from __future__ import annotations

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError, did_you_mean


def test_a_message_is_one_line_with_its_fix() -> None:
    assert str(TrainingError("it is\n  wrong", "mend\nit")) == "it is wrong; fix: mend it"


def test_a_message_without_a_fix_says_only_what_is_wrong() -> None:
    assert str(TrainingError("it is wrong")) == "it is wrong"


def test_a_near_name_is_offered_before_the_known_ones() -> None:
    assert did_you_mean("fspd", ["jax", "fsdp", "ddp"]) == "did you mean fsdp? Known: ddp, fsdp, jax"


def test_the_known_names_are_listed_where_none_is_near() -> None:
    assert did_you_mean("nemo", ["jax", "ddp"]) == "known: ddp, jax"


def test_it_says_so_where_nothing_is_known() -> None:
    assert did_you_mean("nemo", []) == "known: none"
