"""make solve: judge the matrix, or one stack on one platform. Exit status 0 accepted, 1 refused, 2 bad input.

``solve.py [name=value ...]`` with the public variables of playbook solve; ``stack_overrides`` is a file here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_answers import (
    answer,
    read_request,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_catalogues import (
    read_catalogues,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def main(words: Sequence[str]) -> int:
    """Print the answer."""
    try:
        given = {name: value for name, _, value in (word.partition("=") for word in words)}
        request = read_request(_files_read(given), list(given))
        answered = answer(request, read_catalogues(request["stack_overrides"]))
    except TrainingError as error:
        print(f"solve: {error}", file=sys.stderr)
        return 2
    print("\n".join(answered.lines))
    return 0 if answered.accepted else 1


def _files_read(given: dict[str, str]) -> dict[str, object]:
    path = given.get("stack_overrides")
    return {**given, "stack_overrides": controller.read_yaml(path) if path else None}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
