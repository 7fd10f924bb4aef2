# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Lookups stack and instance_type, as Ansible loads them: in a process of their own, with the loader of collections."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller

LOOK_UP = """
import json, sys
from ansible.errors import AnsibleError
from ansible.plugins.loader import init_plugin_loader, lookup_loader

init_plugin_loader()
name, terms, options = json.load(sys.stdin)
try:
    print(json.dumps(lookup_loader.get(f"awsome.distributed_training.{name}").run(terms, variables={}, **options)))
except AnsibleError as error:
    sys.exit(str(error))
"""


def lookup(name: str, *terms: str, **options: Any) -> Any:
    """What the lookup returns, or the message with which it fails."""
    asked = json.dumps([name, terms, options])
    ran = subprocess.run([sys.executable, "-c", LOOK_UP], input=asked, capture_output=True, text=True, check=False)
    return ran.stderr.rstrip("\n") if ran.returncode else json.loads(ran.stdout)


def test_stack_returns_each_component_that_is_asked_for() -> None:
    document = controller.read_catalogue("stack")
    assert lookup("stack", "torch", "jax") == [catalogue.component(document, name) for name in ("torch", "jax")]


def test_instance_type_returns_each_type_that_is_asked_for() -> None:
    p5, p5en = lookup("instance_type", "p5.48xlarge", "p5en.48xlarge")
    assert (p5["network"]["efa"], p5en["accelerator"]["model"]) == (32, "H200")


@pytest.mark.parametrize(
    ("name", "term", "options", "message"),
    [
        ("stack", "torch", {"stack": "long"}, "stack 'long' is not in the catalogue; fix: "),
        (
            "instance_type",
            "p5.48xlarg",
            {},
            "instance type 'p5.48xlarg' is not in the catalogue; fix: did you mean p5.48",
        ),
    ],
)
def test_an_unknown_name_is_refused_in_one_line(name: str, term: str, options: dict[str, str], message: str) -> None:
    told = lookup(name, term, **options)
    assert told.startswith(message)
    assert "\n" not in told
