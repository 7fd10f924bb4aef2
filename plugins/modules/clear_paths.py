#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module clear_paths."""

from __future__ import annotations

DOCUMENTATION = r"""
module: clear_paths
short_description: Remove and empty files by patterns, and say which
version_added: 0.2.0
description:
  - Removes files and folders, and empties files, that patterns of the shell match. C(**) stands for any folders.
  - A link is removed as a link, and not followed. Files are emptied in place, so that owner, mode and writers stay.
options:
  topics:
    description:
      - Name of a topic, and its patterns, C(remove), C(empty) and C(keep); what C(keep) matches stays.
      - No pattern may match a folder such as C(/etc) as a whole.
    type: dict
    required: true
attributes:
  check_mode: {support: full, description: It says what it would clear.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Remove the host's keys, and empty its logs
  awsome.distributed_training.clear_paths:
    topics:
      host_keys: {remove: ["/etc/ssh/ssh_host_*_key*"]}
      logs: {empty: ["/var/log/**"], keep: ["/var/log/journal/*"]}
"""

RETURN = r"""
cleared:
  description: "One line each: topic, what is done, path."
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils import clearing
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def main() -> None:
    """Find, clear, and tell."""
    module = AnsibleModule(argument_spec={"topics": {"type": "dict", "required": True}}, supports_check_mode=True)
    try:
        found = clearing.found(module.params["topics"])
        if not module.check_mode:
            clearing.clear(found)
    except TrainingError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(found), cleared=[str(one) for one in found])


if __name__ == "__main__":
    main()
