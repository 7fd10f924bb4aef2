#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module node_files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_files
short_description: Write small text files on a node, all of them in one module's start
version_added: 0.2.0
description:
  - Gives files their text, their mode, and for an owner the user that the module acts as. Their folders are made too.
  - What is so already is left alone. Each file is complete or as it was before. A link is replaced by a file.
options:
  files:
    description: Maps with C(path), C(content), and C(mode), whose default is V("0644").
    type: list
    elements: dict
    required: true
attributes:
  check_mode: {support: full, description: Says which files it would write.}
  diff_mode: {support: full, description: Shows them before and after.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Let logins and the loader find CUDA
  awsome.distributed_training.node_files:
    files:
      - {path: /etc/profile.d/cuda.sh, content: "PATH=/usr/local/cuda/bin:$PATH\n"}
      - {path: /etc/ld.so.conf.d/cuda.conf, content: "/usr/local/cuda/lib64\n"}
"""

RETURN = r"""
written:
  description: The files that were, or in check mode would be, written.
  returned: always
  type: list
  elements: str
"""

import os
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils import folders
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


@dataclass(frozen=True)
class Asked:
    """A file as it shall be."""

    path: str
    content: str
    mode: int


def asked_for(given: dict[str, str]) -> Asked:
    """What one map of the arguments says."""
    unknown = sorted(set(given) - {"path", "content", "mode"})
    missing = sorted({"path", "content"} - set(given))
    if unknown or missing:
        raise TrainingError(
            f"files: {given.get('path', given)}: {'no ' + missing[0] if missing else unknown[0] + ' is not known'}",
            "give path and content, and mode where it is not 0644",
        )
    mode = given.get("mode", "0644")
    try:
        return Asked(given["path"], given["content"], int(mode, 8))
    except (TypeError, ValueError):
        raise TrainingError(f"{given['path']}: mode={mode} is not octal", 'write it in quotes, "0644"') from None


def text_of(path: str) -> str:
    """The text of a file; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def as_asked(one: Asked) -> bool:
    """The file is there with this text and mode, and belongs to this user."""
    return (
        not os.path.islink(one.path)
        and folders.holds(one.path, one.content, one.mode)
        and os.stat(one.path).st_uid == os.geteuid()
    )


def main() -> None:
    """Write those that differ."""
    module = AnsibleModule(
        argument_spec={"files": {"type": "list", "elements": "dict", "required": True}}, supports_check_mode=True
    )
    try:
        differing = [one for one in map(asked_for, module.params["files"]) if not as_asked(one)]
        diff = [
            {"before_header": one.path, "after_header": one.path, "before": text_of(one.path), "after": one.content}
            for one in differing
        ]
        before = os.umask(0o022)  # the caller's may keep others out of folders
        for one in differing if not module.check_mode else []:
            os.makedirs(os.path.dirname(one.path), exist_ok=True)
            folders.replace_file(one.path, one.content, one.mode)
        os.umask(before)
        module.exit_json(changed=bool(differing), written=[one.path for one in differing], diff=diff)
    except TrainingError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; fix: make it accessible to this user")


if __name__ == "__main__":
    main()
