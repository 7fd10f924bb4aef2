# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""data/xids.yml against itself, and against others who read the same catalogue."""

from __future__ import annotations

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import gpu

DOCUMENT = controller.read_catalogue("xids")
XIDS = DOCUMENT["xids"]
RESTARTS_THE_JOB = {"RESTART_APP", "WORKFLOW_XID_45"}
LEAVES_IT = {"IGNORE", "PSHC_INFO", "PSHC_LOW_LIFETIME", "PSHC_ZERO_LIFETIME", "XID_154"}
THE_APPLICATIONS_FAULT = {"43", "108", "137"}


def test_no_code_is_left_out() -> None:
    assert list(XIDS) == [str(code) for code in range(1, 177)]


def test_every_code_has_a_source_and_every_source_is_used() -> None:
    assert {known["source"] for known in XIDS.values()} == set(DOCUMENT["sources"])


@pytest.mark.parametrize("code", XIDS)
def test_severity_follows_from_the_action(code: str) -> None:
    known = XIDS[code]
    if known["action"] in RESTARTS_THE_JOB or code in THE_APPLICATIONS_FAULT:
        assert known["severity"] == "application"
    elif known["action"] in LEAVES_IT:
        assert known["severity"] in ("warn", "info")
    else:
        assert known["severity"] == "fatal"


def test_what_fails_a_node_has_something_to_do_about_it() -> None:
    asked = {known["action"] for known in XIDS.values() if known["severity"] == "fatal"} | {"XID_154", "unknown"}
    assert asked == set(gpu.FIXES)


def test_a_name_alone_is_no_action() -> None:
    assert {known["action"] for known in XIDS.values() if known["source"] == "nverror"} == {"unverified"}


# awslabs/awsome-distributed-training, 2.gpu-cluster-healthcheck/README.md, which reads NVIDIA's r590
ISOLATED_REBOOTED_OR_RESET = (54, 79, 151, 168, 48, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158, 74)
MONITORED = (13, 31, 94, 126, 43, 63, 92, 121, 162, 163, 164, 165, 154, 157)


def test_another_reading_of_the_catalogue_agrees() -> None:
    assert {XIDS[str(code)]["severity"] for code in ISOLATED_REBOOTED_OR_RESET} == {"fatal"}
    assert "fatal" not in {XIDS[str(code)]["severity"] for code in MONITORED}
