"""Checks of role docker.

Fields of "docker info --format '{{json .}}'" and the words of a client without an engine: own runs, client 28.2.2,
engine 20.10.24 on Debian 12; versions in them are put in by hand.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import File, Probe, Reading, registry

EXPECTED: dict[str, Any] = {
    "versions": {"docker": "29.8.1"},
    "docker": {"settings": {"log-driver": "local", "log-opts": {"max-size": "10m"}}},
}
INFO = {
    "ServerVersion": "29.8.1",
    "Driver": "overlay2",
    "LoggingDriver": "local",
    "DockerRootDir": "/var/lib/docker",
    "LiveRestoreEnabled": False,
    "DefaultRuntime": "runc",
}
FILE = '{"log-driver": "local", "log-opts": {"max-size": "10m", "max-file": "3"}, "bip": "10.9.0.1/24"}'
NO_ENGINE = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n"


def result(
    name: str, info: Reading | None = None, file: Reading | None = None, expected: dict[str, Any] | None = None
) -> checks.Result:
    def read(probe: Probe) -> Reading:
        if isinstance(probe, File):
            assert probe.path == "/etc/docker/daemon.json"
            return file or Reading(0, FILE)
        return info or Reading(0, json.dumps(INFO))

    return checks.run(registry.CHECKS[f"docker.{name}"], EXPECTED if expected is None else expected, read)


def test_an_engine_of_the_stack_passes() -> None:
    assert (result("engine").verdict, result("engine").value) == ("pass", "29.8.1")


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (Reading(0, json.dumps({**INFO, "ServerVersion": "28.5.2"})), "the engine that runs is 28.5.2, not 29.8.1"),
        (Reading(1, '{"ServerVersion": ""}', NO_ENGINE), f"the engine does not answer: {NO_ENGINE.strip()}"),
        (Reading(1, json.dumps({"ServerErrors": [NO_ENGINE]})), f"the engine does not answer: {NO_ENGINE.strip()}"),
        (Reading(124, "", "no answer within 30 s"), "the engine does not answer: no answer within 30 s"),
        (Reading(0, "not json"), "the engine does not answer: docker info ended with 0"),
        (Reading(None), "there is no docker"),
    ],
)
def test_another_engine_or_none_fails(info: Reading, reason: str) -> None:
    found = result("engine", info)
    assert (found.verdict, found.reason) == ("fail", reason)
    assert found.fix


def test_without_a_version_the_engine_is_skipped() -> None:
    assert result("engine", expected={}).verdict == "skip"


def test_settings_that_the_file_has_and_the_engine_took_pass_beside_others() -> None:
    assert result("settings").verdict == "pass"


@pytest.mark.parametrize(
    ("info", "file", "reason"),
    [
        (None, Reading(None), "/etc/docker/daemon.json has not what was asked for: log-driver, log-opts"),
        (
            None,
            Reading(0, FILE.replace("10m", "9m")),
            "/etc/docker/daemon.json has not what was asked for: log-opts",
        ),
        (
            Reading(0, json.dumps({**INFO, "LoggingDriver": "json-file"})),
            None,
            "the engine that runs has log-driver json-file, not local",
        ),
        (Reading(1, "", NO_ENGINE), None, f"the engine does not answer: {NO_ENGINE.strip()}"),
        (None, Reading(0, "[]"), "/etc/docker/daemon.json holds no JSON object"),
    ],
)
def test_settings_that_are_not_there_or_not_taken_fail(info: Reading | None, file: Reading | None, reason: str) -> None:
    found = result("settings", info, file)
    assert (found.verdict, found.reason) == ("fail", reason)
    assert found.fix


def test_a_file_that_is_no_json_is_named() -> None:
    found = result("settings", file=Reading(0, "{"))
    assert found.reason.startswith("/etc/docker/daemon.json is not JSON: ")


def test_without_settings_they_are_skipped() -> None:
    assert result("settings", expected={**EXPECTED, "docker": {"settings": {}}}).verdict == "skip"
