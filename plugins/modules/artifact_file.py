#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module artifact_file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_file
short_description: Bring a file of the version catalogue to a node, verified before it is there
version_added: 0.2.0
description:
  - Downloads beside O(dest), holds the file to the sha256 or the signer that is stated, then moves it into place.
  - What is refused leaves nothing behind and O(dest) as it was. A transfer that breaks off is gone on with.
  - Redirects are followed within the host, and to hosts that O(redirects) names for it.
  - Signatures need gpgv, gpg or sqv on the node. The keyring that they get has the pinned key alone.
options:
  file:
    description:
      - An artifact of the catalogue, with C(url) and C(sha256), or C(signer), C(signature) and C(key).
      - One that has C(unverified) instead is refused.
    type: dict
    required: true
  dest:
    description: The file's path; its folder has to be there.
    type: path
    required: true
  mirror:
    description: A folder on the node or an http address that takes the place of every origin.
    type: str
    default: ''
  redirects:
    description: Hosts, and for each the other hosts that it may redirect to.
    type: dict
    default: {}
  timeout_s:
    description: Seconds of silence after which a transfer counts as broken off.
    type: int
    default: 60
  attempts:
    description: Attempts that may fail one after the other without a byte more.
    type: int
    default: 4
extends_documentation_fragment: [ansible.builtin.files]
attributes:
  check_mode: {support: full, description: Says what would be fetched. A signature is fetched and looked at for that.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Bring the sources of pyxis
  awsome.distributed_training.artifact_file:
    file: "{{ lookup('awsome.distributed_training.stack', 'pyxis').files[0].file }}"
    dest: /usr/local/src/pyxis.tar.gz
"""

RETURN = r"""
fetch:
  description: The address that was, or in check mode would be, downloaded; empty where the file was there.
  returned: always
  type: str
origin:
  description: The catalogue's address, without credentials.
  returned: always
  type: str
source:
  description: The mirror's address, where one takes the place of the origin.
  returned: always
  type: str
sha256:
  description: Digest of the file at O(dest); empty where check mode cannot know it.
  returned: always
  type: str
size:
  description: Bytes of the file at O(dest); 0 where check mode cannot know it.
  returned: always
  type: int
verified:
  description: What it was held to; V(digest) or V(signature).
  returned: always
  type: str
signer:
  description: The fingerprint that a signature was held to.
  returned: always
  type: str
"""

import hashlib
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import (
    Artifact,
    held,
    mirrored,
    origin,
    read_artifact,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact_download import (
    Options,
    bring,
    prove,
    sha256_of,
    signature_and_key,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def present(artifact: Artifact, dest: str, options: Options, mirror: str) -> str:
    """The digest of the file at dest where that is the artifact; empty where it is not, or nothing is there."""
    if os.path.isdir(dest):
        raise TrainingError(f"{dest} is a folder", "give the path of the file itself")
    if not os.path.exists(dest):
        return ""
    fetched = sha256_of(dest)
    if artifact.sha256:
        return fetched.sha256 if fetched.sha256 == artifact.sha256 else ""
    signature, key = signature_and_key(artifact, options, mirror)
    try:
        return prove(artifact, dest, fetched, signature, key).sha256
    except TrainingError:
        return ""  # some other file, which the artifact takes the place of


def partial_path(artifact: Artifact, dest: str) -> str:
    """Where the download lies: beside dest, named after what is stated of it, so that only itself is gone on with."""
    stated = f"{artifact.url}\0{artifact.sha256}\0{artifact.signer}"
    name = f".{os.path.basename(dest)}.{hashlib.sha256(stated.encode()).hexdigest()[:12]}.part"
    return os.path.join(os.path.dirname(dest), name)


def bring_to(module: AnsibleModule) -> dict[str, Any]:
    """What main returns."""
    options = Options(module.params["redirects"], module.params["timeout_s"], module.params["attempts"])
    mirror = module.params["mirror"]
    dest = os.path.abspath(module.params["dest"])
    if not module.params["file"].get("url"):
        raise TrainingError("the artifact has no url", "give an artifact map of the catalogue")
    artifact = held(read_artifact(module.params["file"]))
    if not os.path.isdir(os.path.dirname(dest)):
        raise TrainingError(f"{os.path.dirname(dest)}, the folder of {os.path.basename(dest)}, is not there", "make it")
    source = mirrored(artifact.url, mirror)
    result = {
        "changed": False,
        "fetch": "",
        "origin": origin(artifact.url),
        "source": origin(source) if mirror else "",
        "sha256": present(artifact, dest, options, mirror),
        "size": 0,
        "verified": "digest" if artifact.sha256 else "signature",
        "signer": artifact.signer,
    }
    if not result["sha256"]:
        result.update(changed=True, fetch=origin(source))
        if not module.check_mode:
            partial = partial_path(artifact, dest)
            proof = bring(artifact, partial, options, mirror)
            # atomic_move gives a new file the mode that it would have been made with, and an old one its own
            module.atomic_move(partial, dest)
            result.update(sha256=proof.sha256)
    if os.path.exists(dest):
        result["size"] = os.path.getsize(dest)
        attributes = module.load_file_common_arguments(module.params, path=dest)
        result["changed"] = module.set_fs_attributes_if_different(attributes, result["changed"])
    return result


def main() -> None:
    """Look for the file, fetch what is not there."""
    module = AnsibleModule(
        argument_spec={
            "file": {"type": "dict", "required": True},
            "dest": {"type": "path", "required": True},
            "mirror": {"type": "str", "default": ""},
            "redirects": {"type": "dict", "default": {}},
            "timeout_s": {"type": "int", "default": 60},
            "attempts": {"type": "int", "default": 4},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    try:
        module.exit_json(**bring_to(module))
    except TrainingError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; fix: make it accessible to this user")


if __name__ == "__main__":
    main()
