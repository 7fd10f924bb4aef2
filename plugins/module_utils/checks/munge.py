# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role munge."""

from __future__ import annotations

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    Judgement,
    Readings,
    common,
    failed,
    passed,
)

_KEY = "/etc/munge/munge.key"
_ROUND_TRIP = Command(("sh", "-c", "munge --no-input | unmunge"))
_MODE = Command(("stat", "--format=%U %a %s", _KEY))


def _credential(readings: Readings, expected: Expected) -> Judgement:
    # munge 0.5.15 and 0.5.16: "STATUS:          Success (0)"
    said = [line.partition(":")[2].strip() for line in readings["unmunged"].lines if line.startswith("STATUS:")]
    if said == ["Success (0)"]:
        return passed(said[0], "Success (0)")
    reason = readings["unmunged"].err.strip().splitlines()
    return failed(
        f"a credential does not make the round trip: {(said or reason or ['no answer'])[0]}",
        "systemctl status munge; all nodes of a cluster have the same key and time",
        value=said[0] if said else "",
        limit="Success (0)",
    )


def _key(readings: Readings, expected: Expected) -> Judgement:
    wanted = "munge, mode 400 or 600"
    if readings["key"].status != 0:
        return failed(f"there is no {_KEY}", "apply role munge", limit=wanted)
    owner, mode, size = readings["key"].out.split()
    if owner != "munge" or mode not in ("400", "600"):
        return failed(f"{_KEY} belongs to {owner}, mode {mode}", "apply role munge", f"{owner}, mode {mode}", wanted)
    return passed(f"{owner}, mode {mode}, {size} bytes", wanted)


CHECKS = (
    common.service("munge", "munge"),
    Check("munge.key", "the key can be read by munge alone", lambda expected: {"key": _MODE}, _key),
    Check(
        "munge.credential",
        "a credential makes the round trip",
        lambda expected: {"unmunged": _ROUND_TRIP},
        _credential,
    ),
)
