#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module manifest_entry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: manifest_entry
short_description: Note in a node's manifest what it got
version_added: 0.2.0
description:
  - Keeps one entry for each file or package, in the form of C(schemas/manifest.schema.json) of the collection.
  - An entry that says the same as before stays as it is, with its time; then the file is not written.
options:
  entries:
    description:
      - Maps with C(component), C(version), C(origin), C(sha256), C(verified), and C(path) or C(package).
      - Further C(arch), C(source), C(signer) and C(overridden). Values that are empty are left out.
      - With C(brought) it came along with another package, and stays with the component that it is noted for already.
      - With C(shown) it is noted only where the package manager shows such a line, as
        M(awsome.distributed_training.repository_source) returns it.
    type: list
    elements: dict
    required: true
  state:
    description: With V(absent) the entries of those paths and packages are taken away.
    type: str
    choices: [present, absent]
    default: present
  path:
    description: The manifest.
    type: path
    default: /var/lib/awsome-distributed-training/manifest.json
attributes:
  check_mode: {support: full, description: Says whether the manifest would change.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Note the sources of pyxis
  awsome.distributed_training.manifest_entry:
    entries:
      - component: pyxis
        version: 0.24.0
        origin: "{{ brought.origin }}"
        sha256: "{{ brought.sha256 }}"
        verified: "{{ brought.verified }}"
        path: /usr/local/src/pyxis.tar.gz
"""

RETURN = r"""
path:
  description: The manifest.
  returned: always
  type: str
"""

import fcntl
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils import manifest, node_packages
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def read(path: str) -> str:
    """The manifest's text; empty where there is none."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def note(module: AnsibleModule) -> bool:
    """Whether the manifest changed; plays that write it at the same time wait for each other."""
    path, absent = module.params["path"], module.params["state"] == "absent"
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    entries = module.params["entries"]
    if any("shown" in one for one in entries):
        there = node_packages.shown("apt") | node_packages.shown("dnf")
        entries = [one for one in entries if "shown" not in one or one["shown"] in there]

    def merged() -> tuple[str, str]:
        before = read(path)
        after = manifest.written(manifest.merged(manifest.read(before, path), entries, now, absent))
        return before, before if absent and not before else after

    before, after = merged()
    if module.check_mode or after == before:
        return after != before
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(f"{path}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _, after = merged()
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.write(after)
            os.fchmod(file.fileno(), 0o644)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
    return True


def main() -> None:
    """Merge the entries into the manifest."""
    module = AnsibleModule(
        argument_spec={
            "entries": {"type": "list", "elements": "dict", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "path": {"type": "path", "default": manifest.PATH},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=note(module), path=module.params["path"])
    except TrainingError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; fix: make it accessible to this user")


if __name__ == "__main__":
    main()
