#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module node_image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_image
short_description: Make the image of the nodes of a local cluster
version_added: 0.1.0
description:
  - Makes a Debian with mmdebstrap, from the archives that this machine takes its packages from, and gives it to Docker.
  - Idempotent. An archive of the same inputs is taken from O(cache), an image of the same inputs gets one more name.
options:
  repository:
    description: Name of the image; its tag is the key of the inputs.
    type: str
    required: true
  cache:
    description: Folder in which C(<sha256 of the inputs>.tar) is kept.
    type: path
    required: true
  suite:
    description: Suite of Debian.
    type: str
    required: true
  packages:
    description: Packages beside the smallest set that has apt.
    type: list
    elements: str
    required: true
  hook:
    description: Program that finishes the image. Gets its root as first word, and certificates in C(NODE_CERTIFICATES).
    type: path
    required: true
  certificates:
    description: Files with authorities that nodes trust beside Debian's.
    type: list
    elements: path
    default: []
  command:
    description: What a container of the image runs.
    type: list
    elements: str
    default: [/lib/systemd/systemd]
attributes:
  check_mode: {support: full, description: Says what would be made and changes nothing.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Make the image
  awsome.distributed_training.node_image:
    repository: adt-local
    cache: ~/.cache/awsome-distributed-training/node-images
    suite: bookworm
    packages: [systemd, systemd-sysv, python3, openssh-server]
    hook: /tmp/finish_image.sh
"""

RETURN = r"""
image:
  description: Name and tag.
  returned: always
  type: str
tar:
  description: The archive in the cache.
  returned: always
  type: str
made:
  description: What was missing, of V(tar) and V(image).
  returned: always
  type: list
  elements: str
"""

import fcntl
import glob
import json
import os
import shutil
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils.docker import docker, last_line
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.local_cluster import INPUTS
from ansible_collections.awsome.distributed_training.plugins.module_utils.node_image import (
    Source,
    image_key,
    image_sources,
    read_sources,
)


def machine_sources() -> list[Source]:
    """The package sources of this machine."""
    found: list[Source] = []
    for path in sorted(["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*")]):
        if os.path.isfile(path) and path.endswith((".list", ".sources")):
            found += read_sources(path, read(path))
    return found


def read(path: str) -> str:
    """A text file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def build(options: dict[str, Any], sources: list[str], tar: str) -> None:
    """mmdebstrap into a file: into a pipe, an import that fails takes mmdebstrap and its caller with it."""
    if shutil.which("mmdebstrap") is None:
        raise TrainingError("mmdebstrap is missing", "apt-get install mmdebstrap")
    partial = f"{tar}.partial"
    words = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar"]
    words += [f"--include={','.join(options['packages'])}", f"--customize-hook={options['hook']}"]
    words += [options["suite"], partial, *sources]
    ran = subprocess.run(
        words,
        env={**os.environ, "NODE_CERTIFICATES": " ".join(options["certificates"]), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        check=False,
    )
    if ran.returncode:
        if os.path.exists(partial):
            os.unlink(partial)
        lines = ran.stdout.decode().splitlines()
        said = [line for line in lines if line.startswith("E:") and "failed to execute" not in line] or lines
        raise TrainingError(
            f"mmdebstrap failed: {last_line(said[0] if said else '')}", "look at this machine's /etc/apt"
        )
    os.replace(partial, tar)


def images_of(key: str) -> list[str]:
    """Ids of images of the same inputs."""
    return docker("image", "ls", "--quiet", "--no-trunc", "--filter", f"label={INPUTS}={key}").split()


def main() -> None:
    """Look for the image, for one of the same inputs, for the archive; make what is missing."""
    module = AnsibleModule(
        argument_spec={
            "repository": {"type": "str", "required": True},
            "cache": {"type": "path", "required": True},
            "suite": {"type": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "required": True},
            "hook": {"type": "path", "required": True},
            "certificates": {"type": "list", "elements": "path", "default": []},
            "command": {"type": "list", "elements": "str", "default": ["/lib/systemd/systemd"]},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**make(module.params, module.check_mode))
    except TrainingError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; fix: make it accessible to this user")


def make(options: dict[str, Any], check: bool) -> dict[str, Any]:
    """What main returns."""
    certificates = {path: read(path) for path in options["certificates"]}
    sources = image_sources(machine_sources(), options["suite"])
    key = image_key(
        options["suite"], sources, options["packages"], read(options["hook"]), certificates, options["command"]
    )
    image = f"{options['repository']}:{key[:12]}"
    tar = os.path.join(options["cache"], f"{key}.tar")
    result: dict[str, Any] = {"image": image, "tar": tar, "made": [], "changed": False}
    same = images_of(key)
    if image in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", options["repository"]).split():
        return result
    result.update(changed=True, made=["image"] if same or os.path.exists(tar) else ["tar", "image"])
    if check:
        return result
    if not same:
        os.makedirs(options["cache"], exist_ok=True)
        with open(f"{tar}.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(tar):
                build(options, sources, tar)
        changes = [f"CMD {json.dumps(options['command'])}", f"LABEL {INPUTS}={key}"]
        words = [word for change in changes for word in ("--change", change)]
        same = [docker("import", *words, tar).strip()]
    docker("tag", same[0], image)
    return result


if __name__ == "__main__":
    main()
