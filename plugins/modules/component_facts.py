#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module component_facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_facts
short_description: What a node has of the components that a role installs
version_added: 0.1.0
description:
  - Reads the system, who the module runs as, the EC2 type, versions of packages, and what a role looks for itself.
  - Changes nothing.
options:
  packages:
    description: Names of packages, as any system calls them.
    type: list
    elements: str
    default: []
  looks:
    description:
      - Name, and where its version stands, C(argv) of a command or C(path) of a file.
      - It is the first group of C(pattern).
    type: dict
    default: {}
attributes:
  check_mode: {support: full, description: The module only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: See which Docker the node has
  awsome.distributed_training.component_facts:
    packages: [docker-ce, docker.io, docker]
"""

RETURN = r"""
os_release: {description: The fields of /etc/os-release., returned: always, type: dict}
arch: {description: The processor's architecture., returned: always, type: str}
kernel: {description: The running kernel's release., returned: always, type: str}
uid: {description: Who the module runs as., returned: always, type: int}
instance_type: {description: The EC2 type that the firmware states; null elsewhere., returned: always, type: str}
packages: {description: Name and version of the packages that are installed., returned: always, type: dict}
looks: {description: Name and version of what was found., returned: always, type: dict}
"""

import os
import platform
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import Command, File
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.reading import read
from ansible_collections.awsome.distributed_training.plugins.module_utils.component import fields_of
from ansible_collections.awsome.distributed_training.plugins.module_utils.node import instance_type_here

_DPKG = Command(("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\\t${Package}\\t${Version}\\n"))
_RPM = Command(("rpm", "--query", "--all", "--queryformat=ii\\t%{NAME}\\t%{EVR}\\n"))


def installed(names: list[str]) -> dict[str, str]:
    """Version of each of these packages that is installed."""
    found = {}
    for command in (_DPKG, _RPM):
        for line in read(command).lines:
            state, name, version = line.split("\t")
            if name in names and state[1:2] == "i":
                found[name] = version
    return found


def looked(looks: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Version of each thing that a role looks for and that is there."""
    found = {}
    for name, look in looks.items():
        reading = read(Command(tuple(look["argv"])) if "argv" in look else File(look["path"]))
        match = re.search(look["pattern"], reading.out, re.MULTILINE) if reading.status == 0 else None
        if match:
            found[name] = match[1]
    return found


def main() -> None:
    """Read and return."""
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "default": []},
            "looks": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    module.exit_json(
        changed=False,
        os_release=fields_of(read(File("/etc/os-release")).out),
        arch=platform.machine(),
        kernel=platform.release(),
        uid=os.geteuid(),
        instance_type=instance_type_here(),
        packages=installed(module.params["packages"]),
        looks=looked(module.params["looks"]),
    )


if __name__ == "__main__":
    main()
