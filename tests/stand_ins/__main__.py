"""Build stand-ins: python3 -m …tests.stand_ins --out=DIR --os=debian12 --arch=x86_64."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.tests.stand_ins.builder import OVERRIDES, build


def main(words: list[str]) -> int:
    """Exit status 1, and one line, where something is wrong."""
    parser = argparse.ArgumentParser(prog="stand_ins", description="Stand-ins for every origin of data/stack.yml.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--os", action="append", required=True, help=f"several times: {', '.join(catalogue.SYSTEMS)}")
    parser.add_argument("--arch", action="append", required=True, help=f"{', '.join(catalogue.ARCHITECTURES)}")
    parser.add_argument("--base-url", help="where DIR will be served: http://127.0.0.1:PORT (file://DIR)")
    parser.add_argument("--stack", help="a stack of data/stack.yml (its default)")
    parser.add_argument("--components", help="names with commas between them (all)")
    args = parser.parse_args(words)
    started = time.monotonic()
    try:
        overrides = build(
            args.out,
            controller.read_catalogue("stack"),
            args.stack,
            args.os,
            args.arch,
            args.components.split(",") if args.components else None,
            base_url=args.base_url or args.out.resolve().as_uri(),
        )
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 1
    count = len(overrides["components"])
    print(f"{count} components in {time.monotonic() - started:.1f} s: {args.out / OVERRIDES}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
