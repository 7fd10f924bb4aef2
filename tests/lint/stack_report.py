"""Tell what data/stack.yml holds, and write docs/stack.md from it: ``make stack-report``.

With --overrides=FILE, stack_overrides in YAML, it tells of the catalogue that comes of them, and writes nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ansible_collections.awsome.distributed_training.plugins.module_utils import controller, stack_report
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = "docs/stack.md"


def main() -> int:
    """Read, tell, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--overrides", metavar="FILE", help="stack_overrides in YAML; nothing is written then")
    arguments = parser.parse_args()
    try:
        overrides = controller.read_yaml(arguments.overrides) if arguments.overrides else None
        document = controller.read_stack(overrides)
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 2
    sys.stdout.write(stack_report.report(document))
    if not arguments.overrides:
        (ROOT / PAGE).write_text(stack_report.page(document), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
