#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module run_files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_files
short_description: Write the files of a run into its folder on a cluster
version_added: 0.1.0
description:
  - An action of the same name packs files and folders of the controller; the module unpacks them on the node.
  - Idempotent. A file of the same content and mode is not written again; files that are only in O(dest) stay.
options:
  dest:
    description: The folder. It is made where it is not there.
    type: path
    required: true
  files:
    description: Paths on the controller by the names that they get in O(dest); what was made in a folder stays behind.
    type: dict
  archive:
    description: The packed files, which the action fills in.
    type: str
attributes:
  check_mode: {support: full, description: Says whether anything would be written.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Bring the case to the cluster
  awsome.distributed_training.run_files:
    dest: /fsx/adt-trainer/runs/mine/20261123T200000Z-1a2b
    files: {case: ./mine}
"""

RETURN = r"""
written:
  description: The files that were written.
  returned: always
  type: list
  elements: str
"""

import base64
import io
import os
import tarfile

from ansible.module_utils.basic import AnsibleModule


def differs(path: str, content: bytes, mode: int) -> bool:
    """The file is not there with that content and mode."""
    try:
        with open(path, "rb") as file:
            return file.read() != content or os.stat(path).st_mode & 0o777 != mode
    except FileNotFoundError:
        return True


def main() -> None:
    """Write what differs."""
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "files": {"type": "dict"},
            "archive": {"type": "str"},
        },
        supports_check_mode=True,
    )
    dest, written = module.params["dest"], []
    packed = io.BytesIO(base64.b64decode(module.params["archive"] or ""))
    try:
        with tarfile.open(fileobj=packed, mode="r:xz") as archive:
            for member in archive.getmembers():
                source = archive.extractfile(member)
                path = os.path.join(dest, member.name)
                content = source.read() if source else b""
                if not differs(path, content, member.mode):
                    continue
                written.append(member.name)
                if not module.check_mode:
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with open(path + ".new", "wb") as file:
                        file.write(content)
                    os.chmod(path + ".new", member.mode)
                    os.replace(path + ".new", path)
    except OSError as error:
        place = error.filename or dest
        module.fail_json(
            msg=f"{place} cannot be written: {error.strerror}; fix: shared_dir=FOLDER that you may write to"
        )
    module.exit_json(changed=bool(written), written=written)


if __name__ == "__main__":
    main()
