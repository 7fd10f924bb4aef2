# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A step's words as a line of bash."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

_VARIABLE = re.compile(r"\$(?:\{(ADT_[A-Z_]+)\}|(ADT_[A-Z_]+))")


def shell_word(word: str) -> str:
    """One word, quoted: $ADT_… is expanded on the node, all else is literal."""
    parts: list[str] = []
    end = 0
    for match in _VARIABLE.finditer(word):
        literal = word[end : match.start()]
        parts.append(shlex.quote(literal) if literal else "")
        parts.append(f'"${{{match.group(1) or match.group(2)}}}"')
        end = match.end()
    rest = word[end:]
    if rest or not parts:
        parts.append(shlex.quote(rest))
    return "".join(parts)


def shell_words(words: Iterable[str]) -> str:
    """Words as one line; the word ``python`` is the interpreter of the case's environment."""
    return " ".join('"$ADT_PYTHON"' if word == "python" else shell_word(word) for word in words)
