"""The benchmark of the roles: what it counts, and that script and scenario are of the same node."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.molecule import scenarios

FILE = support.ROOT / "benchmarks/roles.py"


@pytest.fixture(scope="module")
def roles() -> ModuleType:
    spec = importlib.util.spec_from_file_location("roles_benchmark", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def task(second: int, role: str, kind: str = "v2_playbook_on_task_start") -> dict[str, Any]:
    path = f"/roles/{role}/tasks/main.yml:1" if role else "/play.yml:1"
    return {"_event": kind, "_timestamp": f"2026-01-01T00:00:{second:02d}Z", "task": {"id": second, "path": path}}


def ended(second: int, action: str, kind: str = "ok", **result: Any) -> dict[str, Any]:
    return {
        "_event": f"v2_runner_on_{kind}",
        "_timestamp": f"2026-01-01T00:00:{second:02d}Z",
        "task": {"id": second},
        "hosts": {"node": {"action": action, **result}},
    }


def test_what_an_inner_role_takes_counts_for_the_one_that_called_it(roles: ModuleType) -> None:
    events = [
        task(0, ""),
        ended(0, "ansible.builtin.gather_facts"),
        task(2, "one"),
        ended(2, "ansible.builtin.assert"),
        task(3, "repository"),
        ended(3, "ansible.builtin.command", results=[{"ansible_loop_var": "item"}] * 2),
        task(7, "one", "v2_playbook_on_handler_task_start"),
        ended(7, "ansible.builtin.copy"),
        task(8, "two"),
        ended(8, "ansible.builtin.command", "skipped", skipped=True),
        {"_event": "v2_playbook_on_stats", "_timestamp": "2026-01-01T00:00:11Z"},
    ]
    took = roles.parts(events, ["one", "two"])
    assert took.roles == {"one": 6.0, "two": 3.0}
    assert (took.tasks, took.starts) == (5, 1 + 2 + 2)


def test_the_script_has_every_role_of_the_node_and_every_name_that_it_reads_is_given(
    roles: ModuleType, tmp_path: Path
) -> None:
    scenario = scenarios.read(roles.SCENARIO)
    text = roles.SCRIPT.read_text()
    assert re.findall(r"^role_(\w+)\(\)", text, re.MULTILINE) == list(scenario.roles)
    (tmp_path / "mirror.asc").write_text("a key")
    given = roles.stated(scenario.systems[0], scenario.instance_type, {}, tmp_path)
    assert set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", text)) - {"ROLES", "PATH"} <= set(given)
    used = [name for name in given if re.search(rf"\$\{{?{name}\b", text)]
    # digests that the catalogue does not have are those of the stand-ins
    assert [name for name in used if not given[name] and not name.endswith("_SHA256")] == []
