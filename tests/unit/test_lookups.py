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
told = []
for name, terms, options in json.load(sys.stdin):
    try:
        told.append(lookup_loader.get(f"awsome.distributed_training.{name}").run(terms, variables={}, **options))
    except AnsibleError as error:
        told.append(str(error))
print(json.dumps(told))
"""
REFUSED = [
    ("stack", "torch", {"stack": "long"}, "stack 'long' is not in the catalogue; fix: "),
    (
        "instance_type",
        "p5.48xlarg",
        {},
        "instance type 'p5.48xlarg' is not in the catalogue; fix: did you mean p5.48",
    ),
]
ASKED = [
    ["stack", ["torch", "jax"], {}],
    ["instance_type", ["p5.48xlarge", "p5en.48xlarge"], {}],
    *([name, [term], options] for name, term, options, _ in REFUSED),
]


@pytest.fixture(scope="module")
def told() -> list[Any]:
    """What each lookup returns, or the message with which it fails; one process answers all."""
    words = [sys.executable, "-c", LOOK_UP]
    ran = subprocess.run(words, input=json.dumps(ASKED), capture_output=True, text=True, check=True)
    answers: list[Any] = json.loads(ran.stdout)
    return answers


def test_stack_returns_each_component_that_is_asked_for(told: list[Any]) -> None:
    document = controller.read_catalogue("stack")
    assert told[0] == [catalogue.component(document, name) for name in ("torch", "jax")]


def test_instance_type_returns_each_type_that_is_asked_for(told: list[Any]) -> None:
    p5, p5en = told[1]
    assert (p5["network"]["efa"], p5en["accelerator"]["model"]) == (32, "H200")


@pytest.mark.parametrize("place", range(len(REFUSED)), ids=[name for name, *_ in REFUSED])
def test_an_unknown_name_is_refused_in_one_line(place: int, told: list[Any]) -> None:
    message = told[2 + place]
    assert message.startswith(REFUSED[place][3])
    assert "\n" not in message
