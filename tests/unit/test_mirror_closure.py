"""Versions in the order of dpkg and rpm, and the packages that belong together."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.mirror_closure import (
    closure,
    compare_deb,
    compare_rpm,
    newest_of,
    satisfies,
)
from ansible_collections.awsome.distributed_training.plugins.module_utils.repository import (
    Package,
    Relation,
    Repository,
)

DEB_ORDER = (
    "1.0~beta1~svn1245",
    "1.0~beta1",
    "1.0",
    "1.0-1~bpo12+1",
    "1.0-1",
    "1.0-1a",
    "1.0-1+b1",
    "1.0.1-1",
    "1.2",
    "1.10",
    "2.6.0amzn1.0",
    "64.0amzn0-1",
    "580.173.02-1ubuntu1",
    "1:0.1",
)
RPM_ORDER = (
    "1.0~rc1-1",
    "1.0-1",
    "1.0^git1-1",
    "1.0a-1",
    "1.0.1-1",
    "1.2-1.amzn2023",
    "1.2-2.amzn2023",
    "1.10-1",
    "580.173.02-1.amzn2023",
    "580.173.02-10.amzn2023",
    "3:1.0-1",
)


@pytest.mark.parametrize(("order", "compare"), [(DEB_ORDER, compare_deb), (RPM_ORDER, compare_rpm)])
def test_versions_stand_in_their_order(order, compare) -> None:  # type: ignore[no-untyped-def]
    for (at_one, one), (at_other, other) in itertools.product(enumerate(order), repeat=2):
        sign = (compare(one, other) > 0) - (compare(one, other) < 0)
        assert sign == (at_one > at_other) - (at_one < at_other), (one, other)


@pytest.mark.skipif(not shutil.which("dpkg"), reason="dpkg is missing; fix: run it on Debian")
def test_dpkg_says_the_same() -> None:
    for one, other in itertools.combinations(DEB_ORDER, 2):
        assert subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False).returncode == 0, (
            one,
            other,
        )


@pytest.mark.parametrize(("one", "other"), [("1.0", "1.0-0"), ("0:1.0", "1.0"), ("1.00", "1.0")])
def test_versions_that_are_the_same_to_dpkg(one: str, other: str) -> None:
    assert compare_deb(one, other) == 0


def test_without_a_release_rpm_looks_at_the_version_alone() -> None:
    assert compare_rpm("1.2-3", "1.2") == 0
    assert compare_rpm("1.3-3", "1.2") > 0


@pytest.mark.parametrize(
    ("version", "operator", "wanted", "holds"),
    [
        ("1.2-3", "=", "1.2-3", True),
        ("1.2-3", ">=", "1.2", True),
        ("1.2-3", ">>", "1.2-3", False),
        ("1.2-3", "<<", "1.2-4", True),
        ("1.2-3", "<=", "1.2-2", False),
        ("", ">=", "1", False),
        ("", "", "", True),
    ],
)
def test_a_relation_holds_or_does_not(version: str, operator: str, wanted: str, holds: bool) -> None:
    assert satisfies(version, Relation("x", operator, wanted), compare_deb) is holds


def package(name: str, version: str, *needs: str, provides: str = "", arch: str = "amd64") -> Package:
    """:param needs: ``name``, ``name=version`` or ``name|other``."""
    groups = []
    for need in needs:
        parts = [one.partition("=") for one in need.split("|")]
        groups.append(tuple(Relation(part[0], "=" if part[1] else "", part[2]) for part in parts))
    given = (Relation(name, "=", version), *((Relation(provides),) if provides else ()))
    return Package(name, version, arch, "0" * 64, 1, f"{name}_{version}", tuple(groups), given)


def names(packages: list[Package]) -> list[str]:
    return [f"{one.name}={one.version}" for one in packages]


REPOSITORY = [
    package("app", "2", "lib=2", "tool|other-tool", "libc6"),
    package("app", "1", "lib=1"),
    package("lib", "1"),
    package("lib", "2", "data"),
    package("lib", "3"),
    package("data", "1"),
    package("data", "9"),
    package("data", "10"),
    package("other-tool", "1", "app"),
    package("a-virtual", "1", provides="virtual"),
    package("wants-virtual", "1", "virtual"),
    package("unrelated", "1"),
]


def test_a_package_brings_what_it_needs_at_the_version_that_it_needs() -> None:
    found = closure([REPOSITORY[0]], REPOSITORY, compare_deb)
    # tool is not there, its alternative is; libc6 is the system's; of data the newest
    assert names(found) == ["app=2", "data=10", "lib=2", "other-tool=1"]


def test_what_was_asked_for_is_what_others_are_held_to() -> None:
    data = next(one for one in REPOSITORY if one.name == "data" and one.version == "1")
    assert "data=1" in names(closure([REPOSITORY[0], data], REPOSITORY, compare_deb))
    assert "data=10" not in names(closure([REPOSITORY[0], data], REPOSITORY, compare_deb))


def test_a_virtual_package_brings_one_that_provides_it() -> None:
    wants = next(one for one in REPOSITORY if one.name == "wants-virtual")
    assert names(closure([wants], REPOSITORY, compare_deb)) == ["a-virtual=1", "wants-virtual=1"]


def test_the_newest_that_fits_is_taken_and_what_is_not_there_is_refused() -> None:
    of = Repository("apt", "https://v.example", "/", (), "x86_64", "A" * 40, "https://v.example/key")
    assert names(newest_of(of, {"data": "1*"}, REPOSITORY)) == ["data=10"]
    with pytest.raises(TrainingError, match=r"data 11 is not in repository https://v\.example: it has 1, 10, 9"):
        newest_of(of, {"data": "11"}, REPOSITORY)
    with pytest.raises(TrainingError, match="lib 1 is not in"):
        newest_of(of, {"lib": "1"}, [package("lib", "1", arch="arm64")])
