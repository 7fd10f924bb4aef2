"""Settings in a file that others write to as well."""

from __future__ import annotations

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import json_settings
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

PATH = "/etc/docker/daemon.json"


def test_what_others_wrote_stays() -> None:
    found = {"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "args": []}}, "features": {"buildkit": True}}
    assert json_settings.merged(found, {"features": {"cdi": True}, "log-driver": "local"}) == {
        "runtimes": {"nvidia": {"path": "nvidia-container-runtime", "args": []}},
        "features": {"buildkit": True, "cdi": True},
        "log-driver": "local",
    }


def test_lists_and_plain_values_are_replaced() -> None:
    found = {"exec-opts": ["native.cgroupdriver=cgroupfs"], "log-opts": "none"}
    settings = {"exec-opts": ["native.cgroupdriver=systemd"], "log-opts": {"max-size": "10m"}}
    assert json_settings.merged(found, settings) == settings


def test_what_was_merged_into_is_left_as_it_was() -> None:
    found = {"features": {"buildkit": True}}
    json_settings.merged(found, {"features": {"cdi": True}})
    assert found == {"features": {"buildkit": True}}


def test_written_and_parsed_again_it_is_the_same() -> None:
    settings = {"features": {"cdi": True}, "hosts": ["fd://"]}
    assert json_settings.parsed(json_settings.written(settings), PATH) == settings


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_file_has_no_settings(text: str) -> None:
    assert json_settings.parsed(text, PATH) == {}


@pytest.mark.parametrize(("text", "says"), [("{", f"{PATH} is not JSON: "), ("[1]", f"{PATH} holds no JSON object")])
def test_what_is_no_object_is_refused(text: str, says: str) -> None:
    with pytest.raises(TrainingError) as raised:
        json_settings.parsed(text, PATH)
    assert raised.value.problem.startswith(says)
    assert raised.value.fix == "mend the file, or remove it"
