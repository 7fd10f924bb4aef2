# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Settings in a JSON file that others write to as well. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def parsed(text: str, path: str) -> dict[str, Any]:
    """The object that a file holds; an empty file holds none.

    :raises TrainingError: what is no JSON object.
    """
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise TrainingError(f"{path} is not JSON: {error}", "mend the file, or remove it") from error
    if not isinstance(found, dict):
        raise TrainingError(f"{path} holds no JSON object", "mend the file, or remove it")
    return found


def merged(found: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What was there with settings over it: objects are merged key by key, all else is replaced."""
    result = dict(found)
    for key, value in settings.items():
        before = result.get(key)
        result[key] = merged(before, value) if isinstance(value, Mapping) and isinstance(before, Mapping) else value
    return result


def written(settings: Mapping[str, Any]) -> str:
    """The file's text."""
    return json.dumps(settings, indent=4) + "\n"
