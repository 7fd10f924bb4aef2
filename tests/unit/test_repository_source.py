"""Module repository_source in a folder that stands for a node; the package manager itself is tried in tests/mirror."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import node_packages
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.modules import repository_source
from ansible_collections.awsome.distributed_training.tests.mirror import origins, repositories
from ansible_collections.awsome.distributed_training.tests.unit import module_call

pytestmark = pytest.mark.skipif(
    not (shutil.which("gpg") and shutil.which("gpgv")), reason="gpg or gpgv is missing; fix: apt-get install gnupg gpgv"
)


@pytest.fixture(scope="module")
def keys() -> Iterator[origins.Keys]:
    with origins.keys() as made:
        yield made


@pytest.fixture(scope="module")
def vendor(keys: origins.Keys) -> str:
    return keys.make("vendor")


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The node's root; its package manager takes every repository and knows every package."""
    monkeypatch.setattr(repository_source, "ROOT", str(tmp_path))
    monkeypatch.setattr(repository_source, "refresh", lambda kind, name, root="": None)
    monkeypatch.setattr(repository_source, "known", lambda kind, packages: True)
    monkeypatch.setattr(node_packages, "shown", lambda kind: set())
    return tmp_path


@pytest.fixture
def served() -> Iterator[origins.Origin]:
    with origins.origin() as made:
        yield made


@pytest.fixture
def asked(served: origins.Origin, keys: origins.Keys, vendor: str) -> dict[str, Any]:
    entry = repositories.serve(served, keys, "repo", vendor)
    return {"components": [component("tool", entry)], "kind": "apt", "arch": "x86_64"}


def component(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "1", "repositories": [entry]}


def files(node: Path) -> dict[str, bytes]:
    return {str(path.relative_to(node)): path.read_bytes() for path in node.rglob("*") if path.is_file()}


def test_it_is_added_once_and_taken_away(node: Path, asked: dict[str, Any], vendor: str) -> None:
    would = module_call.call(repository_source, check_mode=True, **asked)
    assert (would["changed"], files(node)) == (True, {})
    added = module_call.call(repository_source, **asked)
    name = "adt-127-0-0-1-repo"
    assert sorted(files(node)) == [
        f"etc/apt/keyrings/{name}.gpg",
        "etc/apt/preferences.d/adt-tool.pref",
        f"etc/apt/sources.list.d/{name}.sources",
    ]
    assert added["files"] == would["files"]
    (package,) = added["packages"]
    assert (package["signer"], package["package_version"]) == (vendor, repositories.VERSION)
    assert module_call.call(repository_source, **asked)["changed"] is False
    assert module_call.call(repository_source, **asked, hold=False)["files"] == ["/etc/apt/preferences.d/adt-tool.pref"]
    assert module_call.call(repository_source, **asked, state="absent")["changed"] is True
    assert files(node) == {}
    assert module_call.call(repository_source, **asked, state="absent")["changed"] is False


def test_what_the_package_manager_does_not_take_changes_nothing(
    node: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def refuse(kind: str, name: str, root: str = "") -> None:
        tried.append(root)
        if bool(root) is at_trial:
            raise TrainingError("apt-get does not read it", "x")

    monkeypatch.setattr(repository_source, "refresh", refuse)
    keyring = node / "etc/apt/keyrings/adt-127-0-0-1-repo.gpg"
    keyring.parent.mkdir(parents=True)
    keyring.write_bytes(b"an older key")
    before = files(node)
    for at_trial in (True, False):  # in a folder of its own; and, where that went well, on the node
        tried.clear()
        answer = module_call.call(repository_source, **asked)
        assert answer["msg"] == "apt-get does not read it; fix: x"
        assert [bool(root) for root in tried] == ([True] if at_trial else [True, False])
        assert files(node) == before


def test_lists_that_do_not_know_a_package_yet_are_read_again(
    node: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    module_call.call(repository_source, **asked)
    read: list[str] = []
    monkeypatch.setattr(repository_source, "known", lambda kind, packages: False)
    monkeypatch.setattr(repository_source, "refresh", lambda kind, name, root="": read.append(name))
    assert module_call.call(repository_source, **asked)["changed"] is False
    assert read == ["adt-127-0-0-1-repo"]


def test_two_components_of_one_repository_are_one_source_and_each_its_own_hold(
    node: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(repository_source, "refresh", lambda kind, name, root="": read.append(root and "trial" or name))
    first = asked["components"][0]
    both = [first, {**first, "name": "other"}]
    added = module_call.call(repository_source, **{**asked, "components": both})
    assert read == ["trial", added["names"][0]]
    assert sorted(path.name for path in (node / "etc/apt/preferences.d").iterdir()) == [
        "adt-other.pref",
        "adt-tool.pref",
    ]
    assert [one["component"] for one in added["packages"]] == ["tool", "other"]


def test_a_hold_alone_asks_nothing_of_the_package_manager(
    node: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    module_call.call(repository_source, **asked)
    (node / "etc/apt/preferences.d/adt-tool.pref").unlink()

    def refuse(kind: str, name: str, root: str = "") -> None:
        raise TrainingError("its lists were read", "x")

    monkeypatch.setattr(repository_source, "refresh", refuse)
    assert module_call.call(repository_source, **asked)["files"] == ["/etc/apt/preferences.d/adt-tool.pref"]


def test_it_says_whether_the_node_has_the_packages(
    node: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module_call.call(repository_source, **asked)["installed"] is False
    monkeypatch.setattr(node_packages, "shown", lambda kind: {f"ii {repositories.NAME} {repositories.VERSION}"})
    monkeypatch.setattr(repository_source, "known", lambda kind, packages: pytest.fail("its lists were asked"))
    assert module_call.call(repository_source, **asked)["installed"] is True


def test_a_part_of_the_index_is_held_to_the_signed_one(
    node: Path, asked: dict[str, Any], served: origins.Origin
) -> None:
    served.files["repo/Packages"] = repositories.flipped(served.files["repo/Packages"], 9)
    answer = module_call.call(repository_source, **asked)
    assert answer["msg"].startswith(f"{served.url('repo/Packages')} has sha256 ")
    assert files(node) == {}


def test_an_entry_without_an_address_is_refused(node: Path) -> None:
    answer = module_call.call(repository_source, components=[component("tool", {})], kind="apt", arch="x86_64")
    assert answer["msg"] == "the repository has no base.url; fix: give an entry of repositories of the catalogue"
