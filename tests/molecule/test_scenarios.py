"""The roles of a node, on real systems: each scenario of molecule/ from a bare Debian 12 and 13 to its verification.

A scenario runs the role in check mode on the bare node, applies it, applies it again without a change, and verifies.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support

SUITES = {"ADT_MOLECULE_DEBIAN_12": "bookworm", "ADT_MOLECULE_DEBIAN_13": "trixie"}
STEPS = ("syntax", "create", "check", "converge", "idempotence", "verify", "destroy")


def missing() -> str | None:
    """Why this machine cannot run the scenarios; None if it can. Installs what builds images where that is allowed."""
    if os.geteuid() != 0:
        return "only root can build the images"
    reason = support.missing_programs({"docker": "docker.io", "mmdebstrap": "mmdebstrap"})
    if reason:
        return reason
    if support.run(["docker", "info"], support.ROOT).returncode != 0:
        return "Docker does not run; fix: start dockerd"
    return None


@pytest.fixture(scope="session")
def images() -> dict[str, str | None]:
    """The image of each Debian, by the variable in which molecule/base.yml reads it."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    words: list[str | Path] = [sys.executable, support.ROOT / "molecule/base_image.py", *SUITES.values()]
    names = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return dict(zip(SUITES, names, strict=True))


@pytest.mark.parametrize("role", ["munge", "slurm"])
def test_role_on_both_debians(
    role: str, images: dict[str, str | None], workplace: Path, kept_prefix: str | None
) -> None:
    tools = support.environment(support.ROOT / "requirements/molecule.lock")
    variables = {
        **images,
        **support.linked_collection(workplace / "collections"),
        "PATH": f"{tools}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(tools.parent),
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        "NO_COLOR": "1",
        "ANSIBLE_HOME": str(workplace / "ansible"),
    }
    kept = [] if kept_prefix is None else ["--destroy=never"]
    words = [tools / "molecule", "--base-config", "molecule/base.yml", "test", "--scenario-name", role, *kept]
    ran = support.run(words, support.ROOT, variables, timeout=1800)
    print(ran.stdout)
    assert ran.returncode == 0
    for step in STEPS if kept_prefix is None else STEPS[:-1]:
        assert f"{role} > {step}: Executed: Successful" in ran.stdout
