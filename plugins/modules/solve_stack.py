#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action solve_stack; the work is done in plugins/action/solve_stack.py, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: solve_stack
short_description: Judge whether the versions of a stack go together on a platform
version_added: 0.1.0
description:
  - Carries out the rules of C(data/constraints.yml), shows what they say, and fails where one refuses.
  - Without options but O(stack_overrides) and O(arch), judges every stack on every OS, architecture and EC2 type.
options:
  stack:
    description: A stack of C(data/stack.yml); the default one where none is named.
    type: str
  stack_overrides:
    description: What differs from C(data/stack.yml), in its form.
    type: dict
  os:
    description: The OS.
    type: str
    choices: [amazon2023, debian12, debian13, ubuntu2204, ubuntu2404]
  kernel:
    description: The kernel's release; the stack's where none is given.
    type: str
  arch:
    description: The architecture; the type's where none is given. Alone it narrows the whole to what is on it.
    type: str
    choices: [aarch64, x86_64]
  instance_type:
    description: An EC2 type.
    type: str
  settings:
    description: Choices that are no version, as C(name=value name=value) or a mapping. See C(data/constraints.yml).
    type: raw
  job_environment:
    description: Variables of the job, in the form of O(settings).
    type: raw
  running:
    description: Component and version that run now, in the form of O(settings).
    type: raw
  upgrade:
    description: A component, or V(every); tells which versions it may have, and what comes with each.
    type: str
  upgrade_to:
    description: One version of it.
    type: str
attributes:
  check_mode: {support: full, description: The action only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Judge the default stack on a type
  awsome.distributed_training.solve_stack:
    os: ubuntu2204
    instance_type: p5.48xlarge

- name: Show what a newer driver brings with it
  awsome.distributed_training.solve_stack:
    os: ubuntu2204
    instance_type: p5.48xlarge
    upgrade: nvidia_driver
"""

RETURN = r"""
accepted:
  description: No rule refuses it; the task fails otherwise.
  returned: success
  type: bool
lines:
  description: The answer as it is shown.
  returned: success
  type: list
  elements: str
findings:
  description: What the rules say, each with C(rule), C(verdict), C(sides), C(reason), C(source), C(fix).
  returned: when one stack was judged
  type: list
  elements: dict
left_out:
  description: Component and reason of what the stack does not have there.
  returned: when one stack was judged
  type: dict
chosen:
  description: Component and version of what was judged.
  returned: when one stack was judged
  type: dict
upgrades:
  description: Versions of the component, each with C(accepted), C(moves), C(carried), C(warnings) and C(refusals).
  returned: with O(upgrade)
  type: list
  elements: dict
combinations:
  description: Number of stacks on platforms.
  returned: when the matrix was judged
  type: int
missing:
  description: What a stack should leave out by name and does not.
  returned: when the matrix was judged
  type: list
  elements: str
"""
