"""The roles of a node, in containers: each scenario of molecule/ from bare systems to its verification and beyond.

A scenario runs its roles in check mode on the bare nodes, applies them, applies them again without a change, and
verifies; then it breaks what they made, and meets them with another version. SYSTEMS=debian12 takes some systems alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.molecule import scenarios
from ansible_collections.awsome.distributed_training.tests.molecule.harness import Run

PROGRAMS = {
    "createrepo_c": "createrepo-c",
    "docker": "docker.io",
    "gpg": "gnupg",
    "gpgv": "gpgv",
    "mmdebstrap": "mmdebstrap",
    "modifyrepo_c": "createrepo-c",
    "rpmbuild": "rpm",
    "zstd": "zstd",
}
"""What makes images, stand-ins and mirrors, and the Debian package that has it."""


def missing() -> str | None:
    """Why this machine cannot run the scenarios; None if it can. Installs what builds images where that is allowed."""
    if os.geteuid() != 0:
        return "only root can build the images"
    reason = support.missing_programs(PROGRAMS)
    if reason:
        return reason
    if support.run(["docker", "info"], support.ROOT).returncode != 0:
        return "Docker does not run; fix: start dockerd"
    return None


@pytest.mark.parametrize("name", scenarios.names())
def test_scenario(name: str, workplace: Path, kept_prefix: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    reason = missing()
    if reason:
        pytest.skip(reason)
    scenario = scenarios.read(name)
    asked = os.environ.get("SYSTEMS", "").replace(",", " ").split()
    systems = [system for system in scenario.systems if not asked or system in asked]
    if not systems:
        pytest.skip(f"scenario {name} has none of {', '.join(asked)}")
    outcome = Run(scenario, systems, workplace, kept_prefix is not None).whole()
    print(outcome.output)
    with capsys.disabled():
        print("\n".join(["", *outcome.lines]))
    if outcome.problem:
        pytest.fail(f"{outcome.problem}; fix: read {outcome.log}", pytrace=False)
