"""What a folder with the vendors' sources lacks is said in a line each, before anything is built."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import catalogue, controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.real_sources import sources
from ansible_collections.awsome.distributed_training.tests.real_sources.sources import Source

HELD = Source("pyxis", "0.24.0", "https://example.com/a/v0.24.0.tar.gz", hashlib.sha256(b"right").hexdigest(), {})


def put(folder: Path, source: Source, data: bytes) -> Path:
    path = folder / source.place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_each_part_has_its_tests() -> None:
    files = {path.stem.removeprefix("test_") for path in (support.ROOT / "tests/real_sources").glob("test_*.py")}
    assert files == set(sources.PARTS)


def test_no_folder_is_named() -> None:
    (told,) = sources.problems("", [HELD])
    assert told.startswith("MIRROR names no folder; fix: make real-sources MIRROR=FOLDER")


def test_the_folder_is_not_there(tmp_path: Path) -> None:
    (told,) = sources.problems(f"{tmp_path}/none", [HELD])
    assert told == f"MIRROR={tmp_path}/none is no folder; fix: name the one that holds the sources"


def test_a_file_is_missing(tmp_path: Path) -> None:
    (told,) = sources.problems(str(tmp_path), [HELD])
    place = tmp_path / "example.com/a/v0.24.0.tar.gz"
    assert told == f"pyxis 0.24.0: there is no {place}; fix: put there the file of {HELD.url}"


def test_a_file_is_another(tmp_path: Path) -> None:
    path = put(tmp_path, HELD, b"wrong")
    (told,) = sources.problems(str(tmp_path), [HELD])
    assert told.startswith(f"{path} has sha256 {hashlib.sha256(b'wrong').hexdigest()}, not {HELD.stated}; fix: ")


def test_what_was_built_by_its_own_build_is_missing(tmp_path: Path) -> None:
    built = sources.FOLDERS["aws_ofi_nccl"]
    told = sources.problems(str(tmp_path), [], [built])
    assert [line.partition(";")[0] for line in told] == [
        f"there is no {tmp_path}/local/opt/amazon/efa/{file}" for file in built.files
    ]
    assert told[0].endswith("; fix: put there libfabric 1.22 or newer, built for Debian 12 and /opt/amazon/efa")


def test_all_is_there(tmp_path: Path) -> None:
    put(tmp_path, HELD, b"right")
    assert sources.problems(str(tmp_path), [HELD]) == []


def test_parts_are_chosen_by_name() -> None:
    assert sources.chosen("") == list(sources.PARTS)
    assert sources.chosen("pyxis,enroot") == ["enroot", "pyxis"]
    with pytest.raises(TrainingError, match="PARTS names 'pixis', which is no part"):
        sources.chosen("pixis")


def test_sources_are_the_catalogues(tmp_path: Path) -> None:
    found = {one.place for one in sources.sources(["pyxis"])}
    assert "github.com/NVIDIA/enroot/releases/download/v4.1.2/enroot+caps_4.1.2-1_amd64.deb" in found
    assert "github.com/NVIDIA/pyxis/archive/refs/tags/v0.24.0.tar.gz" in found
    assert len(found) == 3  # nothing of another architecture or system


def test_what_the_catalogue_states_no_digest_of_is_held_to_the_file_itself(tmp_path: Path) -> None:
    wanted = sources.sources(["pyxis"])
    for one in wanted:
        put(tmp_path, one, one.place.encode())
    made = sources.overrides(tmp_path, wanted)
    assert list(made["components"]) == ["enroot"]  # that of pyxis is stated

    document = catalogue.overridden(controller.read_catalogue("stack"), made, controller.schema("stack"))
    again = sources.sources(["enroot"], document)
    assert [one.stated for one in again] == [sources.digest(tmp_path / one.place) for one in again]
    assert [one.url for one in again] == [one.url for one in wanted if one.component == "enroot"]
