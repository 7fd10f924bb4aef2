"""Write the tables of variables in roles/*/README.md from roles/*/meta/argument_specs.yml: ``make role-docs``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
BEGIN = "<!-- variables: from meta/argument_specs.yml, by make role-docs -->"
END = "<!-- end of variables -->"

Points = Mapping[str, Mapping[str, Any]]
"""The entry points of a role, as argument_specs has them."""


def told(readme: str, specs: str) -> str:
    """A README with the tables of a role's argument_specs: in place of those that it has, else at its end."""
    block = f"{BEGIN}\n\n{_tables(yaml.safe_load(specs)['argument_specs'])}\n{END}\n"
    before, begin, rest = readme.partition(f"{BEGIN}\n")
    if not begin:
        return f"{readme.rstrip()}\n\n{block}"
    return before + block + rest.partition(f"{END}\n")[2]


def _tables(points: Points) -> str:
    """One table for all entry points that take the same."""
    groups: list[tuple[list[str], Mapping[str, Any]]] = []
    for name, about in points.items():
        options = about.get("options", {})
        for names, taken in groups:
            if taken == options:
                names.append(name)
                break
        else:
            groups.append(([name], options))
    return "\n".join(_table(names, options) for names, options in groups)


def _table(names: list[str], options: Mapping[str, Any]) -> str:
    head = "## Variables" if names == ["main"] else f"## Variables of {' and '.join(_listed(names))}"
    if not options:
        return f"{head}\n\nNone.\n"
    rows = ["| variable | type | default | description |", "|---|---|---|---|", *_rows(options)]
    return "\n".join((head, "", *rows, ""))


def _listed(names: list[str]) -> list[str]:
    return [", ".join(f"`{name}`" for name in names[:-1]), f"`{names[-1]}`"] if names[1:] else [f"`{names[0]}`"]


def _rows(options: Mapping[str, Any], within: str = "") -> Iterator[str]:
    for name, about in options.items():
        cells = (f"`{within}{name}`", _type(about), _default(about), _words(about["description"]))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        yield from _rows(about.get("options", {}), f"{within}{name}{'[]' if about.get('elements') else ''}.")


def _type(about: Mapping[str, Any]) -> str:
    kind: str = about.get("type", "str")
    if "elements" in about:
        kind += f" of {about['elements']}"
    if "choices" in about:
        kind += ": " + ", ".join(f"`{_written(one)}`" for one in about["choices"])
    return kind


def _default(about: Mapping[str, Any]) -> str:
    if about.get("required"):
        return "required"
    return f"`{_written(about['default'])}`" if "default" in about else "–"


def _written(value: Any) -> str:
    """A value as YAML has it, on one line."""
    if value == "":
        return '""'
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=2**16)
    return re.sub(r"\n(\.\.\.\n)?$", "", text)


def _words(description: str | list[str]) -> str:
    """Sentences, their marks of ansible-doc in those of Markdown."""
    text = description if isinstance(description, str) else " ".join(description)
    return re.sub(r"\b[COV]\(([^()]*(?:\([^()]*\))?[^()]*)\)", r"`\1`", text)


def main() -> None:
    """Read and write."""
    for specs in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        readme = specs.parent.parent / "README.md"
        text = told(readme.read_text(encoding="utf-8"), specs.read_text(encoding="utf-8"))
        readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
