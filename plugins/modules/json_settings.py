#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module json_settings."""

from __future__ import annotations

DOCUMENTATION = r"""
module: json_settings
short_description: Put settings into a JSON file, and leave the others in it alone
version_added: 0.2.0
description:
  - Merges objects key by key; lists and plain values are replaced. A file that has all of it stays as it is.
  - A file that is not JSON is refused. The new file takes the old one's place once it was found valid.
options:
  path:
    description: The file; its folder is made where it is missing.
    type: path
    required: true
  settings:
    description: What the file shall hold, beside what it holds.
    type: dict
    required: true
  validate:
    description: Words of a command that fails for a file that is not valid; C(%s) among them is the new file.
    type: list
    elements: str
    default: []
attributes:
  check_mode: {support: full, description: Says whether the file would change.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Keep Docker's logs small
  awsome.distributed_training.json_settings:
    path: /etc/docker/daemon.json
    settings: {log-driver: local}
    validate: [dockerd, --validate, --config-file, "%s"]
"""

RETURN = r"""
path: {description: The file., returned: always, type: str}
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils import json_settings
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def read(path: str) -> str:
    """The file's text; empty where there is none."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def put(module: AnsibleModule) -> bool:
    """Whether the file changed."""
    path = module.params["path"]
    found = json_settings.parsed(read(path), path)
    settings = json_settings.merged(found, module.params["settings"])
    if settings == found:
        return False
    if module.check_mode:
        return True
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    handle, new = tempfile.mkstemp(dir=module.tmpdir)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(json_settings.written(settings))
    if module.params["validate"]:
        words = [new if word == "%s" else word for word in module.params["validate"]]
        status, out, err = module.run_command(words)
        if status != 0:
            said = (err.strip() or out.strip() or f"status {status}").splitlines()[-1]
            raise TrainingError(f"{path}: {words[0]} does not take the new settings: {said}", "change the settings")
    mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o644
    os.chmod(new, mode)
    module.atomic_move(new, path)
    return True


def main() -> None:
    """Merge the settings into the file."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "settings": {"type": "dict", "required": True},
            "validate": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=put(module), path=module.params["path"])
    except TrainingError as error:
        module.fail_json(msg=str(error))
    except (OSError, UnicodeDecodeError) as error:
        module.fail_json(msg=f"{module.params['path']}: {error}; fix: make it a text file that this user may write")


if __name__ == "__main__":
    main()
