"""A small Slurm in one root: a controller, accounting, and nodes that are slurmd processes of one host."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.awsome.distributed_training.tests.recording.root import Root

HOST = "ctl"
USER = "trainer"
NODES = ("c1", "c2", "c3", "c4")
"""Nodes that answer; c5 never does."""

# KillWait, SlurmdTimeout and the like are short, so that a recording takes minutes
SLURM = """\
ClusterName=recorded
SlurmctldHost=ctl
SlurmUser=slurm
AuthType=auth/munge
AuthInfo=cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=10
MessageTimeout=5
TCPTimeout=1
KillWait=2
Epilog=/etc/slurm/epilog
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=ctl
AccountingStorageEnforce=associations
AccountingStorageTRES=gres/gpu
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd.%n
SlurmdPidFile=/run/slurmd.%n.pid
SlurmctldPidFile=/run/slurm/slurmctld.pid
NodeName=c1 NodeHostname=ctl Port=17001 CPUs=2 RealMemory=2000 Gres=gpu:2 Feature=p5,efa
NodeName=c2 NodeHostname=ctl Port=17002 CPUs=2 RealMemory=2000 Gres=gpu:2 Feature=p5,efa
NodeName=c3 NodeHostname=ctl Port=17003 CPUs=2 Sockets=2 RealMemory=4000 Gres=gpu:h100:8
NodeName=c4 NodeHostname=ctl Port=17004 CPUs=2 RealMemory=1000 Feature=cpu
NodeName=c5 NodeHostname=ctl Port=17005 CPUs=2 RealMemory=1000 Feature=cpu
PartitionName=main Nodes=c[1-2] Default=YES MaxTime=1-02:00:00 PriorityTier=1
PartitionName=urgent Nodes=c[1-2] PriorityTier=10 MaxTime=90
PartitionName=big Nodes=c[1-5] MaxTime=UNLIMITED PriorityTier=1
PartitionName=closed Nodes=c4 MaxTime=60 State=DOWN
"""
GRES = """\
AutoDetect=off
NodeName=c[1-2] Name=gpu File=/dev/gpu[0-1]
NodeName=c3 Name=gpu Type=h100 File=/dev/gpu[0-7] Cores=0-1
"""
DATABASE = """\
AuthType=auth/munge
DbdHost=ctl
SlurmUser=slurm
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StorageLoc=slurm
PidFile=/run/slurm/slurmdbd.pid
"""
# as long as the file is there, jobs are seen COMPLETING
EPILOG = """\
#!/bin/sh
while [ -e /tmp/slow_epilog ]; do sleep 0.2; done
"""


@dataclass
class Cluster:
    """The daemons, by name."""

    root: Root
    logs: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def start(cls, root: Root, logs: Path) -> Cluster:
        """Configured, with idle nodes c1 to c3, c4 drained and c5 down."""
        cluster = cls(root, logs)
        cluster._configure()
        cluster._start_accounting()
        cluster.start_controller()
        for node in NODES:
            cluster.start_node(node)
        until(lambda: cluster.states(*NODES) == ["IDLE"] * len(NODES), 30, "the nodes are idle")
        root.do("scontrol update NodeName=c4 State=DRAIN Reason='fan 3 broken, see State=IDLE of ticket 12'")
        root.do("scontrol update NodeName=c4 Comment='rack 4 [left] State=UP Reason=none'")
        root.do("scontrol update NodeName=c5 State=DOWN Reason='not built yet'")
        return cluster

    def start_controller(self) -> None:
        """slurmctld, until it answers."""
        self._start("slurmctld", "slurmctld -D", "slurm")
        until(lambda: "UP" in self.root.run("scontrol ping").stdout, 30, "the controller answers")

    def enforce_limits(self) -> None:
        """The controller started again, so that it refuses jobs over a partition's limits and of unknown qos."""
        strict = SLURM.replace("Enforce=associations", "Enforce=associations,limits,qos") + "EnforcePartLimits=ALL\n"
        self.root.write("/etc/slurm/slurm.conf", strict)
        self.root.do("scontrol shutdown slurmctld")
        self.daemons.pop("slurmctld").wait(60)
        self.start_controller()

    def start_node(self, name: str) -> None:
        """The slurmd of a node."""
        self._start(name, f"slurmd -D -N {name}")

    def stop(self, name: str, *jobs: int) -> None:
        """End a daemon as a crash does, and on a node the jobs that it runs."""
        daemon = self.daemons.pop(name)
        words = f"slurmd -D -N {name}" if name in NODES else name
        listed = self.root.do("ps -e -o pid= -o args=").splitlines()
        for pid, args in (line.strip().split(" ", 1) for line in listed):
            if args.startswith((words, *(f"slurmstepd: [{job}." for job in jobs))):
                self.root.do(f"kill -KILL {pid}")
        daemon.wait()

    def states(self, *nodes: str) -> list[str]:
        """State of each node as sinfo names it."""
        listed = self.root.run(f"sinfo --noheader --Node --partition=big --nodes={','.join(nodes)} --format=%T")
        return [line.strip().upper() for line in listed.stdout.splitlines()]

    def _configure(self) -> None:
        root = self.root
        root.do(f"useradd --create-home --uid 1000 --shell /bin/bash {USER}")
        root.do(
            "mkdir -p /etc/slurm /run/munge /run/mysqld /run/slurm /var/lib/slurm/slurmctld /var/log/slurm"
            " && chown munge: /run/munge && chown mysql: /run/mysqld && chown -R slurm: /run/slurm /var/lib/slurm"
        )
        cgroup = f"CgroupPlugin={'disabled' if self._knows_no_cgroup() else 'cgroup/v1'}\nCgroupAutomount=no\n"
        # 22.05 drops GPUs that have no file ("Removing file-less GPU"), count-only ones too
        root.do("for n in 0 1 2 3 4 5 6 7; do mknod /dev/gpu$n c 1 3; done")
        root.write("/etc/slurm/slurm.conf", SLURM)
        root.write("/etc/slurm/gres.conf", GRES)
        root.write("/etc/slurm/cgroup.conf", cgroup)
        root.write("/etc/slurm/epilog", EPILOG, mode="0755")
        root.write("/etc/slurm/slurmdbd.conf", DATABASE, "slurm:slurm", "0600")

    def _knows_no_cgroup(self) -> bool:
        """From 23.11 on slurmd wants a cgroup unless told otherwise; before, it does not know the word."""
        year, month = self.root.do("slurmd -V").split()[-1].split(".")[:2]
        return (int(year), int(month)) >= (23, 11)

    def _start_accounting(self) -> None:
        root = self.root
        self._start("munged", "munged --foreground", "munge")
        self._start("mariadbd", "mariadbd --skip-networking --socket=/run/mysqld/mysqld.sock", "mysql")
        until(lambda: not root.run("mariadb -e 'select 1'").returncode, 60, "the database answers")
        # with libmariadb 3.4.10, slurmdbd ends with error 5027 right after it made a database itself
        root.do("mariadb -e 'create database slurm; create user slurm@localhost identified via unix_socket'")
        root.do("mariadb -e 'grant all on slurm.* to slurm@localhost'")
        self._start("slurmdbd", "slurmdbd -D", "slurm")
        until(lambda: not root.run("sacctmgr --noheader show cluster").returncode, 60, "the accounting answers")
        root.do("sacctmgr --immediate add cluster recorded")
        root.do("sacctmgr --immediate add account team Description=team Organization=team")
        root.do(f"sacctmgr --immediate add user {USER} Account=team")

    def _start(self, name: str, command: str, user: str = "root") -> None:
        with open(self.logs / f"{name}.log", "ab") as log:
            self.daemons[name] = self.root.start(command, log, user)


def until(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:.0f} s: {what}; fix: read the logs of the daemons")
        time.sleep(0.2)
