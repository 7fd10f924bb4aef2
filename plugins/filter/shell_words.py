# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Filter shell_words; its documentation is in shell_words.yml."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.awsome.distributed_training.plugins.module_utils.shell import shell_words


class FilterModule:
    """The collection's filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"shell_words": shell_words}
