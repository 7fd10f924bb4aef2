"""One scenario from bare containers to its end: Molecule's steps, then plays that break what was made."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.molecule import plays, scenarios, stand_in_mirror
from ansible_collections.awsome.distributed_training.tests.molecule.scenarios import Scenario
from ansible_collections.awsome.distributed_training.tests.stand_ins.package import RPM_SYSTEMS

MIRROR = "/srv/mirror"
OTHER = "/srv/other-mirror"
STEPS = ("syntax", "create", "check", "converge", "idempotence", "verify")
TIMED = ("converge", "idempotence")
TIMEOUT_S = 2400
COMMON = support.ROOT / "molecule/common"
_STEP = re.compile(r"\[\S+ > (\w+)\] (Executing|Executed)")
_CAUGHT = re.compile(r"\bmutation caught: ")
_HELD = re.compile(r"\banother version, (?:refuse|keep|replace): ")


@dataclass
class Outcome:
    """What became of a scenario.

    :param lines: for people: seconds, mutations, other versions.
    :param seconds: of each step.
    :param problem: what went wrong; empty where nothing did.
    :param log: the file that has all that Molecule said.
    """

    output: str = ""
    lines: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    problem: str = ""
    log: str = ""


def images(systems: Sequence[str], installed: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The image of each system, with the real packages of it that it has from the start."""
    words: list[str | Path] = [sys.executable, support.ROOT / "molecule/system_image.py"]
    words += [",".join([system, *installed.get(system, ())]) for system in systems]
    names = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return dict(zip(systems, names, strict=True))


def host(scenario: Scenario, system: str, more: str = "") -> str:
    """The name of a container, and of the host in the inventory."""
    return f"adt-mol-{scenario.name}{more}-{system}"


class Run:
    """A scenario on some systems."""

    def __init__(self, scenario: Scenario, systems: Sequence[str], folder: Path, kept: bool = False) -> None:
        self.scenario, self.systems, self.folder, self.kept = scenario, systems, folder, kept
        self.tools = support.environment(support.ROOT / "requirements/molecule.lock")
        self.variables = support.linked_collection(folder / "collections")
        self.images = images(systems, scenario.installed)
        self.mirror = stand_in_mirror.mirror(scenarios.SYSTEMS)
        self.source = support.ROOT / "molecule" / scenario.name
        self.converge = yaml.safe_load((self.source / "converge.yml").read_text())
        self.log = support.ROOT / "build" / f"molecule-{scenario.name}.log"
        self.outcome = Outcome(log=str(self.log.relative_to(support.ROOT)))
        self.log.parent.mkdir(exist_ok=True)
        self.log.write_text("")

    def whole(self) -> Outcome:
        """Every step on every system; what follows the verification on the first."""
        stand_ins = [system for system in self.systems if system not in scenarios.REAL]
        self.say(
            f"{self.scenario.name}: {', '.join(self.systems)}; packages of vendors are stand-ins"
            + (f", and so {'is' if len(stand_ins) == 1 else 'are'} {', '.join(stand_ins)}" if stand_ins else "")
        )
        self.main()
        if self.scenario.other_version and not self.outcome.problem:
            self.other()
        return self.outcome

    def main(self) -> None:
        """From bare nodes to the verification, then the mutations."""
        scenario, first = self.scenario, self.systems[0]
        steps, written = list(STEPS), None
        if scenario.mutations:
            written = plays.mutations(scenario, self.converge, host(scenario, first), self.source)
            steps.append("side_effect")
        extra = self.write("stack.json", json.dumps(self.mirror.variables(MIRROR)))
        self.molecule([self.platform(system) for system in self.systems], steps, written, extra)
        told = [f"{step} {self.outcome.seconds[step]:.0f} s" for step in TIMED if step in self.outcome.seconds]
        if told:
            self.say(", ".join(told))
        if scenario.mutations and not self.outcome.problem:
            tried, caught = len(scenario.mutations), len(_CAUGHT.findall(self.outcome.output))
            self.say(f"mutations: {tried} tried, {caught} caught")
            if caught != tried:
                self.outcome.problem = f"{tried - caught} mutations were not caught"

    def other(self) -> None:
        """Another version on a node of its own."""
        scenario, first = self.scenario, self.systems[0]
        other = stand_in_mirror.mirror([first], scenario.other_version)
        written = plays.other_version(
            scenario,
            self.converge,
            host(scenario, first, "-other"),
            self.source,
            other.variables(OTHER),
            self.mirror.variables(MIRROR),
        )
        platform = self.platform(first, "-other", {OTHER: other.folder})
        self.molecule([platform], ["create", "side_effect"], written)
        held = len(_HELD.findall(self.outcome.output))
        self.say(f"other versions: {len(plays.WAYS)} tried, {held} met")
        if held != len(plays.WAYS) and not self.outcome.problem:
            self.outcome.problem = "another version was not met as it should be"

    def platform(self, system: str, more: str = "", mounts: Mapping[str, Path] | None = None) -> dict[str, Any]:
        """A container that has systemd, the mirrors, and a route out only where the scenario has one."""
        offered = stand_in_mirror.os_packages(system, self.scenario.os_packages.get(system, {}))
        mounted = {
            MIRROR: self.mirror.folder,
            **(stand_in_mirror.os_repository(system, offered) if offered else {}),
            **(mounts or {}),
        }
        alone = self.scenario.network == "none"
        if alone and system not in RPM_SYSTEMS:
            mounted["/etc/apt/sources.list"] = self.write("sources.list", "")
        return {
            "name": host(self.scenario, system, more),
            "hostname": system,
            "image": self.images[system],
            "pre_build_image": True,
            "command": "/lib/systemd/systemd",
            "stop_signal": "SIGRTMIN+3",
            "tmpfs": ["/run", "/run/lock"],
            "volumes": [
                "/sys/fs/cgroup:/sys/fs/cgroup:rw",
                *(f"{here}:{there}:ro" for there, here in mounted.items()),
            ],
            "cgroupns_mode": "host",
            "capabilities": ["SYS_ADMIN"],
            "security_opts": ["seccomp=unconfined", "apparmor=unconfined"],
            **({"network_mode": "none"} if alone else {}),
        }

    def molecule(
        self,
        platforms: Sequence[dict[str, Any]],
        steps: Sequence[str],
        side_effect: list[dict[str, Any]] | None,
        extra: Path | None = None,
    ) -> None:
        """Molecule's steps on new containers, which are removed in the end."""
        names = [str(one["name"]) for one in platforms]
        written = yaml.safe_dump(side_effect, sort_keys=False, width=120) if side_effect else ""
        playbooks = {"create": str(COMMON / "create.yml")}
        if written:
            playbooks["side_effect"] = str(self.write(f"{names[0]}-side-effect.yml", written))
        known = {"scenario_roles": list(self.scenario.roles), **self.scenario.variables}
        if self.scenario.instance_type:
            known["adt_instance_type"] = self.scenario.instance_type
        ephemeral = self.folder / names[0]
        ephemeral.mkdir()
        variables = {
            **self.variables,
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.tools.parent),
            "MOLECULE_GLOB": "molecule/*/molecule.yml",
            "MOLECULE_EPHEMERAL_DIRECTORY": str(ephemeral),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ADT_MOLECULE_PLATFORMS": json.dumps(platforms),
            "ADT_MOLECULE_OPTIONS": json.dumps({"extra-vars": f"@{extra}"} if extra else {}),
            "ADT_MOLECULE_PLAYBOOKS": json.dumps(playbooks),
            "ADT_MOLECULE_HOST_VARS": json.dumps({name: known for name in names}),
            "ADT_MOLECULE_SEQUENCE": json.dumps(steps),
        }
        words = [self.tools / "molecule", "--base-config", "molecule/base.yml", "test", "--destroy=never"]
        removed = ["docker", "rm", "--force", "--volumes", *names]
        try:
            status = self.follow([*words, "--scenario-name", self.scenario.name], variables)
        finally:
            if not self.kept:
                support.run(removed, self.folder)
        done = {
            step for step in steps if f"[{self.scenario.name} > {step}] Executed: Successful" in self.outcome.output
        }
        if status != 0 or set(steps) - done:
            missed = [step for step in steps if step not in done]
            self.outcome.problem = f"Molecule ended with {status}; not done: {', '.join(missed)}"

    def follow(self, words: Sequence[object], variables: Mapping[str, str | None]) -> int:
        """Run Molecule, keep what it says and the seconds of each step; its status."""
        environment = {**os.environ, **variables}
        started: dict[str, float] = {}
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=support.ROOT,
            env={name: value for name, value in environment.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        overdue = threading.Timer(TIMEOUT_S, os.killpg, (process.pid, signal.SIGKILL))
        overdue.start()
        with process, open(self.log, "a") as file:
            try:
                for line in process.stdout:
                    file.write(line)
                    file.flush()
                    self.outcome.output += line
                    if found := _STEP.search(line):
                        step, what = found.groups()
                        started.setdefault(step, time.monotonic())
                        if what == "Executed":
                            self.outcome.seconds.setdefault(step, time.monotonic() - started[step])
                return process.wait()
            finally:
                overdue.cancel()
                if process.poll() is None:  # this program was interrupted
                    os.killpg(process.pid, signal.SIGKILL)

    def say(self, line: str) -> None:
        self.outcome.lines.append(line)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path
