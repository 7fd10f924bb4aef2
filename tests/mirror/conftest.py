"""Keys that are made for the session, origins, and nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.mirror import containers, origins
from ansible_collections.awsome.distributed_training.tests.molecule import test_scenarios

LONG_AGO = "20200101T000000"
PROGRAMS = {
    "createrepo_c": "createrepo-c",
    "dnf": "dnf",
    "gpg": "gnupg",
    "gpgv": "gpgv",
    "modifyrepo_c": "createrepo-c",
    "rpmbuild": "rpm",
    "zstd": "zstd",
}
"""What these tests call, and the Debian package that has it."""


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """Skips where a program is missing and may not be installed."""
    reason = support.missing_programs(PROGRAMS)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def keys() -> Iterator[origins.Keys]:
    with origins.keys() as made:
        yield made


@pytest.fixture(scope="session")
def vendor(keys: origins.Keys) -> str:
    """Fingerprint of a vendor's key from long ago that never expires."""
    return keys.make("vendor", at=LONG_AGO)


@pytest.fixture(scope="session")
def stranger(keys: origins.Keys) -> str:
    return keys.make("stranger")


@pytest.fixture(scope="session")
def expired(keys: origins.Keys) -> str:
    return keys.make("expired", lasts="2d", at=LONG_AGO)


@pytest.fixture(scope="session")
def operator(keys: origins.Keys) -> str:
    """Fingerprint of the key that signs the mirror."""
    return keys.make("operator")


@pytest.fixture(scope="session")
def docker_here() -> None:
    """Skips where nodes cannot be made."""
    reason = test_scenarios.missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def ansible(docker_here: None, make_workplace: Callable[[str], Path]) -> containers.Ansible:
    return containers.ansible(make_workplace("mirror-ansible"))


@pytest.fixture(scope="session")
def bookworm(docker_here: None) -> str:
    """The image of Debian 12, which has gpgv."""
    return containers.debian("bookworm")


@pytest.fixture(scope="session")
def trixie(docker_here: None) -> str:
    """The image of Debian 13, which has sqv."""
    return containers.debian("trixie")


@pytest.fixture(scope="session")
def amazon(docker_here: None) -> str:
    """A Debian with dnf that calls itself Amazon Linux 2023."""
    return containers.amazon_stand_in()
