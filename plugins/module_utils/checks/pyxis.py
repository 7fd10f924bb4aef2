# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role pyxis.

Expected has ``pyxis``: ``prefix`` and ``config_dir`` of the node's Slurm, ``plugin`` (the file), and ``runtime`` (the
folder) where the role's own line says it.
"""

from __future__ import annotations

import base64
import re

from ansible_collections.awsome.distributed_training.plugins.module_utils import spank
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    File,
    Judgement,
    Reading,
    Readings,
    failed,
    passed,
    skipped,
)

_AGAIN = "apply role pyxis"
_NAME = "spank_pyxis.so"
_OPTION = "--container-image="
_ENROOT = "3.1.0"
"""The oldest that pyxis runs with: NVIDIA/pyxis README."""
_FOLDER = "directory 755 root"
"""As pyxis itself makes it, and users' folders in it: NVIDIA/pyxis v0.24.0 pyxis_slurmd.c, pyxis_slurmstepd.c."""


def _said(reading: Reading, words: str = "") -> str:
    lines = [line.strip() for line in (*reading.err.splitlines(), *reading.lines) if line.strip()]
    return next((line for line in lines if re.search(words, line)), lines[0] if lines else f"status {reading.status}")


def _file(expected: Expected) -> Command:
    return Command(("base64", "--wrap=0", expected["pyxis"]["plugin"]))


def _one(readings: Readings, expected: Expected) -> Judgement:
    config, plugin = expected["pyxis"]["config_dir"], expected["pyxis"]["plugin"]
    lines = spank.lines(readings["stack"].out, config, _NAME)
    if not lines:
        return failed(f"no line of {config}/plugstack.conf, or of what it includes, loads pyxis", _AGAIN, 0, 1)
    if len(lines) > 1:
        # src/common/spank.c says of each option "provided by both", and takes it away from one of them (K39)
        files = " and ".join(line.file for line in lines)
        return failed(f"pyxis is loaded {len(lines)} times, by {files}", "leave one of these lines", len(lines), 1)
    if "/" in lines[0].path and lines[0].path != plugin:
        return failed(f"{lines[0].file} loads {lines[0].path}, not {plugin}", _AGAIN, lines[0].path, plugin)
    return passed(lines[0].file)


def _version(readings: Readings, expected: Expected) -> Judgement:
    plugin, wanted = expected["pyxis"]["plugin"], expected["versions"]["pyxis"]
    if readings["file"].status != 0:
        return failed(f"there is no {plugin}", _AGAIN, "", wanted)
    # "pyxis: version v0.24.0", which slurmd logs: NVIDIA/pyxis v0.24.0 pyxis_slurmd.c
    match = re.search(rb"pyxis: version v([0-9.]+)", base64.b64decode(readings["file"].out))
    if not match:
        return failed(f"{plugin} does not say that it is pyxis", f"{_AGAIN} with pyxis_preinstalled: replace")
    found = match[1].decode()
    if found != wanted:
        return failed(f"pyxis is {found}, not {wanted}", f"{_AGAIN} with pyxis_preinstalled: replace", found, wanted)
    return passed(found, wanted)


def _slurm(readings: Readings, expected: Expected) -> Judgement:
    plugin, running = expected["pyxis"]["plugin"], spank.version_told(readings["slurm"].out)
    if readings["file"].status != 0:
        return failed(f"there is no {plugin}", _AGAIN, "", running)
    if not running:
        return skipped(f"Slurm does not tell its version: {_said(readings['slurm'])}")
    try:
        found = spank.built_for(base64.b64decode(readings["file"].out))
    except ValueError as error:
        return failed(f"{plugin} is no plugin of Slurm: {error}", _AGAIN, "", running)
    if found != running:
        return failed(f"{plugin} is built for Slurm {found}, and {running} runs", _AGAIN, found, running)
    return passed(found, running)


def _loads(readings: Readings, expected: Expected) -> Judgement:
    told = readings["help"]
    if _OPTION in told.out:
        return passed(_OPTION.rstrip("="))
    if told.status != 0 and not readings["configuration"].there:
        return skipped(f"srun has no configuration yet: {_said(told)}")
    said = _said(told, "spank|pyxis") if told.err.strip() or told.status != 0 else "it says nothing of why"
    return failed(f"srun --help has no {_OPTION.rstrip('=')}: {said}", _AGAIN)


def _enroot(readings: Readings, expected: Expected) -> Judgement:
    told = readings["enroot"]
    match = re.fullmatch(r"\d+(\.\d+)*", told.out.strip())
    if told.status != 0 or not match:
        said = _said(told) if told.there else "it is not there"
        return failed(f"enroot does not run, which starts pyxis's containers: {said}", "apply role enroot")
    if _numbers(match[0]) < _numbers(_ENROOT):
        return failed(f"enroot is {match[0]}, older than {_ENROOT}", "apply role enroot", match[0], _ENROOT)
    return passed(match[0], _ENROOT)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _runtime(readings: Readings, expected: Expected) -> Judgement:
    folder, told = expected["pyxis"]["runtime"], readings["folder"]
    if told.status != 0:
        return failed(f"there is no {folder}", f"systemd-tmpfiles --create; or {_AGAIN}", "", _FOLDER)
    if told.out.strip() != _FOLDER:
        return failed(f"{folder} is {told.out.strip()}, not {_FOLDER}", _AGAIN, told.out.strip(), _FOLDER)
    return passed(_FOLDER, _FOLDER)


CHECKS = (
    Check(
        "pyxis.one",
        "plugstack.conf loads pyxis once",
        lambda expected: {"stack": spank.stack(expected["pyxis"]["config_dir"])},
        _one,
        needs=("pyxis.config_dir", "pyxis.plugin"),
    ),
    Check(
        "pyxis.version",
        "the plugin has its version",
        lambda expected: {"file": _file(expected)},
        _version,
        needs=("pyxis.plugin", "versions.pyxis"),
    ),
    Check(
        "pyxis.slurm",
        "the plugin is built for the Slurm that runs",
        lambda expected: {"file": _file(expected), "slurm": spank.version(expected["pyxis"]["prefix"])},
        _slurm,
        needs=("pyxis.plugin", "pyxis.prefix"),
    ),
    Check(
        "pyxis.loads",
        "Slurm takes the plugin: srun has its options",
        lambda expected: {
            "help": Command((f"{expected['pyxis']['prefix']}/bin/srun", "--help")),
            "configuration": File(f"{expected['pyxis']['config_dir']}/slurm.conf"),
        },
        _loads,
        needs=("pyxis.prefix", "pyxis.config_dir"),
    ),
    Check(
        "pyxis.enroot",
        "enroot is there, which starts the containers",
        lambda expected: {"enroot": Command(("enroot", "version"), may_lack=True)},
        _enroot,
    ),
    Check(
        "pyxis.runtime",
        "pyxis can give each user a folder for images",
        lambda expected: {"folder": Command(("stat", "--format=%F %a %U", expected["pyxis"]["runtime"]))},
        _runtime,
        needs=("pyxis.runtime",),
    ),
)
