#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action checks_program, which works on the controller: plugins/action/checks_program.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: checks_program
short_description: Make program adt-checks
version_added: 0.2.0
description:
  - Makes one file of the registry of checks and the catalogues that it needs.
  - Python 3.9 or newer runs it, without Ansible.
  - The file lies in the cache of the controller, under its version.
options: {}
attributes:
  check_mode: {support: full, description: The file is made in check mode too; nothing but the cache changes.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Make the program
  awsome.distributed_training.checks_program:
  register: program
"""

RETURN = r"""
path: {description: The file on the controller., returned: always, type: str}
version: {description: "The collection's, and letters that change with what it does.", returned: always, type: str}
"""
