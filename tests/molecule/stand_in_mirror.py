"""Mirrors of stand-ins for nodes in containers; each is made once, and kept in the cache by what went into it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.mirror import origins
from ansible_collections.awsome.distributed_training.tests.molecule.scenarios import REAL
from ansible_collections.awsome.distributed_training.tests.stand_ins import builder, deb, rpm
from ansible_collections.awsome.distributed_training.tests.stand_ins.package import RPM_SYSTEMS, made
from ansible_collections.awsome.distributed_training.tests.stand_ins.signing import Keyring

FORM = 1
"""Of what lies in the cache; to be raised when this file makes something else."""

CACHE = support.CACHE / "stand-in-mirrors"
ARCH = "x86_64"
OS_PACKAGES = "/srv/os-packages"
KEPT_DAYS = 7
INPUTS = (
    "data/stack.yml",
    "playbooks/mirror.yml",
    "plugins/action/mirror.py",
    "plugins/module_utils/artifact*.py",
    "plugins/module_utils/catalogue.py",
    "plugins/module_utils/mirror*.py",
    "plugins/module_utils/repository*.py",
    "roles/artifact/defaults/main.yml",
    "schemas/stack.schema.json",
    "tests/stand_ins/**/*",
)
"""Files that a mirror follows from."""


@dataclass(frozen=True)
class Mirror:
    """A mirror's folder, and the variables with which a play takes from it once it is mounted."""

    folder: Path
    overrides: Mapping[str, Any]
    signer: str

    def variables(self, mounted: str) -> dict[str, Any]:
        return {
            "stack_overrides": self.overrides,
            "artifact_mirror": mounted,
            "artifact_mirror_signer": self.signer,
        }


def digest(asked: Any, root: Path = support.ROOT) -> str:
    """Of all that a mirror follows from."""
    found = hashlib.sha256(json.dumps([FORM, asked], sort_keys=True).encode())
    for pattern in INPUTS:
        for path in sorted(root.glob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(f"\0{path.relative_to(root)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def mirror(systems: Iterable[str], versions: Mapping[str, str] | None = None) -> Mirror:
    """The mirror of the default stack for some systems.

    :param versions: components at versions other than the stack's.
    """
    asked, others = sorted(systems), dict(versions or {})
    folder = CACHE / digest({"systems": asked, "versions": others, "arch": ARCH})
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _make(folder, asked, others)
            (folder / "complete").touch()
            _forget()
        (folder / "complete").touch()
    known = json.loads((folder / "known.json").read_text())
    return Mirror(folder / "mirror", known["overrides"], known["signer"])


def _make(folder: Path, systems: Sequence[str], versions: Mapping[str, str]) -> None:
    """Build stand-ins, serve them, and let playbook mirror bring them."""
    document = controller.read_catalogue("stack")
    chosen: dict[str, Any] = {}
    if versions:
        chosen = {"stacks": {document["default"]: {"components": dict(versions)}}}
        document = catalogue.overridden(document, chosen, controller.schema("stack"))
    with origins.origin() as served, origins.keys() as keys:
        overrides = builder.build(
            folder / "served",
            document,
            None,
            systems,
            [ARCH],
            base_url=served.address,
        )
        served.serve_folder(folder / "served")
        overrides = {**chosen, **overrides}
        signer = keys.make("operator")
        given = {"os": list(systems), "mirror_signer": signer, "stack_overrides": overrides}
        (folder / "variables.json").write_text(json.dumps(given))
        environment = {"GNUPGHOME": str(keys.home), "ANSIBLE_LOCALHOST_WARNING": "false"}
        ran = support.play(
            ["-e", "@variables.json"], folder, environment, playbook=f"{support.COLLECTION}.mirror", timeout=900
        )
        if ran.returncode != 0:
            raise RuntimeError(f"playbook mirror: {ran.stdout}")
    shutil.rmtree(folder / "served")
    (folder / "known.json").write_text(json.dumps({"overrides": overrides, "signer": signer}))


def os_repository(system: str, packages: Mapping[str, str]) -> dict[str, Path]:
    """A repository of stand-ins for packages of an OS itself: what is to be mounted, by the path in a container.

    :param packages: their versions; ``@KERNEL@`` in a name becomes the running kernel.
    """
    kernel = platform.release()
    stated = {name.replace("@KERNEL@", kernel): str(version) for name, version in packages.items()}
    folder = CACHE / digest({"system": system, "os": stated, "arch": ARCH})
    folder.parent.mkdir(parents=True, exist_ok=True)
    rpms = system in RPM_SYSTEMS
    source = folder / f"stand-in-os.{'repo' if rpms else 'list'}"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "mirror").mkdir(parents=True)
            group = made(stated, "rpm" if rpms else "deb", ARCH)
            with Keyring() as keys:
                key = keys.key("the OS")
                if rpms:
                    rpm.repository(folder / "mirror", rpm.build(group, ARCH), key, {})
                    source.write_text(f"[stand-in-os]\nname=stand-in-os\nbaseurl=file://{OS_PACKAGES}\ngpgcheck=0\n")
                else:
                    suite = deb.Suite("./", ())
                    written = deb.repository(suite, {ARCH: group}, key, "the OS", datetime.now(timezone.utc))
                    for path, data in written.items():
                        (folder / "mirror" / path).write_bytes(data)
                    source.write_text(f"deb [trusted=yes] file:{OS_PACKAGES} ./\n")
            (folder / "complete").touch()
        (folder / "complete").touch()
    sources = "/etc/yum.repos.d" if rpms else "/etc/apt/sources.list.d"
    return {OS_PACKAGES: folder / "mirror", f"{sources}/{source.name}": source}


def os_packages(system: str, more: Mapping[str, str]) -> dict[str, str]:
    """What a container of a system has to offer beside what its own sources have."""
    known = yaml.safe_load((support.ROOT / "tests/molecule/os_packages.yml").read_text())
    found = {} if system in REAL else catalogued(system)
    return {**found, **known.get(system, {}), **more}


def catalogued(system: str) -> dict[str, str]:
    """The packages that the default stack takes from a system itself."""
    document = controller.read_catalogue("stack")
    found = {}
    for name in catalogue.chosen(document, None, system, ARCH):
        entry = catalogue.on_platform(catalogue.component(document, name, None, system), system, ARCH)
        for source in entry.get("system", []):
            found.update(source["packages"])
    return found


def _forget() -> None:
    """Remove mirrors that nobody used for some days."""
    for path in CACHE.glob("*/complete"):
        if time.time() - path.stat().st_mtime > KEPT_DAYS * 86400:
            shutil.rmtree(path.parent, ignore_errors=True)
