# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""The public variables of playbook run_test_case: defaults, types, slips and contradictions."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.request import PUBLIC, read_request

RUN = "20261123T200000Z-1a2b"


def test_a_request_of_nothing_has_every_default() -> None:
    request = read_request({}, [])
    assert set(request) == {*PUBLIC, "act"}
    assert {name: request[name] for name in ("case", "preset", "launcher", "nodes", "runs_dir", "detach", "act")} == {
        "case": None,
        "preset": "tiny",
        "launcher": None,
        "nodes": 1,
        "runs_dir": "runs",
        "detach": False,
        "act": "run",
    }


def test_an_empty_variable_counts_as_not_given() -> None:
    assert read_request({"preset": "", "nodes": ""}, []) == read_request({}, [])


def test_variables_get_their_types() -> None:
    request = read_request({"nodes": "4", "detach": "yes", "params": {"lr": 1}}, [])
    assert (request["nodes"], request["detach"], request["params"]) == (4, True, {"lr": 1})


@pytest.mark.parametrize(
    ("given", "act"),
    [
        ({"attach": RUN}, "attach"),
        ({"cancel": RUN}, "cancel"),
        ({"render_to": "/x"}, "render"),
        ({"detach": True}, "run"),
    ],
)
def test_a_variable_decides_what_is_done(given: dict[str, Any], act: str) -> None:
    assert read_request(given, [])["act"] == act


def test_a_misspelt_variable_is_refused_with_the_nearest() -> None:
    with pytest.raises(TrainingError, match=r"^variable 'presets' is not known; fix: did you mean preset"):
        read_request({}, ["case", "presets"])


def test_the_collections_and_ansibles_own_variables_are_let_through() -> None:
    assert read_request({}, ["adt_cluster_name", "ansible_python_interpreter"])["act"] == "run"


@pytest.mark.parametrize(
    "given",
    [
        {"attach": RUN, "cancel": RUN},
        {"render_to": "/x", "detach": True},
        {"cancel": RUN, "render_to": "/x"},
    ],
)
def test_variables_that_exclude_each_other_are_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match="exclude each other; fix: leave out") as refused:
        read_request(given, [])
    assert all(name in str(refused.value) for name in given)


@pytest.mark.parametrize("name", ["run_id", "attach", "cancel"])
@pytest.mark.parametrize("written", ["latest", "../../etc", f"{RUN}x", f"{RUN}\n", "20261123T200000Z-1A2B"])
def test_what_is_no_run_id_is_refused(name: str, written: str) -> None:
    with pytest.raises(TrainingError, match=rf"^{name}=.* is not a run id; fix: "):
        read_request({name: written}, [])


def test_a_value_of_another_type_is_refused_as_a_variable() -> None:
    with pytest.raises(TrainingError, match=r"^-e: nodes='two' is not a whole number; fix: "):
        read_request({"nodes": "two"}, [])
