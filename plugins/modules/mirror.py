#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of action mirror; the work is done in plugins/action, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mirror
short_description: Write a folder from which the nodes of a stack take everything
version_added: 0.2.0
description:
  - Fetches what a stack needs on systems and architectures. Each file is held to its digest or its signer, each package
    to the vendor's index, and that to the vendor's pinned key.
  - Writes repositories with the packages of the stack, and what they need of the same repository, signed by a key of
    the user's own.
  - With O(mirror_s3) brings what S3 does not have in this form there, indexes after what they name. Nothing is removed.
  - A stopped run is gone on with, a further run fetches only what is missing, and adds to what is there.
  - What cannot be held to anything is left out by name, and refused where it was asked for by name.
options:
  stack:
    description: A stack of the catalogue; its default is the catalogue's own.
    type: str
  stack_overrides:
    description: What is merged into the catalogue, in its own form.
    type: dict
  os:
    description: The systems of the nodes.
    type: list
    elements: str
    required: true
  arch:
    description: The architectures of the nodes.
    type: list
    elements: str
    default: [x86_64]
  components:
    description: These components only.
    type: list
    elements: str
  mirror_dir:
    description: The folder, from where the user stands.
    type: path
    default: mirror
  mirror_signer:
    description: Full fingerprint of a key that can sign, in the user's own GnuPG. Not needed in check mode.
    type: str
  mirror_s3:
    description: An address C(s3://BUCKET/PREFIX), to which the folder is brought once it is written. Needs boto3.
    type: str
  redirects:
    description: Hosts, and for each the other hosts that it may redirect to.
    type: dict
attributes:
  check_mode: {support: full, description: Reads the origins' indexes, shows the plan of sizes and writes nothing.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Mirror the default stack for Ubuntu 24.04
  awsome.distributed_training.mirror:
    os: [ubuntu2404]
    mirror_signer: 4E9091BCBB97A96B26B15E59A05480B1DD2D3CCC
"""

RETURN = r"""
folder:
  description: The mirror's folder.
  returned: always
  type: str
files:
  description: Paths of all files of the request in that folder.
  returned: always
  type: list
  elements: str
fetched:
  description: How many of them came now.
  returned: always
  type: int
indexes:
  description: The signed indexes that were written.
  returned: always
  type: list
  elements: str
uploaded:
  description: Paths that were brought to S3.
  returned: when O(mirror_s3) is given
  type: list
  elements: str
"""
