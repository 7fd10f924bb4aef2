"""Fake nodes of every type: nothing fails on a sound one, each fault fails its checks alone; their programs, IMDS."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    FAIL,
    PASS,
    SKIP,
    Result,
    reading,
    registry,
    run,
    run_all,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.fake_hardware import __main__ as fake
from ansible_collections.awsome.distributed_training.tests.fake_hardware import describe, imds, reader
from ansible_collections.awsome.distributed_training.tests.fake_hardware.node import Node

RECORDED = support.ROOT / "tests/recorded"
NO_CHECK_YET = {"efa_card_missing"}
"""Faults that no check of the registry catches."""

# none of these GPUs has retired pages; what package managers, repositories and settings tell is no hardware, and
# mutations of the roles' scenarios break it
NO_FAULT = re.compile(
    r"gpu\.retired_pages|.*packages|.*repository.*|nvidia_driver\.(?!module|persistenced$).*"
    r"|nvidia_fabricmanager\.(ib_umad|imex_.*)|nvidia_container_toolkit\.(version|links|refresh)|efa\.installer"
    r"|aws_ofi_nccl\.libfabric|neuron\.path|lustre_client\.(tools|kernel)"
)


class Checked:
    """The checks of a type, and what each says and has read on a sound node."""

    def __init__(self, type_: str) -> None:
        self.type_, self.expected = type_, reader.expected(type_)
        groups = reader.groups(type_)
        self.checks = [check for check in registry.CHECKS.values() if check.group in groups]
        self.sound: dict[str, Result] = {}
        self.read: dict[str, Any] = {}
        self.sound = self.results()

    def results(self, *faults: str) -> dict[str, Result]:
        """What each check says. Judges are pure: one that reads what it read on the sound node is not run again."""
        read, found = reader.reader(describe.with_faults(self.type_, faults)), {}
        for check in self.checks:
            # without what it needs it reads nothing
            skipped = check.id in self.sound and self.sound[check.id].reason.startswith("not known: ")
            given = {} if skipped else self._readings(check, read)
            if check.id not in self.sound or given != self.read[check.id]:
                found[check.id] = run(check, self.expected, read)
            else:
                found[check.id] = self.sound[check.id]
            self.read.setdefault(check.id, given)
        return found

    def _readings(self, check: Any, read: Any) -> Mapping[str, Any]:
        try:
            return {name: read(probe) for name, probe in check.reads(self.expected).items()}
        except KeyError:  # needs what is not known
            return {}


@functools.cache
def checked(type_: str) -> Checked:
    return Checked(type_)


@pytest.mark.parametrize("type_", describe.types())
def test_on_a_sound_node_nothing_fails_and_a_skip_says_why(type_: str) -> None:
    results = checked(type_).sound
    assert [str(result) for result in results.values() if result.verdict == FAIL] == []
    assert all(result.reason for result in results.values() if result.verdict == SKIP)
    assert {result.id.partition(".")[0] for result in results.values() if result.verdict == PASS} >= {
        group for group in reader.groups(type_) if group != "nvlink"
    }


@pytest.mark.parametrize("type_", describe.types())
def test_on_a_sound_node_what_the_type_has_is_proved(type_: str) -> None:
    results, entry = checked(type_).sound, describe.instance(type_)
    verdicts = {id_: result.verdict for id_, result in results.items()}
    if entry["accelerator"]["kind"] == "neuron":
        assert verdicts["neuron.devices"] == PASS
    else:
        proved = ("count", "product", "memory", "ecc_mode", "row_remap", "xids")
        assert [name for name in proved if verdicts[f"gpu.{name}"] != PASS] == []
    if entry["network"].get("efa"):
        assert verdicts["efa.provider"] == PASS
        assert results["efa.provider"].value == str(entry["network"]["efa"])
    if entry["accelerator"].get("nvlink") and entry["accelerator"]["count"] > 1:
        assert {verdicts["nvlink.active"], verdicts["nvlink.errors"]} == {PASS}


@pytest.mark.parametrize("fault", sorted(set(describe.faults()) - NO_CHECK_YET))
def test_a_fault_fails_its_checks_and_no_other_and_they_say_what_to_do(fault: str) -> None:
    types = [type_ for type_ in describe.types() if describe.fits(describe.faults()[fault]["where"], type_)]
    assert types
    for type_ in types:
        results = checked(type_).results(fault)
        wanted = describe.fails(fault, type_)
        assert {id_ for id_, result in results.items() if result.verdict == FAIL} == set(wanted), type_
        for id_, words in {**wanted, **describe.tells(fault, type_)}.items():
            said = f"{results[id_]} {results[id_].value}"
            assert [word for word in words if word not in said] == [], f"{type_}: {said}"


def test_faults_without_a_check_are_known() -> None:
    named = {name: set(fault["fails"]) | set(fault.get("tells", {})) for name, fault in describe.faults().items()}
    assert {name for name, checks in named.items() if not checks <= set(registry.CHECKS)} == NO_CHECK_YET
    assert all(named.values())


def test_checks_of_hardware_have_a_fault() -> None:
    groups = {group for type_ in describe.types() for group in reader.groups(type_)}
    failing = {check for name in describe.faults() for check in describe.faults()[name]["fails"]}
    without = {check.id for check in registry.CHECKS.values() if check.group in groups} - failing
    assert sorted(id_ for id_ in without if not NO_FAULT.fullmatch(id_)) == []


def test_every_accelerator_of_the_catalogue_has_what_tools_print() -> None:
    known = {**describe.hardware()["gpus"], **describe.hardware()["neuron"]}
    assert set(describe.catalogues().types["accelerators"]) <= set(known)
    assert set(describe.hardware()["types"]) <= set(describe.types())


def test_addresses_are_one_for_each_device() -> None:
    for type_ in describe.types():
        state = describe.healthy_of(type_)
        entry = describe.instance(type_)
        assert len(state["gpus"]) + len(state["neuron"]) == entry["accelerator"]["count"]
        assert len(state["efa"]) == entry["network"].get("efa", 0)
        every = [one["address"] for kind in ("gpus", "neuron", "efa", "bridges") for one in state[kind]]
        assert len(set(every)) == len(every), type_


def recorded_h200() -> Node:
    """The node on which nvidia-smi was recorded: one H200 at 00:06.0, with a driver of its own."""
    state = describe.with_faults("p5en.48xlarge")
    one = {**state["gpus"][0], "address": "0000:00:06.0", "links": [], "cpus": "0-15", "numa": 0}
    fabric = {f"fabric_{name}": "N/A" for name in ("state", "status", "clique", "cluster")}
    state["gpus"] = [{**one, **fabric}]
    state["driver"] = {**state["driver"], "library": "580.159.04", "loaded": "580.159.04"}
    return Node(state)


# readings of other moments, and the board's number, which is neutralised in one recording
MOMENTS = re.compile(
    r".*(power_draw|Power Draw|board_id|put  |[rt]x_util|imestamp).*|^\w+ \w+ \d+ \d+:.*", re.MULTILINE
)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("-q -x", "gpu/h200-idle.xml"),
        ("-q", "nvidia_smi/q.txt"),
        ("", "nvidia_smi/table.txt"),
        ("-L", "nvidia_smi/list.txt"),
        ("topo -m", "nvidia_smi/topo.txt"),
        ("--version", "nvidia_smi/version.txt"),
        (
            "--query-gpu=index,name,uuid,pci.bus_id,memory.total,ecc.errors.uncorrected.volatile.total,"
            "pcie.link.width.current,pcie.link.width.max,clocks_event_reasons.active --format=csv",
            "nvidia_smi/query.csv",
        ),
    ],
)
def test_nvidia_smi_prints_what_was_recorded(words: str, name: str) -> None:
    answer = recorded_h200().answer(["nvidia-smi", *words.split()])
    assert answer is not None
    assert MOMENTS.sub("", answer.out) == MOMENTS.sub("", (RECORDED / name).read_text())


def test_without_nvlink_its_status_is_empty_as_recorded() -> None:
    answer = recorded_h200().answer(["nvidia-smi", "nvlink", "-s"])
    assert answer is not None
    assert (answer.status, answer.out) == (0, "")


@pytest.mark.parametrize(
    ("type_", "faults", "words"),
    [
        ("p5.48xlarg", [], "did you mean p5.48xlarge?"),
        ("p5.48xlarge", ["gpu_mising"], "did you mean gpu_missing?"),
        ("g6.xlarge", ["nvlink_down"], "g6.xlarge cannot have fault nvlink_down; fix: one of p4d.24xlarge"),
        ("trn2.48xlarge", ["gpu_missing"], "cannot have fault gpu_missing"),
    ],
)
def test_what_is_not_known_or_cannot_be_is_refused(type_: str, faults: list[str], words: str) -> None:
    with pytest.raises(TrainingError, match=re.escape(words)):
        describe.with_faults(type_, faults)


def test_faults_add_up_and_leave_the_sound_node_as_it_is() -> None:
    results = checked("p5.48xlarge").results("gpu_missing", "plugin_twice")
    assert {id_ for id_, result in results.items() if result.verdict == FAIL} == {
        "gpu.count",
        "aws_ofi_nccl.one",
        "efa.plugin",
    }
    assert describe.with_faults("p5.48xlarge") == describe.healthy("p5.48xlarge")


def ran(folder: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.pathsep.join([str(folder / "bin"), path or os.environ["PATH"]])}
    python = Path(sys.executable).parent  # env python3 is this one
    environment["PATH"] += os.pathsep + str(python)
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_programs_of_a_fake_node_answer(tmp_path: Path) -> None:
    folder = fake.make("p5.48xlarge", ["gpu_missing"], tmp_path)
    assert folder.name == "p5.48xlarge+gpu_missing"
    listed = ran(folder, "nvidia-smi", "-L")
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 7)
    assert ran(folder, "fi_info", "-p", "efa", "-t", "FI_EP_RDM").stdout.count("-rdm\n") == 2 * 32
    assert ran(folder, "lspci", "-Dn").stdout.count(" 0302: 10de:2330") == 7
    assert ran(folder, "modinfo", "-F", "license", "nvidia").stdout == "Dual MIT/GPL\n"
    assert (folder / "files/sys/devices/virtual/dmi/id/product_name").read_text() == "p5.48xlarge\n"
    assert not (folder / "bin/neuron-ls").exists()


def test_checks_that_run_programs_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake.make("p5en.48xlarge", ["gpu_missing", "xid_fatal"], tmp_path)
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    )
    checks = registry.select(["gpu", "nvlink"])
    by_programs = run_all(checks, reader.expected("p5en.48xlarge"), reading.read)
    in_process = checked("p5en.48xlarge").results("gpu_missing", "xid_fatal")
    assert by_programs == [in_process[check.id] for check in checks]
    assert {result.id for result in by_programs if result.verdict == FAIL} == {"gpu.count", "gpu.xids"}


def test_programs_that_lie_at_a_path_are_there_too(tmp_path: Path) -> None:
    folder = fake.make("trn2.48xlarge", ["neuron_device_missing"], tmp_path)
    listed = ran(folder, str(folder / "root/opt/aws/neuron/bin/neuron-ls"), "--json-output")
    assert [one["neuron_device"] for one in json.loads(listed.stdout)] == list(range(15))
    assert not (folder / "bin/nvidia-smi").exists()


def test_what_a_fake_does_not_know_the_nodes_own_program_answers(tmp_path: Path) -> None:
    folder, own = fake.make("p5.48xlarge", [], tmp_path), tmp_path / "own"
    own.mkdir()
    (own / "systemctl").write_text('#!/bin/sh\necho "own $*"\n')
    (own / "systemctl").chmod(0o755)
    path = os.pathsep.join([str(own), "/usr/bin", "/bin"])
    assert ran(folder, "systemctl", "is-active", "nvidia-persistenced", path=path).stdout == "active\n"
    assert ran(folder, "systemctl", "is-active", "sshd", path=path).stdout == "own is-active sshd\n"
    asked = ran(folder, "nvidia-smi", "--gpu-reset", path=path)
    assert asked.returncode == 127
    assert "the fake node has no answer" in asked.stderr


def test_a_person_is_told_of_faults_and_how_to_use_a_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fake.main(["g6.xlarge", "help", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "gpu_missing" in told
    assert "nvlink_down" not in told
    assert fake.main(["", "", str(tmp_path)]) == 0
    assert "p5.48xlarge\n" in capsys.readouterr().out
    assert fake.main(["p5.48xlarge", "ecc_off", str(tmp_path)]) == 0
    assert "gpu.ecc_mode" in capsys.readouterr().out
    assert fake.main(["p5.48xlarge", "ecc_of", str(tmp_path)]) == 1
    assert "did you mean ecc_off?" in capsys.readouterr().err


def asked(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    named = {f"X-aws-ec2-metadata-{name.replace('_', '-')}": value for name, value in headers.items()}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, method=method, headers=named), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, ""


def test_metadata_is_given_to_who_has_a_token() -> None:
    with imds.server(describe.with_faults("p5.48xlarge"), "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            latest = f"http://127.0.0.1:{server.server_address[1]}/latest"
            assert asked(f"{latest}/meta-data/instance-type") == (401, "")
            assert asked(f"{latest}/api/token", "PUT") == (400, "")
            assert asked(f"{latest}/api/token", "PUT", token_ttl_seconds="21601") == (400, "")
            status, token = asked(f"{latest}/api/token", "PUT", token_ttl_seconds="60")
            assert status == 200
            assert asked(f"{latest}/meta-data/instance-type", token=token) == (200, "p5.48xlarge")
            assert "instance-id\ninstance-type\n" in asked(f"{latest}/meta-data/", token=token)[1]
            macs = asked(f"{latest}/meta-data/network/interfaces/macs/", token=token)[1].split("\n")
            assert len(macs) == 32
            assert asked(f"{latest}/meta-data/network/interfaces/macs/{macs[5]}network-card", token=token)[1] == "5"
            document = json.loads(asked(f"{latest}/dynamic/instance-identity/document", token=token)[1])
            assert document["instanceType"] == "p5.48xlarge"
            assert asked(f"{latest}/meta-data/nothing", token=token) == (404, "")
        finally:
            server.shutdown()
            thread.join()
