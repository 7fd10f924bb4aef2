"""What Ansible adds to the making of a node: seconds of each role, against a plain shell script for the same node.

    python3 benchmarks/roles.py [--repeat=3] [--roles=docker,dcgm]

The node is the one of scenario parallelcluster_gpu_node: a container with no route out, packages and files are
stand-ins from a mirror. In each repetition two new containers are made; one gets the playbook of the image twice, the
other roles.sh twice, in turn. In the end both have to have the same packages and the same services. Prints medians and
ranges of the repetitions: seconds of each role, and of the whole the seconds of processors that the node and this side
used, tasks and starts of modules. The roles also check the node and write its manifest, which the script does not.

Stand-ins are small, so nothing hides what Ansible itself takes: a real driver alone is downloaded and built for
minutes. Needs root, Docker and mmdebstrap, as the tests of molecule/ do.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.awsome.distributed_training.plugins.module_utils import artifact, catalogue, controller
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.molecule import harness, scenarios

SCENARIO = "parallelcluster_gpu_node"
IMAGE = support.ROOT / "playbooks/images/parallelcluster_gpu.yml"
SCRIPT = Path(__file__).parent / "roles.sh"
FILES = "/srv/role-files"
"""Where a node has what a role of the collection brings itself."""

FIRST_OVER_SCRIPT, SECOND_S = 1.3, 60.0
"""The goals: the first run over the script's, and the seconds of the second run of the whole node."""

ON_CONTROLLER = {
    "assert",
    "debug",
    "fail",
    "include_role",
    "include_tasks",
    "meta",
    "set_fact",
    "validate_argument_spec",
}
"""Actions that start no module on the node."""

STARTS = {"copy": 2, "template": 2, "unarchive": 2}
"""Actions that start more than one."""


@dataclass
class Took:
    """One run: seconds of each role and of the whole, on the clock and of processors; tasks and starts of modules."""

    roles: dict[str, float] = field(default_factory=dict)
    whole: float = 0.0
    processor: float = 0.0
    tasks: int = 0
    starts: int = 0


def main() -> int:
    """Time play and script in turn."""
    options = arguments()
    scenario = scenarios.read(SCENARIO)
    roles = [role for role in scenario.roles if not options.roles or role in options.roles]
    runs: dict[str, list[Took]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="adt-roles-") as folder:
        bench = Bench(harness.Run(scenario, scenario.systems[:1], Path(folder)), Path(folder), roles)
        for repetition in range(1, options.repeat + 1):
            nodes = {name: bench.node(f"-{name}") for name in ("play", "script")}
            try:
                for which in ("first", "second"):
                    runs[f"play, {which}"].append(bench.play(nodes["play"]))
                    runs[f"script, {which}"].append(bench.script(nodes["script"]))
                bench.alike(nodes["play"], nodes["script"])
            finally:
                support.run(["docker", "rm", "--force", "--volumes", *nodes.values()], support.ROOT)
            told = ", ".join(f"{name} {took[-1].whole:.1f} s" for name, took in runs.items())
            print(f"{repetition}: {told}", flush=True)
    return show(roles, runs, whole=not options.roles)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--roles", type=lambda text: text.split(","), default=[], help="those alone, such as docker,dcgm"
    )
    return parser.parse_args()


def show(roles: Sequence[str], runs: Mapping[str, list[Took]], whole: bool) -> int:
    """Print the figures; whether a goal was missed."""
    repetitions = len(runs["play, first"])
    print(f"\n{repetitions} repetitions, seconds: median (range)")
    print(f"{'':26}" + "".join(f"{name:>24}" for name in runs))
    for role in roles:
        print(f"{role:26}" + "".join(f"{figure([one.roles[role] for one in took]):>24}" for took in runs.values()))
    print(f"{'whole':26}" + "".join(f"{figure([one.whole for one in took]):>24}" for took in runs.values()))
    print(
        f"{'seconds of processors':26}"
        + "".join(f"{figure([one.processor for one in took]):>24}" for took in runs.values())
    )
    for name in ("play, first", "play, second"):
        last = runs[name][-1]
        print(f"{name}: {last.tasks} tasks, {last.starts} starts of modules")
    play, script = ([one.whole for one in runs[f"{name}, first"]] for name in ("play", "script"))
    ratio = statistics.median(play) / statistics.median(script)
    second = statistics.median(one.whole for one in runs["play, second"])
    added = (statistics.median(play) - statistics.median(script)) / len(roles)
    print(f"first run over the script: {ratio:.2f} times, goal {FIRST_OVER_SCRIPT}; {added:.1f} s more for each role")
    print(f"second run: {second:.1f} s" + (f", goal less than {SECOND_S:.0f} s" if whole else ""))
    return int(ratio > FIRST_OVER_SCRIPT or (whole and second >= SECOND_S))


def figure(values: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


class Bench:
    """Nodes of a scenario, and the two ways to make them."""

    def __init__(self, run: harness.Run, folder: Path, roles: Sequence[str]) -> None:
        self.run, self.folder, self.roles = run, folder, roles
        self.system = run.systems[0]
        self.variables = {**run.mirror.variables(harness.MIRROR), **run.scenario.variables}
        self.variables["adt_instance_type"] = run.scenario.instance_type
        (folder / "variables.json").write_text(json.dumps(self.variables))
        prepare = [play for play in run.converge if "ansible.builtin.import_playbook" not in play]
        (folder / "prepare.yml").write_text(yaml.safe_dump(prepare, sort_keys=False))
        named = stated(self.system, run.scenario.instance_type, run.mirror.overrides, run.mirror.folder)
        self.names = "\n".join(f"{name}={shlex.quote(value)}" for name, value in named.items())

    def node(self, more: str) -> str:
        """A new container, with what the scenario prepares."""
        asked = self.run.platform(self.system, more, {FILES: support.ROOT / "roles/efa_exporter/files"})
        name = str(asked["name"])
        words = ["docker", "run", "--detach", "--pull=never", f"--name={name}", f"--hostname={asked['hostname']}"]
        words += [f"--stop-signal={asked['stop_signal']}", f"--cgroupns={asked['cgroupns_mode']}"]
        words += [f"--network={asked.get('network_mode', 'bridge')}", *(f"--tmpfs={one}" for one in asked["tmpfs"])]
        words += [f"--volume={one}" for one in asked["volumes"]]
        words += [f"--cap-add={one}" for one in asked["capabilities"]]
        words += [f"--security-opt={one}" for one in asked["security_opts"]]
        told(support.run(["docker", "rm", "--force", name], self.folder))
        told(support.run([*words, asked["image"], asked["command"]], self.folder))
        for _ in range(60):
            state = support.run(["docker", "exec", name, "systemctl", "is-system-running", "--wait"], self.folder)
            if state.stdout.strip() in ("running", "degraded"):
                break
            time.sleep(1)
        else:
            sys.exit(f"systemd does not start in {name}: {state.stdout}")
        self.ansible(name, self.folder / "prepare.yml", [])
        return name

    def ansible(self, node: str, playbook: Path, words: Sequence[str]) -> str:
        """Apply a playbook to a node; what it says, an event a line."""
        environment = {
            **self.run.variables,
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_GATHERING": "explicit",
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.jsonl",
        }
        given = ["--inventory", f"{node},", "--connection=community.docker.docker", "--extra-vars", "@variables.json"]
        given += ["--extra-vars", "ansible_python_interpreter=/usr/bin/python3", *words]
        ran = support.play(given, self.folder, environment, self.run.tools, str(playbook), timeout=3600)
        return told(ran)

    def play(self, node: str) -> Took:
        """Apply the image's playbook."""
        others = set(self.run.scenario.roles) - set(self.roles)
        words = [f"--skip-tags={','.join(sorted(others))}"] if others else []
        with Clock(node) as clock:
            said = self.ansible(node, IMAGE, words)
        took = parts([json.loads(line) for line in said.splitlines() if line.startswith("{")], self.roles)
        took.whole, took.processor = clock.seconds, clock.processor
        return took

    def script(self, node: str) -> Took:
        """Run the script."""
        text = f"ROLES={shlex.quote(' '.join(self.roles))}\n{self.names}\n{SCRIPT.read_text()}"
        with Clock(node) as clock:
            ran = subprocess.run(
                ["docker", "exec", "--interactive", node, "bash", "-s"],
                input=text,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        seconds = [re.fullmatch(r"(\w+) (\d+)", line) for line in told(ran).splitlines()]
        took = Took({one[1]: int(one[2]) / 1000 for one in seconds if one})
        took.whole, took.processor = clock.seconds, clock.processor
        return took

    def alike(self, *nodes: str) -> None:
        """Stop where the nodes differ in their packages or services: then the two did not do the same."""
        packages = "dpkg-query --show --showformat='${Package} ${Version}\\n'"
        services = "systemctl list-units --type=service --state=running --plain --no-legend | cut -d ' ' -f 1"
        look = f"{packages}; {services}"
        first, second = (
            set(told(support.run(["docker", "exec", node, "sh", "-c", look], self.folder)).splitlines())
            for node in nodes
        )
        if first != second:
            sys.exit(f"play and script made different nodes: {', '.join(sorted(first ^ second))}")


def stated(system: str, instance_type: str, overrides: Mapping[str, Any], mirror: Path) -> dict[str, str]:
    """What the script's names in capitals stand for: the stack's versions, and where the mirror has them."""
    document = controller.read_stack(overrides)
    key = mirror / "mirror.asc"
    names = {
        "KEY_FILE": f"{harness.MIRROR}/{key.name}",
        "KEY_SHA256": hashlib.sha256(key.read_bytes()).hexdigest(),
        "EFA_EXPORTER_FILE": f"{FILES}/efa_exporter.py",
    }
    for component in sorted(catalogue.chosen(document, None, system, "x86_64")):
        entry = catalogue.on_platform(catalogue.component(document, component, None, system), system, "x86_64")
        name = component.upper()
        names[f"{name}_VERSION"] = str(entry["version"])
        for source in entry.get("repositories", [])[:1]:
            parts_of = " ".join([source["suite"], *source.get("sections", [])])
            names[f"{name}_SOURCE"] = f"{artifact.mirrored(source['base']['url'], harness.MIRROR)} {parts_of}"
            names[f"{name}_PACKAGES"] = " ".join(f"{one}={at}" for one, at in source["packages"].items())
        for held, more in zip(entry.get("files", []), ("", "_CAPS"), strict=False):
            address = artifact.mirrored(held["file"]["url"], harness.MIRROR)
            names[f"{name}{more}_FILE"] = address.removeprefix("file://")
            names[f"{name}{more}_SHA256"] = held["file"].get("sha256", "")
        for image in entry.get("images", []):
            where = re.sub(r"^docker://(.*):[^:/]*$", r"\1", image["image"]["url"])
            names[f"{name}_IMAGE"] = f"{where}@sha256:{image['image'].get('sha256', '')}"
    names["CUDA_HOME"] = f"/usr/local/cuda-{'.'.join(names['CUDA_VERSION'].split('.')[:2])}"
    types = controller.read_catalogue("instance_types")
    about: Mapping[str, Any] = catalogue.instance_type(types, instance_type)["accelerator"]
    capability = about["compute_capability"].replace(".", "")
    names["NCCL_GENCODE"] = f"-gencode=arch=compute_{capability},code=sm_{capability}"
    return names


def parts(events: Sequence[Mapping[str, Any]], roles: Sequence[str]) -> Took:
    """Seconds, tasks and starts of a play.

    What roles artifact, repository and base do for another counts for that one: a role ends where the next one begins.
    """
    took, current, since, task = Took(dict.fromkeys(roles, 0.0)), "", 0.0, ""
    for event in events:
        now = datetime.fromisoformat(event["_timestamp"].replace("Z", "+00:00")).timestamp()
        if event["_event"].endswith("task_start"):
            if current:
                took.roles[current] += now - since
            since = now
            found = re.search(r"/roles/(\w+)/", event["task"]["path"])
            begun = found[1] if found and "handler" not in event["_event"] else ""
            if begun in roles and (not current or roles.index(begun) > roles.index(current)):
                current = begun
            task = event["task"]["id"]
            took.tasks += 1
        elif event["_event"].startswith("v2_runner_on_") and event["task"]["id"] == task:
            for result in event["hosts"].values():
                action = str(result.get("action", "")).rpartition(".")[2]
                items = result.get("results", [])
                looped = len(items) if items and all("ansible_loop_var" in item for item in items) else 1
                if not result.get("skipped") and action not in ON_CONTROLLER:
                    took.starts += STARTS.get(action, 1) * looped
        elif event["_event"].endswith("on_stats") and current:
            took.roles[current] += now - since
    return took


class Clock:
    """Seconds that pass, and those of processors that a node and this process's children use meanwhile."""

    def __init__(self, node: str) -> None:
        identity = told(support.run(["docker", "inspect", "--format={{.Id}}", node], support.ROOT)).strip()
        # of cgroups v1, nanoseconds; else of v2, where systemd made the group, microseconds
        ours = (f"cpuacct/docker/{identity}/cpuacct.usage", f"system.slice/docker-{identity}.scope/cpu.stat")
        self.usage = next((path for path in map(Path("/sys/fs/cgroup").joinpath, ours) if path.exists()), None)
        self.seconds = self.processor = 0.0

    def __enter__(self) -> Clock:
        self.since, self.before = time.monotonic(), self._used()
        return self

    def __exit__(self, *raised: object) -> None:
        self.seconds, self.processor = time.monotonic() - self.since, self._used() - self.before

    def _used(self) -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = re.search(r"^(?:usage_usec )?(\d+)$", self.usage.read_text(), re.MULTILINE) if self.usage else None
        node = int(used[1]) / (1e9 if self.usage and self.usage.name == "cpuacct.usage" else 1e6) if used else 0.0
        return children.ru_utime + children.ru_stime + node


def told(ran: subprocess.CompletedProcess[str]) -> str:
    """What a command said; it ends this program where the command failed."""
    if ran.returncode:
        sys.exit(f"{shlex.join(map(str, ran.args))[:200]}: {ran.stdout[-3000:]}")
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main())
