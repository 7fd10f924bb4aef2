#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action local_cluster_request; the work is done in plugins/action, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: local_cluster_request
short_description: Read the public variables of playbook clusters.local_slurm
version_added: 0.1.0
description:
  - Gives types and defaults to the variables, and refuses those that are unknown or misspelt.
  - Adds what the nodes take over from this machine, that is its certificates, pip's package sources and proxies.
options:
  cluster:
    description: Name of the cluster.
    type: str
  nodes:
    description: Number of compute nodes.
    type: int
  state:
    description: V(present) or V(absent).
    type: str
  process_tracking:
    description: V(linuxproc) or V(cgroup).
    type: str
  gpus:
    description: GPUs that each node claims to have.
    type: int
attributes:
  check_mode: {support: full, description: The action only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Read the request
  awsome.distributed_training.local_cluster_request:
    nodes: 2
"""

RETURN = r"""
request:
  description: Every variable, with the cluster's folders, and what the nodes take over from this machine.
  returned: always
  type: dict
"""
