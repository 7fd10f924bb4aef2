#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module case_folder."""

from __future__ import annotations

DOCUMENTATION = r"""
module: case_folder
short_description: Copy the folder of a test case or of its library
version_added: 0.1.0
description:
  - Copies a folder without what was made in it, that is C(__pycache__), C(runs), C(.git) and compiled files.
  - Idempotent. A file of the same content and mode is not copied again; files that are only in O(dest) stay.
options:
  src:
    description: The folder.
    type: path
    required: true
  dest:
    description: The copy.
    type: path
    required: true
attributes:
  check_mode: {support: full, description: Says whether anything would be copied.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Copy the case
  awsome.distributed_training.case_folder:
    src: ./mycase
    dest: /tmp/job/case
"""

RETURN = r"""
files:
  description: The files that were copied, from O(src).
  returned: always
  type: list
  elements: str
"""

import filecmp
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils.folders import files_of


def is_same(one: str, other: str) -> bool:
    """Both are there with the same content and mode."""
    return (
        os.path.exists(other)
        and filecmp.cmp(one, other, shallow=False)
        and os.stat(one).st_mode == os.stat(other).st_mode
    )


def main() -> None:
    """Copy what differs."""
    module = AnsibleModule(
        argument_spec={"src": {"type": "path", "required": True}, "dest": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    src, dest = module.params["src"], module.params["dest"]
    if not os.path.isdir(src):
        module.fail_json(msg=f"src={src} is no folder; fix: the path of a folder")
    pairs = [(name, os.path.join(src, name), os.path.join(dest, name)) for name in files_of(src)]
    differing = [(name, one, other) for name, one, other in pairs if not is_same(one, other)]
    if not module.check_mode:
        try:
            for _, one, other in differing:
                os.makedirs(os.path.dirname(other), exist_ok=True)
                shutil.copy2(one, other)
        except OSError as error:
            module.fail_json(msg=f"dest={dest} cannot be written: {error.strerror}; fix: another folder, or more room")
    module.exit_json(changed=bool(differing), files=[name for name, _, _ in differing])


if __name__ == "__main__":
    main()
