#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module spank_plugin_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: spank_plugin_info
short_description: A SPANK plugin, and the Slurm that loads it
version_added: 0.2.0
description:
  - Says which Slurm the node has, which lines of its plugstack.conf load a plugin, where that lies, and for which Slurm
    it was built.
  - Needs no daemon, and of Slurm's configuration plugstack.conf alone. Changes nothing.
options:
  plugin:
    description: The plugin's file, without a folder.
    type: str
    required: true
  prefix:
    description: Folder that holds C(bin) with Slurm's commands. Empty takes the PATH, then /opt/slurm.
    type: path
    default: ""
  config_dir:
    description: Folder of slurm.conf. Empty takes C(etc) of the prefix, and /etc/slurm for the system's own Slurm.
    type: path
    default: ""
attributes:
  check_mode: {support: full, description: The module only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: See whether Slurm loads pyxis
  awsome.distributed_training.spank_plugin_info:
    plugin: spank_pyxis.so
  register: look
"""

RETURN = r"""
slurm:
  description: The node's Slurm; all empty where it has none.
  returned: always
  type: dict
  contains:
    version: {description: "Such as V(25.11.8); empty where it does not tell.", type: str, returned: always}
    headers: {description: The version of the Slurm whose headers lie beside it., type: str, returned: always}
    prefix: {description: Its folder., type: str, returned: always}
    config_dir: {description: The folder of slurm.conf., type: str, returned: always}
lines:
  description: The lines of plugstack.conf and of what it includes that load the plugin.
  returned: always
  type: list
  elements: dict
  contains:
    file: {description: Where it stands., type: str, returned: always}
    path: {description: What it loads., type: str, returned: always}
    arguments: {description: What follows that., type: list, elements: str, returned: always}
included:
  description: The patterns of files that plugstack.conf includes.
  returned: always
  type: list
  elements: str
path: {description: "What the first line loads, else where the plugin lies; or empty.", returned: always, type: str}
built_for: {description: The version of Slurm that it was built for; or empty., returned: always, type: str}
"""

import glob
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils import spank
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import Command, File
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.reading import read

_FIND = Command(("sh", "-c", 'PATH="$PATH:/opt/slurm/bin"; readlink -f "$(command -v srun)"'))
_PLACES = ("/usr/local/lib", "{prefix}/lib", "{prefix}/lib64", "{prefix}/lib/*")
"""Where Slurm, or what builds a plugin, has folders ``slurm`` of plugins; Debian's are in slurm-wlm."""


def prefix_here() -> str:
    """The folder of the Slurm that is on the PATH, else in /opt/slurm; empty where there is none."""
    found = read(_FIND)
    return found.out.strip().partition("/bin/srun")[0] if found.status == 0 else ""


def place(found: list[spank.Line], plugin: str, prefix: str) -> str:
    """The plugin's file: what the first line that loads it names, else one that lies where plugins do."""
    if found and os.path.isabs(found[0].path):
        return found[0].path
    names = [f"{folder}/{name}/{plugin}" for folder in _PLACES for name in ("slurm", "slurm-wlm")]
    there = [path for name in names for path in sorted(glob.glob(name.format(prefix=prefix)))]
    return there[0] if there else ""


def built_for(path: str) -> str:
    """For which Slurm; empty where the file is not there, or is no plugin."""
    try:
        with open(path, "rb") as file:
            return spank.built_for(file.read())
    except (OSError, ValueError):
        return ""


def main() -> None:
    """Read and return."""
    module = AnsibleModule(
        argument_spec={
            "plugin": {"type": "str", "required": True},
            "prefix": {"type": "path", "default": ""},
            "config_dir": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    plugin = module.params["plugin"]
    prefix = module.params["prefix"] or prefix_here()
    config = module.params["config_dir"] or ("/etc/slurm" if prefix in ("", "/usr") else f"{prefix}/etc")
    shown = read(spank.stack(config)).out
    found = spank.lines(shown, config, plugin)
    path = place(found, plugin, prefix)
    module.exit_json(
        changed=False,
        slurm={
            "version": spank.version_told(read(spank.version(prefix)).out) if prefix else "",
            "headers": spank.header_version(read(File(f"{prefix}/include/slurm/slurm_version.h")).out),
            "prefix": prefix,
            "config_dir": config,
        },
        lines=[line.as_dict() for line in found],
        included=spank.included(shown, config),
        path=path,
        built_for=built_for(path),
    )


if __name__ == "__main__":
    main()
