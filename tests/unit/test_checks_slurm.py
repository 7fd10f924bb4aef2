"""Checks of roles munge and slurm, on output of munge 0.5.15 and Slurm 22.05.8 (Debian 12), recorded and shortened."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    Probe,
    Reading,
    registry,
)

UNIT = "LoadState=loaded\nActiveState={}\nSubState=running\nUnitFileState=enabled\n"
PING = "Slurmctld(primary) at ctl is UP\n"
PING_DOWN = (
    "Slurmctld(primary) at ctl is DOWN\n*****************************************\n"
    "** RESTORE SLURMCTLD DAEMON TO SERVICE **\n*****************************************\n"
)
CONFIG = "SLURM_CONF              = /etc/slurm/slurm.conf\nSLURM_VERSION           = 22.05.8\n"
NO_DATABASE = (
    "sacctmgr: error: slurm_persist_conn_open_without_init: failed to open persistent connection to host:ctl:6819: "
    "Connection refused\nsacctmgr: error: Sending PersistInit msg: Connection refused\n"
)
SLURMD = (
    "Active Steps             = NONE\nBoot time                = 2026-11-25T08:41:15\nHostname                 = c1\n"
)
NO_SLURMD = "scontrol: error: slurm_slurmd_info: Connection refused\nslurm_load_slurmd_status: Connection refused\n"
NODE = """\
NodeName=c1 Arch=x86_64 CoresPerSocket=1
   NodeAddr=172.30.0.11 NodeHostName=c1 Version=22.05.8
   State=IDLE ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   BootTime=2026-11-24T21:06:37 SlurmdStartTime=2026-11-25T08:41:15
"""
# reconstructed: the state that slurmctld gives a node with fewer processors than its line says
INVALID = NODE.replace("State=IDLE", "State=IDLE+INVALID_REG") + "   Reason=Low CPUs [slurm@2026-11-25T08:41:15]\n"

EXPECTED: dict[str, Any] = {
    "slurm": {
        "parts": ["controller", "database", "compute"],
        "prefix": "",
        "config": "/etc/slurm/slurm.conf",
        "cluster": "Test",
        "accounting": "slurmdbd",
        "node": "c1",
    }
}
HEALTHY = {
    "systemctl": Reading(0, UNIT.format("active")),
    "scontrol ping": Reading(0, PING),
    "scontrol show config": Reading(0, CONFIG),
    "scontrol show slurmd": Reading(0, SLURMD),
    "scontrol show node c1": Reading(0, NODE),
    "sacctmgr": Reading(0, "test\n"),
    "sh": Reading(0, "STATUS:          Success (0)\nENCODE_HOST:     ctl (172.30.0.2)\n"),
    "stat": Reading(0, "munge 400 1024\n"),
}


def judged(id_: str, expected: dict[str, Any] | None = None, **changed: Reading) -> checks.Result:
    given = {**HEALTHY, **{name.replace("_", " "): value for name, value in changed.items()}}

    def read(probe: Probe) -> Reading:
        assert isinstance(probe, Command)
        words = " ".join(probe.argv)
        return next((answer for name, answer in given.items() if words.startswith(name)), Reading(None))

    return checks.run(registry.CHECKS[id_], EXPECTED if expected is None else expected, read, "c1")


def of(**changed: Any) -> dict[str, Any]:
    return {"slurm": {**EXPECTED["slurm"], **changed}}


@pytest.mark.parametrize("id_", [name for name in registry.CHECKS if name.startswith(("slurm.", "munge."))])
def test_a_healthy_node_passes(id_: str) -> None:
    result = judged(id_)
    assert (result.verdict, result.node) == ("pass", "c1")
    assert result.value


@pytest.mark.parametrize(
    ("id_", "changed", "reason"),
    [
        ("slurm.services", {"systemctl": Reading(0, UNIT.format("inactive"))}, "slurmctld is inactive"),
        ("slurm.controller", {"scontrol_ping": Reading(1, PING_DOWN)}, "at ctl is DOWN"),
        ("slurm.configuration", {"scontrol_show_config": Reading(1, "")}, "reads no file, not /etc/slurm/slurm.conf"),
        (
            "slurm.configuration",
            {"scontrol_show_config": Reading(0, CONFIG.replace("/etc", "/opt/etc"))},
            "reads /opt/etc/slurm/slurm.conf, not /etc",
        ),
        ("slurm.accounting", {"sacctmgr": Reading(1, "", NO_DATABASE)}, "Connection refused"),
        ("slurm.accounting", {"sacctmgr": Reading(0, "other\n")}, "does not know cluster test"),
        ("slurm.node", {"scontrol_show_slurmd": Reading(1, "", NO_SLURMD)}, "this node's slurmd does not answer"),
        (
            "slurm.node",
            {"scontrol_show_node_c1": Reading(1, "Node c1 not found\n")},
            "the controller does not know node c1",
        ),
        ("slurm.node", {"scontrol_show_node_c1": Reading(0, INVALID)}, "refuses node c1: Low CPUs"),
        (
            "slurm.node",
            {"scontrol_show_node_c1": Reading(0, NODE.replace("SlurmdStartTime=2026", "SlurmdStartTime=2025"))},
            "not heard of this very slurmd",
        ),
        (
            "slurm.node",
            {"scontrol_show_node_c1": Reading(0, NODE.replace("State=IDLE", "State=DOWN*"))},
            "does not hear of node c1",
        ),
        ("slurm.controller", {"scontrol_ping": Reading(None)}, "there is no scontrol"),
        ("munge.service", {"systemctl": Reading(0, UNIT.format("failed"))}, "munge is failed"),
        (
            "munge.credential",
            {"sh": Reading(2, "", "unmunge: Error: No credential specified\n")},
            "unmunge: Error: No credential specified",
        ),
        (
            "munge.credential",
            # reconstructed: what another node's key gives
            {"sh": Reading(15, "STATUS:          Invalid credential (8)\n")},
            "Invalid credential",
        ),
        ("munge.key", {"stat": Reading(1, "")}, "there is no /etc/munge/munge.key"),
        ("munge.key", {"stat": Reading(0, "root 644 1024\n")}, "belongs to root, mode 644"),
    ],
)
def test_what_is_broken_fails_by_name(id_: str, changed: dict[str, Reading], reason: str) -> None:
    result = judged(id_, None, **changed)
    assert result.verdict == "fail"
    assert reason in result.reason
    assert result.fix
    assert "\n" not in str(result)


@pytest.mark.parametrize(
    ("id_", "expected", "reason"),
    [
        ("slurm.services", of(parts=["login"]), "the commands alone"),
        ("slurm.configuration", of(parts=["compute"]), "this node is no controller"),
        ("slurm.node", of(parts=["controller"]), "this node is no compute"),
        ("slurm.accounting", of(accounting="none"), "keeps no accounting"),
        ("slurm.accounting", of(parts=["compute"]), "neither controller nor database"),
        ("slurm.controller", {}, "not known: slurm"),
    ],
)
def test_what_is_not_the_nodes_is_skipped(id_: str, expected: dict[str, Any], reason: str) -> None:
    result = judged(id_, expected)
    assert result.verdict == "skip"
    assert reason in result.reason


def test_slurm_is_asked_below_its_prefix() -> None:
    (probe,) = registry.CHECKS["slurm.controller"].reads(of(prefix="/opt/slurm")).values()
    assert isinstance(probe, Command)
    assert probe.argv == ("/opt/slurm/bin/scontrol", "ping")
