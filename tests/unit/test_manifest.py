"""The manifest of a node: entries merged, kept as they are, and in the form of the schema."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import manifest, node_packages
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.jsonschema_subset import validate
from ansible_collections.awsome.distributed_training.plugins.modules import manifest_entry
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.unit import module_call

FILE = {
    "component": "efa",
    "version": "1.50.0",
    "origin": "https://v.example/efa.tar.gz",
    "source": "",
    "sha256": "a" * 64,
    "verified": "digest",
    "signer": "",
    "overridden": False,
    "path": "/usr/local/src/efa.tar.gz",
}
PACKAGE = {
    "component": "dcgm",
    "version": "4.7.0",
    "origin": "https://v.example/dcgm.deb",
    "sha256": "b" * 64,
    "verified": "signed index",
    "signer": "A" * 40,
    "overridden": True,
    "package": "datacenter-gpu-manager-4-core",
    "package_version": "1:4.7.0-1",
    "arch": "amd64",
}
EARLY, LATE = "2026-11-25T08:00:00Z", "2026-11-26T08:00:00Z"
EMPTY: dict[str, Any] = manifest.read("", "manifest")


def problems(document: Any) -> list[str]:
    schema = json.loads((support.ROOT / "schemas/manifest.schema.json").read_text())
    return [str(problem) for problem in validate(document, schema, "manifest")]


def test_entries_are_ordered_and_have_the_form_of_the_schema() -> None:
    document = manifest.merged(EMPTY, [FILE, PACKAGE], EARLY)
    assert [entry["component"] for entry in document["entries"]] == ["dcgm", "efa"]
    assert problems(document) == []
    assert "source" not in document["entries"][1]
    assert "overridden" not in document["entries"][1]


@pytest.mark.parametrize("lost", ["component", "version", "origin", "sha256", "verified", "path"])
def test_the_schema_refuses_an_entry_that_says_less(lost: str) -> None:
    document = manifest.merged(EMPTY, [FILE], EARLY)
    del document["entries"][0][lost]
    assert problems(document)


def test_the_same_again_keeps_its_time_and_its_bytes() -> None:
    first = manifest.merged(EMPTY, [FILE, PACKAGE], EARLY)
    again = manifest.merged(first, [PACKAGE, FILE], LATE)
    assert manifest.written(again) == manifest.written(first)


def test_what_changed_takes_the_place_of_what_was_there() -> None:
    first = manifest.merged(EMPTY, [FILE, PACKAGE], EARLY)
    newer = {**FILE, "version": "1.51.0", "sha256": "c" * 64}
    document = manifest.merged(first, [newer], LATE)
    assert [(entry["version"], entry["time"]) for entry in document["entries"]] == [("4.7.0", EARLY), ("1.51.0", LATE)]


def test_what_was_only_brought_along_stays_with_the_component_that_asked_for_it() -> None:
    asked = manifest.merged(EMPTY, [PACKAGE], EARLY)
    along = {**PACKAGE, "component": "other", "version": "1", "brought": True}
    assert manifest.merged(asked, [along], LATE) == asked
    newer = manifest.merged(asked, [{**along, "sha256": "c" * 64}], LATE)
    assert [(entry["component"], entry["time"]) for entry in newer["entries"]] == [("other", LATE)]
    assert problems(newer) == []
    first = manifest.merged(EMPTY, [along], EARLY)
    assert [entry["component"] for entry in first["entries"]] == ["other"]
    assert [entry["component"] for entry in manifest.merged(first, [PACKAGE], LATE)["entries"]] == ["dcgm"]


def test_packages_of_two_architectures_are_two_entries() -> None:
    document = manifest.merged(EMPTY, [PACKAGE, {**PACKAGE, "arch": "arm64"}], EARLY)
    assert len(document["entries"]) == 2


def test_an_entry_is_taken_away_by_its_path_or_package() -> None:
    document = manifest.merged(EMPTY, [FILE, PACKAGE], EARLY)
    assert manifest.merged(document, [{"component": "efa", "path": FILE["path"]}], LATE, absent=True)["entries"] == [
        document["entries"][0]
    ]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema": 2, "entries": []}', '{"schema": 1, "entries": {}}', '{"schema": 1, "entries": [1]}']
)
def test_a_file_that_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(TrainingError, match=r"^/m\.json is no .*; fix: move the file away"):
        manifest.read(text, "/m.json")


def test_an_entry_of_nothing_is_refused() -> None:
    with pytest.raises(TrainingError, match="an entry of 'efa' names neither path nor package"):
        manifest.merged(EMPTY, [{"component": "efa"}], EARLY)


def test_the_module_writes_for_everybody_to_read_and_only_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "made/manifest.json"
    asked: dict[str, Any] = {"entries": [FILE], "path": str(path)}
    assert module_call.call(manifest_entry, check_mode=True, **asked)["changed"] is True
    assert not path.parent.exists()
    before = os.umask(0o077)
    try:
        assert module_call.call(manifest_entry, **asked) == {"changed": True, "path": str(path)}
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644
    written = path.stat().st_mtime_ns
    assert module_call.call(manifest_entry, **asked)["changed"] is False
    assert path.stat().st_mtime_ns == written
    assert module_call.call(manifest_entry, **asked, state="absent")["changed"] is True
    assert json.loads(path.read_text())["entries"] == []


def test_the_module_notes_what_came_along_only_where_the_node_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "manifest.json"
    monkeypatch.setattr(node_packages, "shown", lambda kind: {"ii there 1"} if kind == "apt" else set())
    along = [{**PACKAGE, "package": name, "brought": True, "shown": f"ii {name} 1"} for name in ("there", "absent")]
    module_call.call(manifest_entry, entries=[PACKAGE, *along], path=str(path))
    document = json.loads(path.read_text())
    assert problems(document) == []
    assert sorted(entry["package"] for entry in document["entries"]) == sorted([str(PACKAGE["package"]), "there"])


def test_the_module_does_not_make_a_manifest_to_take_something_away(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    assert module_call.call(manifest_entry, entries=[FILE], path=str(path), state="absent")["changed"] is False
    assert not path.exists()


def test_the_module_refuses_a_broken_manifest_in_one_line_and_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text("{")
    answer = module_call.call(manifest_entry, entries=[FILE], path=str(path))
    assert answer["failed"]
    assert answer["msg"].startswith(f"{path} is no JSON")
    assert path.read_text() == "{"
