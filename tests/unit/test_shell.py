# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A step's words in bash: they come out as they went in, and $ADT_… is expanded."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.shell import shell_words

HOSTILE = [
    "",
    " ",
    "a b",
    "'",
    '"',
    "\\",
    "$HOME",
    "${HOME}",
    "$(id)",
    "`id`",
    "a;id",
    "a|b&c>d<e",
    "*",
    "~",
    "{a,b}",
    "#x",
    "!x",
    "a\nb",
    "a\tb",
    "-n",
    "--x=$(touch /tmp/never)",
    "é…\u202e",
    "$ADTX",
    "$",
    "${ADT_RUN_DIR",
]


def through_bash(words: list[str], **variables: str) -> list[str]:
    """The words that a program gets from the line."""
    script = f"set -euo pipefail\nprintf '%s\\0' {shell_words(words)}"
    ran = subprocess.run(["bash", "-c", script], env=variables, capture_output=True, text=True, check=True)
    return ran.stdout.split("\0")[:-1]


def test_hostile_words_come_out_as_they_went_in() -> None:
    assert through_bash(HOSTILE) == HOSTILE


@pytest.mark.parametrize("word", ["--out=$ADT_RUN_DIR/x y", "--out=${ADT_RUN_DIR}/x y"])
def test_a_variable_of_the_node_is_expanded_as_one_word(word: str) -> None:
    assert through_bash([word], ADT_RUN_DIR="/a $(id) *") == ["--out=/a $(id) */x y"]


def test_a_variable_between_hostile_text_leaves_it_alone() -> None:
    assert through_bash(["'$ADT_NODES'`id`${ADT_GROUP}$"], ADT_NODES="2", ADT_GROUP="") == ["'2'`id`$"]


def test_the_word_python_is_the_interpreter_of_the_case() -> None:
    assert through_bash(["python", "python3", "-m"], ADT_PYTHON="/a b/bin/python") == [
        "/a b/bin/python",
        "python3",
        "-m",
    ]


def test_no_words_are_an_empty_line() -> None:
    assert shell_words([]) == ""
