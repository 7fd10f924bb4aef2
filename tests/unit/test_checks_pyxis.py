"""Checks of role pyxis.

What srun says: Slurm 22.05.8 (Debian 12) with pyxis 0.24.0, recorded and shortened. The plugin: made here by elf(5).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import checks
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Command,
    Probe,
    Reading,
    registry,
)
from ansible_collections.awsome.distributed_training.tests.unit.spank_example import plugin

PLUGIN = "/usr/local/lib/slurm/spank_pyxis.so"
OWN = "/etc/slurm/plugstack.conf.d/adt-pyxis.conf"
EXPECTED: dict[str, Any] = {
    "versions": {"pyxis": "0.24.0"},
    "pyxis": {"prefix": "/usr", "config_dir": "/etc/slurm", "plugin": PLUGIN, "runtime": "/run/pyxis"},
}
STACK = f"/etc/slurm/plugstack.conf:include /etc/slurm/plugstack.conf.d/*\n{OWN}:required {PLUGIN}\n"
HELP = """\
Usage: srun [OPTIONS(0)... [executable(0) [args(0)...]]] [ : [OPTIONS(N)...]] executable(N) [args(N)...]

Options provided by plugins:
      --container-image=[USER@][REGISTRY#]IMAGE[:TAG]|PATH
"""
INCOMPATIBLE = f"""\
srun: plugin_load_from_file: Incompatible Slurm plugin {PLUGIN} version (21.08.8)
srun: error: spank: {PLUGIN}: Incompatible plugin version
srun: error: Plug-in initialization failed
"""
NO_CONFIGURATION = """\
srun: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host
srun: error: fetch_config: DNS SRV lookup failed
srun: fatal: Could not establish a configuration source
"""
NO_SLURM_CONF = {"help": Reading(1, "", NO_CONFIGURATION), "configuration": Reading(None)}


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


HEALTHY: dict[str, str | Reading] = {
    "stack": STACK,
    "file": coded(plugin(0x160508, b"pyxis: version v0.24.0\0")),
    "slurm": "slurm-wlm 22.05.8\n",
    "help": HELP,
    "configuration": "ClusterName=training\n",
    "enroot": "4.1.2\n",
    "folder": "directory 755 root\n",
}


def told(
    name: str, changed: Mapping[str, str | Reading] | None = None, expected: Mapping[str, Any] = EXPECTED
) -> checks.Result:
    """What a check says of a healthy node on which some readings are others."""
    given = {**HEALTHY, **(changed or {})}

    def read(probe: Probe) -> Reading:
        kind = "configuration"
        if isinstance(probe, Command):
            words = {"base64": "file", "enroot": "enroot", "stat": "folder", "/usr/bin/srun": "help"}
            kind = words.get(probe.argv[0]) or ("stack" if probe.argv[-1] == "/etc/slurm" else "slurm")
        answer = given[kind]
        return answer if isinstance(answer, Reading) else Reading(0, answer)

    return checks.run(registry.CHECKS[f"pyxis.{name}"], expected, read)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("one", OWN),
        ("version", "0.24.0"),
        ("slurm", "22.05.8"),
        ("loads", "--container-image"),
        ("enroot", "4.1.2"),
        ("runtime", "directory 755 root"),
    ],
)
def test_a_healthy_node_passes(name: str, value: str) -> None:
    result = told(name)
    assert (result.verdict, result.value) == ("pass", value)


def test_a_plain_name_is_left_to_slurm() -> None:
    assert told("one", {"stack": STACK.replace(PLUGIN, "spank_pyxis.so")}).verdict == "pass"


@pytest.mark.parametrize(
    ("name", "changed", "reason", "fix"),
    [
        ("one", {"stack": Reading(1)}, "no line of /etc/slurm/plugstack.conf", "apply role pyxis"),
        (
            "one",
            {"stack": f"{STACK}/etc/slurm/plugstack.conf.d/theirs.conf:optional {PLUGIN}\n"},
            f"loaded 2 times, by {OWN} and /etc/slurm/plugstack.conf.d/theirs.conf",
            "leave one of these lines",
        ),
        ("one", {"stack": STACK.replace("/usr/local", "/opt")}, "loads /opt/lib/slurm/spank_pyxis.so, not", "apply"),
        ("version", {"file": Reading(1)}, f"there is no {PLUGIN}", "apply role pyxis"),
        ("version", {"file": coded(plugin(0x160508))}, "does not say that it is pyxis", "replace"),
        (
            "version",
            {"file": coded(plugin(0x160508, b"pyxis: version v0.20.0\0"))},
            "pyxis is 0.20.0, not 0.24.0",
            "replace",
        ),
        ("slurm", {"file": Reading(1)}, f"there is no {PLUGIN}", "apply role pyxis"),
        ("slurm", {"file": coded(b"no plugin")}, "is no plugin of Slurm: it is no shared object", "apply role pyxis"),
        ("slurm", {"slurm": "slurm 25.11.8\n"}, "is built for Slurm 22.05.8, and 25.11.8 runs", "apply role pyxis"),
        ("loads", {"help": Reading(1, "", INCOMPATIBLE)}, f"Incompatible Slurm plugin {PLUGIN}", "apply role pyxis"),
        ("loads", {"help": "Usage: srun [OPTIONS(0)...\n"}, "it says nothing of why", "apply role pyxis"),
        ("loads", {"help": "Usage:\n", "configuration": Reading(None)}, "it says nothing of why", "apply role pyxis"),
        ("loads", {"help": Reading(1, "", NO_CONFIGURATION)}, "Unknown host", "apply role pyxis"),
        ("enroot", {"enroot": Reading(None)}, "it is not there", "apply role enroot"),
        ("enroot", {"enroot": Reading(1, "", "enroot: no shell\n")}, "enroot: no shell", "apply role enroot"),
        ("enroot", {"enroot": "3.0.2\n"}, "enroot is 3.0.2, older than 3.1.0", "apply role enroot"),
        ("runtime", {"folder": Reading(1)}, "there is no /run/pyxis", "systemd-tmpfiles"),
        (
            "runtime",
            {"folder": "directory 700 root\n"},
            "directory 700 root, not directory 755 root",
            "apply role pyxis",
        ),
    ],
)
def test_what_is_wrong_fails(name: str, changed: Mapping[str, str | Reading], reason: str, fix: str) -> None:
    result = told(name, changed)
    assert result.verdict == "fail"
    assert reason in result.reason
    assert fix in result.fix


@pytest.mark.parametrize(
    ("name", "changed", "reason"),
    [
        ("slurm", {"slurm": Reading(1, "", NO_CONFIGURATION)}, "Slurm does not tell its version: srun: error"),
        ("loads", NO_SLURM_CONF, "srun has no configuration yet"),
    ],
)
def test_on_an_image_without_a_configuration_it_is_skipped(
    name: str, changed: Mapping[str, str | Reading], reason: str
) -> None:
    result = told(name, changed)
    assert result.verdict == "skip"
    assert reason in result.reason


def test_versions_are_compared_as_numbers() -> None:
    assert told("enroot", {"enroot": "10.0.0\n"}).verdict == "pass"


def test_srun_that_takes_the_plugin_by_a_configuration_from_elsewhere_passes() -> None:
    assert told("loads", {"configuration": Reading(None)}).verdict == "pass"


def test_the_folder_of_a_line_that_is_not_the_roles_is_skipped() -> None:
    assert told("runtime", {}, {**EXPECTED, "pyxis": {**EXPECTED["pyxis"], "runtime": ""}}).verdict == "skip"
