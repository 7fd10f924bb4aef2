"""Checks of a node: what passes, what fails and is told how to mend, what is skipped for want of data."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import artifact_openpgp, checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Clock,
    Command,
    File,
    Folder,
    Probe,
    Reading,
    common,
    reading,
    registry,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

DEBIAN: dict[str, Any] = {"system": "debian12", "packages": {"dcgm": {"one": "1:2.0-1", "two": "2.0-*"}}}
SERVICE = common.service("dcgm", "nvidia-dcgm")
PACKAGES = common.packages("dcgm", "dcgm")


def reader(given: Mapping[str, Reading]) -> checks.Reader:
    """Answers a probe by its program or path."""

    def read(probe: Probe) -> Reading:
        return given.get(probe.argv[0] if isinstance(probe, Command) else probe.path, Reading(None))

    return read


def judged(check: Check, out: str, expected: Mapping[str, Any] = DEBIAN, program: str = "dpkg-query") -> checks.Result:
    return checks.run(check, expected, reader({program: Reading(0, out)}))


def test_packages_at_their_versions_pass() -> None:
    result = judged(PACKAGES, "one\t1:2.0-1\tii \ntwo\t2.0-7\thi \n")
    assert (result.verdict, result.value) == ("pass", "one 1:2.0-1, two 2.0-7")


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("one\t1:2.0-1\tii \n", "not installed: two"),
        ("one\t1:2.0-1\tii \ntwo\t2.0-7\trc \n", "not installed: two"),
        ("one\t1:2.1-1\tii \ntwo\t2.0-7\tii \n", "one 1:2.1-1, not 1:2.0-1"),
        ("", "not installed: one, two"),
    ],
)
def test_other_packages_fail(out: str, reason: str) -> None:
    result = judged(PACKAGES, out)
    assert (result.verdict, result.reason) == ("fail", reason)
    assert "apply role dcgm" in result.fix


def test_rpm_is_asked_on_amazon_linux() -> None:
    expected = {"system": "amazon2023", "packages": {"dcgm": {"one": "2.0-1"}}}
    assert judged(PACKAGES, "one\t1:2.0-1\n", expected, "rpm").verdict == "pass"
    assert judged(PACKAGES, "package one is not installed\n", expected, "rpm").verdict == "fail"


def test_nothing_passes_for_want_of_data() -> None:
    result = judged(PACKAGES, "one\t1:2.0-1\tii \n", {"system": "debian12", "packages": {}})
    assert (result.verdict, result.reason) == ("skip", "not known: packages.dcgm")


def test_a_missing_program_fails() -> None:
    result = checks.run(SERVICE, {}, reader({}))
    assert (result.verdict, result.reason, result.fix) == ("fail", "there is no systemctl", "apply role dcgm")


def test_a_missing_program_of_a_group_that_is_no_role_is_had_by_the_role_that_brings_it() -> None:
    check = replace(SERVICE, id="gpu.service", role="nvidia_driver")
    assert checks.run(check, {}, reader({})).fix == "apply role nvidia_driver"


def shown(load: str = "loaded", active: str = "active", enabled: str = "enabled") -> str:
    return f"LoadState={load}\nActiveState={active}\nSubState=running\nUnitFileState={enabled}\n"


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        (shown(load="not-found", active="inactive", enabled=""), "systemd has no nvidia-dcgm.service"),
        (shown(active="failed"), "nvidia-dcgm is failed"),
        (shown(enabled="disabled"), "nvidia-dcgm does not start at boot"),
    ],
)
def test_a_service_that_does_not_run_or_start_fails(out: str, reason: str) -> None:
    result = judged(SERVICE, out, program="systemctl")
    assert (result.verdict, result.reason) == ("fail", reason)
    assert result.fix


def test_a_service_that_runs_and_starts_passes() -> None:
    assert judged(SERVICE, shown(), program="systemctl").verdict == "pass"


def test_what_makes_no_sense_fails_and_is_told() -> None:
    check = Check("dcgm.odd", "", lambda e: {"a": File("/a")}, lambda r, e: checks.passed(int(r["a"].out)))
    result = checks.run(check, {}, reader({"/a": Reading(0, "many")}))
    assert result.verdict == "fail"
    assert "makes no sense" in result.reason


def test_a_failing_check_is_asked_again_while_there_is_time() -> None:
    now = [0.0]
    answers = iter([shown(active="activating"), shown(active="activating"), shown()])
    clock = Clock(lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds))

    def read(probe: Probe) -> Reading:
        return Reading(0, next(answers))

    (result,) = checks.run_all([SERVICE], {}, read, wait_s=5, clock=clock)
    assert (result.verdict, now[0]) == ("pass", 2.0)


def test_time_that_is_up_leaves_the_failure() -> None:
    now = [0.0]
    clock = Clock(lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds))
    (result,) = checks.run_all([SERVICE], {}, lambda probe: Reading(0, shown(active="failed")), wait_s=3, clock=clock)
    assert (result.verdict, now[0]) == ("fail", 3.0)


REPOSITORY = common.repository("dcgm", "dcgm")
_KEY_BODY = b"\x04" + bytes(4) + b"\x16" + b"a public key"
KEY = bytes([0x98, len(_KEY_BODY)]) + _KEY_BODY
"""A public-key packet of version 4 (RFC 9580, section 5.5.2) with nothing after it."""


def fingerprint() -> str:
    (found,) = artifact_openpgp.public_keys(KEY)
    return found


def repository_result(
    source: str = "Signed-By: /etc/apt/keyrings/adt-x.gpg\n",
    key: bytes = KEY,
    held: str = "Package: one\nPin: version 2\n",
    signer: str = "",
) -> checks.Result:
    expected = {
        "system": "debian12",
        "packages": {"dcgm": {"one": "2"}},
        "repositories": {"dcgm": [{"name": "adt-x", "kind": "apt", "signer": signer or fingerprint()}]},
    }
    given = {
        "base64": Reading(0, base64.b64encode(key).decode()),
        "/etc/apt/sources.list.d/adt-x.sources": Reading(0, source) if source else Reading(None),
        "/etc/apt/preferences.d/adt-dcgm.pref": Reading(0, held),
    }
    return checks.run(REPOSITORY, expected, reader(given))


def test_a_repository_with_the_pinned_key_and_holds_passes() -> None:
    assert repository_result().verdict == "pass"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"source": ""}, "there is no source adt-x"),
        ({"source": "Trusted: yes\n"}, "lacks a line"),
        ({"key": b"nothing"}, "trusts no key"),
        ({"signer": "0" * 40}, "not 0000"),
        ({"held": ""}, "not held: one"),
    ],
)
def test_a_repository_that_was_changed_fails(changed: dict[str, Any], reason: str) -> None:
    result = repository_result(**changed)
    assert result.verdict == "fail"
    assert reason in result.reason


def test_ids_are_a_group_and_a_name() -> None:
    for name, check in registry.CHECKS.items():
        assert name == check.id
        assert check.about
        assert name.count(".") == 1


def test_an_unknown_check_is_refused_with_its_neighbour() -> None:
    with pytest.raises(TrainingError, match=r"did you mean dcgm\.service"):
        registry.select(ids=["dcgm.servce"])
    with pytest.raises(TrainingError, match="did you mean dcgm"):
        registry.select(["dcmg"])


def test_what_is_not_there_is_read_as_that(tmp_path: Any) -> None:
    (tmp_path / "text").write_text("a\n")
    assert reading.read(File(str(tmp_path / "text"))) == Reading(0, "a\n")
    assert reading.read(Folder(str(tmp_path))) == Reading(0, "text\n")
    assert not reading.read(File(str(tmp_path / "none"))).there
    assert not reading.read(Command(("no-such-program",))).there
    assert reading.read(Command(("sh", "-c", "echo a; exit 3"))) == Reading(3, "a\n")
    assert reading.read(Command(("sleep", "60"), timeout_s=0.1)).status == 124
