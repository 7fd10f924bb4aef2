#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action controller_file; the work is done in plugins/action/controller_file.py, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: controller_file
short_description: Write a small file on the controller, without a module's start
version_added: 0.1.0
description:
  - Writes text into a file of the controller, whichever host the task is for. One that holds it already stays as it is.
  - The file is complete or as it was before.
options:
  dest:
    description: The file. Its folder must be there.
    type: path
    required: true
  content:
    description: What it holds.
    type: str
    required: true
  mode:
    description: Its mode, as an octal number in quotes.
    type: str
    default: "0644"
attributes:
  check_mode: {support: full, description: Says whether it would write.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Note where the run lies
  awsome.distributed_training.controller_file:
    dest: runs/fsdp/20261124T200000Z-1a2b/cluster.json
    content: "{{ {'head': 'login'} | to_nice_json }}\n"
"""

RETURN = r"""
dest:
  description: The file.
  returned: always
  type: str
"""
