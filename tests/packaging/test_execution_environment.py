"""ansible-builder renders the execution environment of the collection."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.awsome.distributed_training.tests import support

DEFINITION = support.ROOT / "meta/execution-environment.yml"


@pytest.fixture
def context(workplace: Path) -> Path:
    folder = workplace / "context"
    words = ["create", "-f", DEFINITION, "-c", folder, "--output-filename", "Containerfile"]
    made = support.run([support.BIN / "ansible-builder", *words], workplace)
    assert made.returncode == 0, made.stdout
    return folder


def test_the_rendered_image_has_the_pinned_ansible_core_and_the_collection(context: Path) -> None:
    definition = yaml.safe_load(DEFINITION.read_text())
    containerfile = (context / "Containerfile").read_text()
    assert f'ARG EE_BASE_IMAGE="{definition["images"]["base_image"]["name"]}"' in containerfile
    python = definition["dependencies"]["python_interpreter"]
    assert f'ARG PYPKG="{python["package_system"]}"' in containerfile
    assert f'ARG PYCMD="/usr/bin/{python["package_system"]}"' in containerfile
    wanted = "ansible-core>=2.19,<2.20"
    assert wanted in (support.ROOT / "requirements/runtime.in").read_text().split()
    assert f'ARG ANSIBLE_INSTALL_REFS="{wanted} ansible-runner"' in containerfile
    assert "ansible-galaxy collection install $ANSIBLE_GALAXY_CLI_COLLECTION_OPTS -r requirements.yml" in containerfile
    collections = yaml.safe_load((context / "_build/requirements.yml").read_text())["collections"]
    assert [collection["name"] for collection in collections] == [support.COLLECTION]
