# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""arm64, by rendering alone: what each role would install there, or the catalogue's reason that it does not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, component
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_catalogues import (
    read_catalogues,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.compatibility_subject import Platform
from ansible_collections.awsome.distributed_training.plugins.module_utils.component import Component, Found
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import RPM_SYSTEMS, read_repository
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.molecule import scenarios

CATALOGUES = read_catalogues()
STACKS = list(CATALOGUES.stack["stacks"])
ARCH = "aarch64"
ROLES = {
    path.parent.parent.name: scenarios.components_of(path.parent.parent.name)
    for path in sorted(support.ROOT.glob("roles/*/meta/main.yml"))
}
INSTALLING = [role for role, names in ROLES.items() if names]
TAKEN = {
    "repositories": rf"name: {support.COLLECTION}\.repository\b",
    "files": rf"name: {support.COLLECTION}\.artifact\b",
    "system": r"entry\.system\b|_packages\.keys\(\)",
    "images": r"entry\.images\b",
    "python": r"entry\.python\b",
}
OTHERS = re.compile(r"x86_64|amd64")


def reason(stack: str, os: str, names: list[str]) -> str:
    """Why a stack lacks one of some components."""
    without = catalogue.left_out(CATALOGUES.stack, stack, os, ARCH)
    return next((without[name] for name in names if name in without), "")


def planned(role: str, stack: str, os: str) -> list[Component]:
    return component.plan(role, ROLES[role], CATALOGUES, Platform(os, ARCH), {}, stack=stack)


def addresses(entry: dict[str, Any]) -> list[str]:
    """Where a role would take a component from."""
    files = [source["file"] for source in entry.get("files", [])]
    repositories = [source["base"] for source in entry.get("repositories", [])]
    return [one["url"] for one in (*files, *repositories)]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("os", catalogue.SYSTEMS)
@pytest.mark.parametrize("role", INSTALLING)
def test_a_role_has_what_it_installs_or_the_catalogues_reason(role: str, os: str, stack: str) -> None:
    why = reason(stack, os, ROLES[role])
    if why:
        with pytest.raises(TrainingError, match=re.escape(why)):
            planned(role, stack, os)
        return
    used = kinds(role)
    for one in planned(role, stack, os):
        if "bundled_in" in one.entry:
            continue
        assert any(one.entry.get(kind) for kind in used), f"{one.name}: none of {', '.join(used)}"
        assert [url for url in addresses(dict(one.entry)) if OTHERS.search(url)] == []
        for source in one.entry.get("repositories", []):
            read_repository(source, "dnf" if os in RPM_SYSTEMS else "apt", ARCH)
    component.expected(planned(role, stack, os), Platform(os, ARCH), CATALOGUES.types)


def kinds(role: str) -> list[str]:
    """The kinds of sources that a role takes, by what it hands them to or how it reads them."""
    folder = support.ROOT / "roles" / role
    text = "\n".join(path.read_text() for name in ("tasks", "vars") for path in folder.glob(f"{name}/*.yml"))
    return [kind for kind, pattern in TAKEN.items() if re.search(pattern, text)]


def test_a_source_for_another_processor_is_none_here() -> None:
    """That the test above can fail: of such sources nothing is left on arm64."""
    entry = {"name": "x", "files": [{"arch": ["x86_64"], "file": {"url": "https://example.com/x-amd64.deb"}}]}
    assert catalogue.on_platform(entry, "debian12", ARCH) == {"name": "x"}
    assert OTHERS.search(addresses(entry)[0])


def test_the_node_of_arm64_that_there_is_gets_the_gpus_components() -> None:
    (name,) = [name for name, about in CATALOGUES.types["instance_types"].items() if about["arch"] == ARCH]
    for os in ("ubuntu2204", "ubuntu2404", "amazon2023", "debian12"):
        there = Platform(os, ARCH, instance_type=name)
        chosen = catalogue.chosen(CATALOGUES.stack, None, os, ARCH)
        fabric = component.needed("nvidia_fabricmanager", ROLES["nvidia_fabricmanager"], chosen, there, CATALOGUES)
        (driver, _) = component.plan(
            "nvidia_driver", ROLES["nvidia_driver"], CATALOGUES, there, {"nvidia_driver": Found({})}
        )
        assert fabric == ["nvidia_imex"]
        assert driver.packages


def test_what_the_support_page_calls_rendered_is_what_is_rendered_here() -> None:
    evidence = json.loads((support.ROOT / "evidence/arm64.json").read_text())
    (shown,) = [one for one in evidence["shows"] if one["state"] == "rendered"]
    somewhere = [role for role in INSTALLING if not all(reason(STACKS[0], os, ROLES[role]) for os in catalogue.SYSTEMS)]
    assert shown["systems"] == ["arm64"]
    assert shown["what"] == [f"role {role}" for role in somewhere]
