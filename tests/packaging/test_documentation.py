"""ansible-doc shows everything that the collection offers."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.tests import support


def names(kind: str) -> list[str]:
    """Full names of the collection's plugins of a kind, or of its roles."""
    if kind == "role":
        found = [path.name for path in (support.ROOT / "roles").iterdir() if (path / "tasks").is_dir()]
    elif kind == "filter":
        modules = [f"plugins.filter.{path.stem}" for path in (support.ROOT / "plugins/filter").glob("*.py")]
        found = [name for module in modules for name in filters(module)]
    else:
        folder = support.ROOT / "plugins" / ("modules" if kind == "module" else kind)
        found = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    return sorted(f"{support.COLLECTION}.{name}" for name in found)


def filters(module: str) -> list[str]:
    plugin = importlib.import_module(f"ansible_collections.{support.COLLECTION}.{module}")
    return list(plugin.FilterModule().filters())


def shown(kind: str, workplace: Path) -> dict[str, Any]:
    """What ansible-doc says of each."""
    ran = support.run([support.BIN / "ansible-doc", "--json", "-t", kind, *names(kind)], workplace)
    assert ran.returncode == 0, ran.stdout
    documentation: dict[str, Any] = json.loads(ran.stdout[ran.stdout.index("{") :])
    return documentation


def test_every_folder_of_plugins_is_covered_here() -> None:
    folders = {path.name for path in (support.ROOT / "plugins").iterdir() if path.is_dir()} - {"__pycache__"}
    # an action plugin is documented by the module of its name
    assert folders <= {"action", "filter", "lookup", "module_utils", "modules"}
    assert set(names("action")) <= set(names("module"))


@pytest.mark.parametrize("kind", ["module", "lookup", "filter"])
def test_ansible_doc_shows_every_plugin(kind: str, workplace: Path) -> None:
    documentation = shown(kind, workplace)
    assert sorted(documentation) == names(kind)
    for name, about in documentation.items():
        assert about["doc"]["short_description"], name
        assert about["doc"]["author"], name
        assert about["examples"], name
        assert about["return"], name


def test_ansible_doc_shows_every_role(workplace: Path) -> None:
    documentation = shown("role", workplace)
    assert sorted(documentation) == names("role")
    for name, about in documentation.items():
        assert about["entry_points"], name
        for point, described in about["entry_points"].items():
            assert described["short_description"], f"{name}, {point}"
