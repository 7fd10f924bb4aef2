"""Commands that building takes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

PACKAGES = {
    "createrepo_c": "createrepo-c",
    "gpg": "gnupg",
    "gpgconf": "gnupg",
    "modifyrepo_c": "createrepo-c",
    "rpmbuild": "rpm",
    "rpmsign": "rpm",
}
"""Command, and the Debian package that has it."""


def require(*names: str) -> None:
    """Refuse where a command is missing, before anything is written."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES[name] for name in missing}))
        verb = "is" if len(missing) == 1 else "are"
        raise TrainingError(f"{', '.join(missing)} {verb} missing", f"apt-get install {packages}")


def call(words: Sequence[object], given: bytes = b"") -> bytes:
    """What a command prints.

    :param given: its standard input.
    """
    command = [str(word) for word in words]
    ran = subprocess.run(command, input=given, capture_output=True, check=False)
    if ran.returncode:
        said = (ran.stdout + b"\n" + ran.stderr).decode(errors="replace").strip().splitlines()
        raise TrainingError(
            f"{command[0]} ended with status {ran.returncode}: {said[-1] if said else 'it said nothing'}"
        )
    return ran.stdout
