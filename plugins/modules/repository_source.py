#!/usr/bin/python
# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Module repository_source."""

from __future__ import annotations

DOCUMENTATION = r"""
module: repository_source
short_description: Give a node package repositories of the version catalogue, with their keys pinned by fingerprint
version_added: 0.2.0
description:
  - Fetches key and signed index first, and holds the key to the pinned fingerprint, the index to the key, and the
    packages that are asked for to the index. What is refused leaves the node as it was.
  - Then writes the key, a deb822 source or a file of yum.repos.d, and what holds the packages at their versions;
    reads the package lists of these repositories alone. The package manager reads each in a folder of its own before.
  - Of what one of our other components uses together with this one, only the preferences are its own.
options:
  components:
    description:
      - The components whose packages they are, as lookup P(awsome.distributed_training.stack#lookup) gives them, with
        C(name), C(version) and C(repositories), of which the first is taken.
      - O(mirror) takes the place of its addresses.
    type: list
    elements: dict
    required: true
  kind:
    description: Of which package manager.
    type: str
    choices: [apt, dnf]
    required: true
  arch:
    description: The node's architecture.
    type: str
    choices: [x86_64, aarch64]
    required: true
  hold:
    description: Whether the packages are held at their versions. On dnf that needs its plugin versionlock.
    type: bool
    default: true
  mirror:
    description: A folder on the node or an http address that takes the place of every origin.
    type: str
    default: ''
  mirror_signer:
    description: Full fingerprint of the key that signs what the mirror has; needed with O(mirror).
    type: str
    default: ''
  redirects:
    description: Hosts, and for each the other hosts that it may redirect to.
    type: dict
    default: {}
  state:
    description: With V(absent) source, key and preferences are taken away, packages stay.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode: {support: full, description: Reads key and index, and says which files would be written.}
author: The awsome.distributed_training authors
"""

EXAMPLES = r"""
- name: Add the repository of the container toolkit
  awsome.distributed_training.repository_source:
    components: "{{ [lookup('awsome.distributed_training.stack', 'nvidia_container_toolkit')] }}"
    kind: apt
    arch: x86_64
"""

RETURN = r"""
files:
  description: Files that were, or in check mode would be, written or removed.
  returned: always
  type: list
  elements: str
names:
  description: The repositories' names on the node.
  returned: always
  type: list
  elements: str
packages:
  description:
    - Packages as the signed index has them, in the form of M(awsome.distributed_training.manifest_entry); in C(signer)
      the fingerprint that the index was held to.
  returned: when state is V(present)
  type: list
  elements: dict
needed:
  description:
    - Packages of the same repository that those need, in the same form; C(shown) is how the node shows one that it has.
  returned: when state is V(present)
  type: list
  elements: dict
installed:
  description: Whether the node has all of RV(packages).
  returned: when state is V(present)
  type: bool
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.awsome.distributed_training.plugins.module_utils import (
    artifact_openpgp,
    node_packages,
    repository_index,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact import joined, mirrored, origin
from ansible_collections.awsome.distributed_training.plugins.module_utils.artifact_download import Options, fetch_bytes
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.mirror_closure import (
    COMPARE,
    closure,
    newest_of,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import (
    NodeFile,
    Package,
    Repository,
    architectures_of,
    name_of,
    node_files,
    read_repository,
    version_locks,
)

ROOT = "/"
LOCKS = "/etc/dnf/plugins/versionlock.list"
PREFERENCES = "/etc/apt/preferences.d/"
"""What holds packages there is no matter of a repository's lists."""


@dataclass(frozen=True)
class Source:
    """What one component asks for, verified.

    :param files: what the node gets for it, but for dnf's list of locks, which is shared with others.
    :param held: package, and the version that it is held at.
    :param found: the component's packages; ``needed`` what they need of the same repository.
    """

    component: str
    version: str
    repository: Repository
    name: str
    signer: str
    base: str
    files: list[NodeFile]
    held: dict[str, str]
    found: list[Package] = field(default_factory=list)
    needed: list[Package] = field(default_factory=list)


def lock_file(sources: list[Source], kind: str) -> list[NodeFile]:
    """dnf's list of held packages. Nothing for apt."""
    if kind != "dnf":
        return []
    held = [name for source in sources for name in source.held]
    if held and not os.path.exists(under_root("/etc/dnf/plugins/versionlock.conf")):
        raise TrainingError(
            f"dnf has no plugin versionlock, which holds {', '.join(held)}",
            "dnf install 'dnf-command(versionlock)', or repository_hold: false",
        )
    before = after = (content_of(LOCKS) or b"").decode()
    for source in sources:
        after = version_locks(after, source.component, source.held)
    return [NodeFile(LOCKS, after.encode())] if after != before else []


def under_root(path: str) -> str:
    """A path of the node."""
    return os.path.join(ROOT, path.lstrip("/"))


def content_of(path: str) -> bytes | None:
    """A file's content; None where it is not there."""
    if not os.path.exists(under_root(path)):
        return None
    with open(under_root(path), "rb") as file:
        return file.read()


def put(file: NodeFile, root: str = "") -> None:
    """Write a file in one step, or remove it."""
    path = os.path.join(root, file.path.lstrip("/")) if root else under_root(file.path)
    if file.content is None:
        if os.path.exists(path):
            os.unlink(path)
        return
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    handle, new = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".adt-")
    with os.fdopen(handle, "wb") as opened:
        opened.write(file.content)
        os.fchmod(opened.fileno(), 0o644)
    os.replace(new, path)


def refresh(kind: str, name: str, root: str = "") -> None:
    """Read the package lists of one repository.

    :param root: a folder that has the repository's files and takes the lists, in place of the node's own.
    """
    if kind == "apt":
        words = ["apt-get", "update", "-o", "Dir::Etc::sourceparts=-", "-o", "APT::Get::List-Cleanup=0"]
        words += ["-o", f"Dir::Etc::sourcelist={root}/etc/apt/sources.list.d/{name}.sources"]
        words += ["-o", "APT::Update::Error-Mode=any"]
        if root:
            words += ["-o", f"Dir::State::lists={root}/lists", "-o", f"Dir::Cache={root}/cache"]
    else:
        words = ["dnf", "makecache", "--refresh", "--assumeyes", "--disablerepo=*", f"--enablerepo={name}"]
        if root:
            words += [f"--setopt=reposdir={root}/etc/yum.repos.d", f"--setopt=cachedir={root}/cache"]
            words += [f"--setopt=persistdir={root}/state", f"--setopt=logdir={root}"]
    if not shutil.which(words[0]):
        raise TrainingError(f"{words[0]} is not on the PATH", "use a node that has that package manager")
    env = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    ran = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=env)
    if ran.returncode:
        said = [line.strip() for line in ran.stderr.splitlines() if line.startswith(("E: ", "Error: "))]
        first = (said or ran.stderr.splitlines() or ["it says nothing"])[0]
        raise TrainingError(
            f"{words[0]} does not read repository {name}: {first}", "nothing was changed; see what it says"
        )


def try_out(files: list[NodeFile], kind: str, name: str) -> None:
    """Let the package manager read the repository in a folder of its own, before the node has it."""
    with tempfile.TemporaryDirectory(prefix="adt-repository-") as root:
        os.chmod(root, 0o755)  # apt reads as a user of its own
        for folder in ("lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(root, folder))
        for file in files:
            if file.content is not None:
                # paths of keys, which lie in the folder too
                moved = file.content.replace(b"/etc/", f"{root}/etc/".encode())
                put(NodeFile(file.path, file.content if file.path.endswith((".gpg", ".asc")) else moved), root)
        refresh(kind, name, root)


def known(kind: str, packages: list[Package]) -> bool:
    """Whether the package manager's lists have all of these versions."""
    if kind == "apt":
        words = ["apt-cache", "show", "--no-all-versions", *(f"{one.name}={one.version}" for one in packages)]
    else:
        words = ["rpm", "--query", *(f"{one.name}-{one.version.rpartition(':')[2]}" for one in packages)]
    ran = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if kind != "apt":
        return ran.returncode == 0
    # of what it does not know it says nothing
    shown = [line.partition(": ")[2] for line in ran.stdout.splitlines() if line.startswith("Package: ")]
    return {one.name for one in packages} <= set(shown)


def write(files: list[NodeFile], kind: str, read: list[str]) -> None:
    """Write files and read the lists of some repositories; where anything fails the files are as before."""
    before = [NodeFile(file.path, content_of(file.path)) for file in files]
    try:
        for file in files:
            put(file)
        for name in read:
            refresh(kind, name)
    except (TrainingError, OSError):
        for file in before:
            put(file)
        raise


def described(one: Package, source: Source, mirror: str) -> dict[str, str]:
    """A package as the manifest has it."""
    return {
        "component": source.component,
        "version": source.version,
        "package": one.name,
        "package_version": one.version,
        "arch": one.arch,
        "sha256": one.sha256,
        "origin": origin(joined(source.repository.base, one.path)),
        "source": origin(joined(source.base, one.path)) if mirror else "",
        "verified": "signed index",
        "signer": source.signer,
    }


def shown(one: Package, kind: str) -> str:
    """How a node shows a package that it has: ``ii name version`` (dpkg), ``name version`` without an epoch (rpm)."""
    return f"ii {one.name} {one.version}" if kind == "apt" else f"{one.name} {one.version.rpartition(':')[2]}"


def verified(component: Mapping[str, Any], asked: Mapping[str, Any]) -> Source:
    """Key, index and packages of a component, each held to what is pinned.

    :param asked: the module's arguments.
    """
    options = Options(asked["redirects"])
    entry: Mapping[str, Any] = next(iter(component.get("repositories") or []), {})
    if not (entry.get("base") or {}).get("url"):
        raise TrainingError("the repository has no base.url", "give an entry of repositories of the catalogue")
    name, version = str(component["name"]), str(component["version"])
    repository = read_repository(entry, asked["kind"], asked["arch"])
    wanted = dict(entry.get("packages") or {})
    called, present = name_of(repository), asked["state"] == "present"
    if not present:
        files = node_files(repository, repository.base, [], name, {}, present)
        return Source(name, version, repository, called, repository.signer, repository.base, files, {})
    source = repository_index.source_of(repository, asked["mirror"], asked["mirror_signer"])
    index = repository_index.read_index(repository, source, options)
    keys = [index.key]
    if asked["kind"] == "dnf" and asked["mirror"]:
        address = mirrored(repository.key, asked["mirror"])
        keys.append(artifact_openpgp.pinned_key(fetch_bytes(address, options), repository.signer, origin(address)))
    found: list[Package] = []
    needed: list[Package] = []
    if wanted:
        parts = repository_index.read_packages(repository, index, options)
        usable = [one for part in parts.values() for one in part if one.arch in architectures_of(repository)]
        found = newest_of(repository, wanted, usable)
        needed = [one for one in closure(found, usable, COMPARE[repository.kind]) if one not in found]
    held = {one.name: wanted[one.name] if asked["kind"] == "apt" else one.version for one in found if asked["hold"]}
    files = node_files(repository, source.base, keys, name, held, present)
    return Source(name, version, repository, called, source.signer, source.base, files, held, found, needed)


def give(module: AnsibleModule) -> dict[str, Any]:
    """What main returns."""
    asked, kind = module.params, module.params["kind"]
    if ROOT == "/" and os.geteuid() != 0:
        raise TrainingError(f"repository: the role acts as uid {os.geteuid()}, but needs root", "become: true")
    sources = [verified(one, asked) for one in asked["components"]]
    files = {file.path: file for file in [*(file for one in sources for file in one.files), *lock_file(sources, kind)]}
    changed = [file for path, file in files.items() if content_of(path) != file.content]
    result = {
        "changed": bool(changed),
        "files": [file.path for file in changed],
        "names": sorted({one.name for one in sources}),
    }
    if asked["state"] == "absent":
        if not module.check_mode:
            write(changed, kind, [])
        return result
    there = node_packages.shown(kind)
    lacks = [(source.name, one) for source in sources for one in source.found if shown(one, kind) not in there]
    if not module.check_mode:
        # several components may take from one repository, of which all say the same
        apart = {source.name: source.files for source in sources}
        new = [
            name
            for name, its in apart.items()
            if any(file in changed and not file.path.startswith(PREFERENCES) for file in its)
        ]
        for name in new:
            try_out(apart[name], kind, name)
        wanted = {name: [one for where, one in lacks if where == name] for name in apart if name not in new}
        stale = [name for name, packages in wanted.items() if packages and not known(kind, packages)]
        write(changed, kind, [*new, *stale])
    return {
        **result,
        "installed": not lacks,
        "packages": [described(one, source, asked["mirror"]) for source in sources for one in source.found],
        "needed": [
            {**described(one, source, asked["mirror"]), "brought": True, "shown": shown(one, kind)}
            for source in sources
            for one in source.needed
        ],
    }


def main() -> None:
    """Verify, then write."""
    module = AnsibleModule(
        argument_spec={
            "components": {"type": "list", "elements": "dict", "required": True},
            "kind": {"type": "str", "choices": ["apt", "dnf"], "required": True},
            "arch": {"type": "str", "choices": ["x86_64", "aarch64"], "required": True},
            "hold": {"type": "bool", "default": True},
            "mirror": {"type": "str", "default": ""},
            "mirror_signer": {"type": "str", "default": ""},
            "redirects": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**give(module))
    except TrainingError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; fix: make it accessible to this user")


if __name__ == "__main__":
    main()
