"""A training script takes the parameters of its case.yml: the same names, types, defaults and choices."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

TEST_CASES = Path(__file__).resolve().parents[2] / "test_cases"
CASES = sorted(path.parent for path in TEST_CASES.glob("*/*/case.yml"))
TYPES = {"path": "str"}
"""Types of case.yml that a script knows under another name."""


def settings_of(case: Path) -> dict[str, dict[str, Any]]:
    """Fields of the script's class Settings; read, not imported: its framework is not installed here."""
    tree = ast.parse((case / "train.py").read_text(encoding="utf-8"))
    (settings,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings"]
    fields = [node for node in settings.body if isinstance(node, ast.AnnAssign)]
    return {ast.unparse(field.target): _field(field) for field in fields}


def _field(field: ast.AnnAssign) -> dict[str, Any]:
    assert field.value is not None, f"{ast.unparse(field.target)} has no default"
    default = ast.literal_eval(field.value)
    kind = ast.unparse(field.annotation)
    if kind.startswith("Literal"):
        assert isinstance(field.annotation, ast.Subscript)
        return {"type": "str", "default": default, "choices": list(ast.literal_eval(field.annotation.slice))}
    return {"type": kind, "default": default}


def parameters_of(case: Path) -> dict[str, dict[str, Any]]:
    """Parameters of case.yml in the same form."""
    parameters = yaml.safe_load((case / "case.yml").read_text(encoding="utf-8"))["parameters"]
    return {
        name: {
            "type": TYPES.get(parameter["type"], parameter["type"]),
            **{key: parameter[key] for key in ("default", "choices") if key in parameter},
        }
        for name, parameter in parameters.items()
    }


def shapes_of(case: Path) -> list[str]:
    """Names of the models that models.py knows."""
    tree = ast.parse((case / "models.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "SHAPES":
            assert isinstance(node.value, ast.Dict)
            return [ast.literal_eval(key) for key in node.value.keys if key is not None]
    raise AssertionError("models.py has no SHAPES")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.relative_to(TEST_CASES).as_posix())
def test_settings_of_the_script_are_the_parameters_of_the_case(case: Path) -> None:
    settings, parameters = settings_of(case), parameters_of(case)
    if "model" in settings and (case / "models.py").exists():
        settings["model"]["choices"] = shapes_of(case)
    assert settings == parameters
    assert [*settings] == [*parameters], "they stand in another order"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.relative_to(TEST_CASES).as_posix())
def test_a_default_has_the_type_that_the_script_states(case: Path) -> None:
    for name, setting in settings_of(case).items():
        assert type(setting["default"]).__name__ == setting["type"], name
