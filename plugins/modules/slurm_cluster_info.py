#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module slurm_cluster_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_cluster_info
short_description: What a Slurm cluster offers to a training run
version_added: 0.1.0
description:
  - Reads partitions and nodes as Slurm tells them, and who asks. Changes nothing.
options:
  prefix:
    description: Folder that holds C(bin) with Slurm's commands, such as C(/opt/slurm). Empty takes the PATH.
    type: path
    default: ""
attributes:
  check_mode: {support: full, description: The module only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Read what the cluster offers
  awsome.distributed_training.slurm_cluster_info:
  register: cluster
"""

RETURN = r"""
cluster:
  description: What the cluster offers.
  returned: always
  type: dict
  contains:
    version: {description: "Slurm's version.", type: str, returned: always}
    user: {description: The connected user's name., type: str, returned: always}
    partitions:
      description: Each with C(name), C(default), C(nodes), C(max_time_s) and C(state).
      type: list
      returned: always
    nodes:
      description: Each with C(name), C(cpus), C(memory_mib), C(gpus), C(gpu_model), C(features) and C(partitions).
      type: list
      returned: always
"""

import dataclasses
import pwd
from os import getuid

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils import slurm
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.slurm_commands import Slurm


def main() -> None:
    """Ask and return."""
    module = AnsibleModule(argument_spec={"prefix": {"type": "path", "default": ""}}, supports_check_mode=True)
    commands = Slurm(module.params["prefix"])
    try:
        nodes = slurm.parse_nodes(commands.ask("scontrol", "--oneliner", "show", "node"))
        partitions = slurm.parse_partitions(commands.ask("scontrol", "--oneliner", "show", "partition"))
        version = commands.ask("scontrol", "--version").split()[-1]
    except (TrainingError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        cluster={
            "version": version,
            "user": pwd.getpwuid(getuid()).pw_name,
            "partitions": [dataclasses.asdict(partition) for partition in partitions],
            "nodes": [dataclasses.asdict(node) for node in nodes],
        },
    )


if __name__ == "__main__":
    main()
