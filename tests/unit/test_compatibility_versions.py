# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Versions as vendors write them, and the ranges that rules compare them with."""

from __future__ import annotations

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_versions import (
    newest_first,
    same_parts,
    version,
    version_range,
)

IN_ORDER = [
    ["535.183.01", "550.90.07", "550.107.02", "580.95.05", "580.126.09", "580.142", "580.173.02", "595.91.07"],
    ["1.22.0", "1.22.0amzn4.0", "2.1.0", "2.1.0amzn2.0", "2.1.0amzn5.0", "2.3.1amzn1.0", "2.3.1amzn10.0"],
    ["54.amzn0", "57.amzn0", "57.amzn1", "60.amzn0", "61.0", "64.0amzn0"],
    ["6.8.0-1057-aws", "6.8.0-1066-aws", "6.12.110-135.202", "6.18", "7.0.0-1014-aws"],
    ["1.18.0-rc.1", "1.18.0", "1.18.1"],
    ["2.28.9-1", "2.30.4-1", "2.30.7-1", "2.31.2-1+cuda13.4"],
    ["4.5.3-4.8.2", "4.6.1-4.8.4"],
    ["25.0.16-1.amzn2023.0.4", "5:29.8.1-1~ubuntu.24.04~noble"],
    ["24.11.6", "25.05.9", "25.11.7", "25.11.8", "26.05.4"],
]


@pytest.mark.parametrize("texts", IN_ORDER, ids=lambda texts: texts[0])
def test_versions_compare_as_numbers_per_part(texts: list[str]) -> None:
    assert newest_first(sorted(texts)) == list(reversed(texts))


@pytest.mark.parametrize(
    ("tested", "wanted", "held"),
    [
        ("580.173.02", ">=580", True),
        ("580", ">=580.0.1", False),
        ("2.30.7-1", "=2.30.7", True),
        ("2.30.7-2", "=2.30.7-1", False),
        ("2.30.7-1", "<=2.30.7", True),
        ("2.30.7-1", ">2.30.7", False),
        ("1.22.0", ">=1.22.0amzn4.0", False),
        ("1.22.0amzn4.0", ">=1.22.0", True),
        ("2.3.1amzn1.0", "=2.3.1", False),
        ("2.3.1", "=2.3.1", True),
        ("2.3.1amzn1.0", "amzn", True),
        ("2.3.1", "amzn", False),
        ("2.3.1", "upstream", True),
        ("2.28.9-1", "2.28.*", True),
        ("2.280.1", "2.28.*", False),
        ("2.28", "2.28.0.*", True),
        ("1.21.1", ">=1.13 <1.22", True),
        ("1.22", ">=1.13 <1.22", False),
        ("620.1", "580.* | 595.* | 620.*", True),
        ("610.57.04", "580.* | 595.* | 620.*", False),
        ("1.17.7", "!=1.17.7", False),
        ("1.17.8", "!=1.17.7", True),
        ("595.91.07", "!595.*", False),
        ("present", "any", True),
        ("main-2025-11", "=main-2025-11", True),
        ("1.17.2", "=main-2025-11", False),
        ("main-2025-11", ">=1.17.2", None),
        ("main-2025-11", "!=1.17.2", None),
        ("1.18.0-rc.1", ">=1.18", False),
    ],
)
def test_a_range_holds(tested: str, wanted: str, held: bool | None) -> None:
    assert version_range(wanted).holds(tested) is held


@pytest.mark.parametrize(
    ("wanted", "words", "contrary"),
    [
        (">=580", "580 or newer", "older than 580"),
        ("<7", "older than 7", "7 or newer"),
        ("2.28.*", "2.28.x", "other than 2.28.x"),
        ("!=1.17.0", "other than 1.17.0", "1.17.0"),
        (">=1.13 <1.22", "1.13 or newer and older than 1.22", "older than 1.13, or 1.22 or newer"),
        ("=1.22.0 | =2.3.1", "1.22.0, or 2.3.1", "other than 1.22.0, or 2.3.1"),
        ("amzn", "AWS's own build", "a build that is not AWS's"),
        ("any", "any version", "none"),
    ],
)
def test_a_range_is_told_in_words(wanted: str, words: str, contrary: str) -> None:
    assert (version_range(wanted).words(), version_range(wanted).contrary()) == (words, contrary)


@pytest.mark.parametrize("written", ["580", "=>580", "~580", ">= 580", "2.28.x", "*"])
def test_what_is_no_range_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is no condition on a version; fix: like"):
        version_range(written)


def test_parts_that_are_not_written_are_zeros() -> None:
    assert same_parts("580.173.02", "580.173.2", 3)
    assert same_parts("13.0", "13.0.2", 2)
    assert not same_parts("13.0", "13.0.2", 3)
    assert not same_parts("580.173.02", "main", 3)


def test_what_is_no_number_is_kept_as_it_is_written() -> None:
    assert version("main-2025-11").release == ()
    assert version("2.6.0_RC").release == ()
    assert version("2.6.0.el9").release == (2, 6, 0)
    assert newest_first(["main", "1.2"]) == ["1.2", "main"]
