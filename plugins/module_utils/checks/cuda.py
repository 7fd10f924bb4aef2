# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of role cuda."""

from __future__ import annotations

import re

from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import (
    Check,
    Command,
    Expected,
    Judgement,
    Reading,
    Readings,
    common,
    failed,
    passed,
)

HOME = "/usr/local/cuda"
NVCC = Command((f"{HOME}/bin/nvcc", "--version"))
_HOME_READ = Command(("readlink", "--canonicalize", HOME))
# what a login has, and nothing of who asks
_LOGIN = Command(
    ("env", "-i", "HOME=/root", "sh", "-l", "-c", 'printf "%s\\n" "PRELOAD=$LD_PRELOAD" "NVCC=$(command -v nvcc)"')
)


def on_loaders_path(*names: str) -> Command:
    """Real paths of the files of these names, as patterns of sh, in folders of the loader's path, in its order."""
    # glibc 2.34 and 2.36: "/usr/local/lib: (from /etc/ld.so.conf.d/libc.conf:2)", then the libraries, indented
    folders = "ldconfig -N -X -v 2>/dev/null | sed -n 's,^\\(/[^:]*\\):.*,\\1,p'"
    files = " ".join(f'"$folder"/{name}' for name in names)
    look = f'for file in {files}; do if [ -e "$file" ]; then readlink -f "$file"; fi; done'
    return Command(("sh", "-c", f"for folder in $({folders}); do {look}; done"))


def release(reading: Reading) -> str:
    """X.Y of nvcc, by its last but one line, such as ``Cuda compilation tools, release 13.0, V13.0.88``."""
    match = re.search(r"^Cuda compilation tools, release (\d+\.\d+),", reading.out, re.MULTILINE)
    return match[1] if match else ""


def _compiler(readings: Readings, expected: Expected) -> Judgement:
    wanted = _series(expected["versions"]["cuda"])
    found = release(readings["nvcc"])
    if not found:
        return failed(f"{HOME}/bin/nvcc tells no release", "apply role cuda", readings["nvcc"].err[:200], wanted)
    return common.judge_version(found, wanted, f"{HOME} leads to CUDA {{}}", "cuda", "apply role cuda")


def _login(readings: Readings, expected: Expected) -> Judgement:
    has = dict(line.partition("=")[::2] for line in readings["login"].lines)
    wanted = f"{HOME}/bin/nvcc"
    if has["PRELOAD"]:
        # a preloaded NCCL or plugin takes the place of every other one, those of containers and environments too
        return failed(
            f"logins have LD_PRELOAD={has['PRELOAD']}",
            "remove it from /etc/profile.d and /etc/environment",
            has["PRELOAD"],
            "no LD_PRELOAD",
        )
    if has["NVCC"] != wanted:
        told = has["NVCC"] or "no nvcc"
        return failed(f"a login finds {told}, not {wanted}", "apply role cuda", has["NVCC"], wanted)
    return passed(has["NVCC"], wanted)


def _loader(readings: Readings, expected: Expected) -> Judgement:
    home, found = readings["home"].out.strip(), readings["found"].lines
    name = f"libcudart.so.{expected['versions']['cuda'].partition('.')[0]}"
    if not found:
        return failed(f"there is no {name} on the loader's path", "apply role cuda", "", home)
    if not found[0].startswith(f"{home}/"):
        return failed(
            f"the loader takes {found[0]}, not that of {home}",
            "remove its folder from /etc/ld.so.conf.d, and run ldconfig",
            found[0],
            home,
        )
    return passed(found[0], home)


def _series(version: str) -> str:
    return ".".join(version.split(".")[:2])


CHECKS = (
    common.packages("cuda", "cuda"),
    common.repository("cuda", "cuda"),
    Check(
        "cuda.compiler",
        "/usr/local/cuda leads to the toolkit, whose compiler runs",
        lambda expected: {"nvcc": NVCC},
        _compiler,
        ("versions.cuda",),
    ),
    Check("cuda.login", "a login finds the compiler, and preloads nothing", lambda expected: {"login": _LOGIN}, _login),
    Check(
        "cuda.loader",
        "the loader takes the toolkit's libcudart",
        lambda expected: {
            "home": _HOME_READ,
            "found": on_loaders_path(f"libcudart.so.{expected['versions']['cuda'].partition('.')[0]}"),
        },
        _loader,
        ("versions.cuda",),
    ),
)
