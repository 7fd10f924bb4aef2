#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action component_plan."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_plan
short_description: What a role of the node stack has to do
version_added: 0.1.0
description:
  - Holds components of data/stack.yml against what the node has. First task of each role of the node stack.
  - Refuses a system that the stack does not have, a user other than root, and a version that is not to stay.
  - The stack is that of C(adt_stack), else the default one; C(stack_overrides) is merged in. The EC2 type is
    C(adt_instance_type), else what the node's firmware states.
  - Changes nothing.
options:
  role:
    description: The role.
    type: str
    required: true
  components:
    description: Its components.
    type: list
    elements: str
    required: true
  preinstalled:
    description: What is done about another version that the node has; V(keep) keeps it where the solver accepts it.
    type: str
    choices: [keep, replace, refuse]
    default: keep
  also_packages:
    description: Component, and packages by which it is found beside those of the catalogue.
    type: dict
    default: {}
  looks:
    description:
      - Component, and where its version stands, as for module component_facts.
      - What has another name is looked for too, and told in RV(looks).
    type: dict
    default: {}
  needed:
    description:
      - Takes of O(components) those alone that a node of this EC2 type needs, by the rules of data/constraints.yml that
        want a component present. Refuses a node whose type nobody states.
    type: bool
    default: false
  settings:
    description:
      - Choices that are no version, for the solver, such as C(modules=open). V(auto) leaves one to the solver.
      - Where there are any, a version that the solver refuses on this node is refused.
    type: dict
    default: {}
attributes:
  action: {support: full, description: It thinks on the controller.}
  check_mode: {support: full, description: It only reads.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Plan
  awsome.distributed_training.component_plan:
    role: dcgm
    components: [dcgm]
    preinstalled: "{{ dcgm_preinstalled }}"
  register: __dcgm_plan
"""

RETURN = r"""
components:
  description: >-
    By name: C(wanted), C(found), C(version) (that the node shall have), C(install), C(kept), C(packages), and C(entry),
    the catalogue's.
  returned: always
  type: dict
install: {description: Whether any is to be installed., returned: always, type: bool}
kept: {description: Whether another version than the stack's stays., returned: always, type: bool}
system: {description: The system, such as ubuntu2204., returned: always, type: str}
arch: {description: x86_64 or aarch64., returned: always, type: str}
kernel: {description: The running kernel., returned: always, type: str}
settings: {description: "O(settings), with what the solver chose.", returned: always, type: dict}
looks: {description: What was found of O(looks)., returned: always, type: dict}
instance: {description: What is known of the EC2 type; empty where none is., returned: always, type: dict}
expected: {description: What checks hold the node to., returned: always, type: dict}
"""
