"""Write docs/evidence.md, and docs/support.md, from evidence/*.json: ``make evidence``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.awsome.distributed_training.tests.lint import support_page

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = "docs/evidence.md"
_HEAD = """# Evidence

What was run, where, and what came of it. Made from `evidence/` by `make evidence`; what is not here has not been shown.

| | what | ran on | result | date | revision |
|---|---|---|---|---|---|
"""


def page(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of all rows: name to what evidence/NAME.json holds."""
    lines = []
    for name, row in sorted(rows.items()):
        cells = (name, row["subject"], f"{row['kind']}: {row['ran_on']}", row["result"], row["date"], row["revision"])
        lines.append(f"| {' | '.join(cells)} |")
    commands = [f"- {name}: `{row['command']}`" for name, row in sorted(rows.items())]
    return _HEAD + "\n".join(lines) + "\n\nCommands:\n\n" + "\n".join(commands) + "\n"


def main() -> None:
    """Read and write."""
    rows = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "evidence").glob("*.json")}
    (ROOT / PAGE).write_text(page(rows), encoding="utf-8")
    patterns = ("evidence/*.json", support_page.SUBJECTS, "roles/*/meta/main.yml")
    paths = [path for pattern in patterns for path in ROOT.glob(pattern)]
    files = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    (ROOT / support_page.PAGE).write_text(support_page.page(files), encoding="utf-8")


if __name__ == "__main__":
    main()
