# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""What only the controller does: read YAML, hold data to schemas, and find cases and launchers."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def read(path: Path, text: str) -> Any:
    path.write_text(text)
    return controller.read_yaml(str(path))


def test_on_off_yes_and_no_are_words(tmp_path: Path) -> None:
    document = read(tmp_path / "a.yml", "{on: one, recompute: off, a: yes, b: no, c: true, d: False}")
    assert document == {"on": "one", "recompute": "off", "a": "yes", "b": "no", "c": True, "d": False}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: [1\n", "a.yml, line 2: not YAML"),
        ("a: b: c\n", "a.yml, line 1: not YAML"),
        ("a: 2026-13-45\n", "a.yml: not YAML"),
    ],
)
def test_a_syntax_error_is_told_with_its_line(tmp_path: Path, text: str, where: str) -> None:
    with pytest.raises(TrainingError, match=rf"{where}: .*; fix: mend the file's syntax$"):
        read(tmp_path / "a.yml", text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrainingError, match="not YAML"):
        controller.read_yaml(str(tmp_path / "a.yml"))


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"a\.yml: No such file or directory; fix: "):
        controller.read_yaml(str(tmp_path / "a.yml"))


def test_a_templated_value_becomes_plain() -> None:
    class Marked(str):
        """What Ansible's templating returns."""

    plain = controller.plain({Marked("a"): [Marked("b"), (1, None)]})
    assert plain == {"a": ["b", [1, None]]}
    assert [type(word) for word in (*plain, plain["a"][0])] == [str, str]


def test_every_shipped_case_has_a_name_of_its_own() -> None:
    assert {"fsdp", "ddp", "jax"} <= set(controller.known_cases())


def test_a_case_is_loaded_by_its_name_from_anywhere(tmp_path: Path) -> None:
    case = controller.load_case("fsdp", str(tmp_path))
    assert Path(case["path"]) == Path(controller.ROOT) / "test_cases/pytorch/fsdp"


@pytest.mark.parametrize("name", ["./mine", "../here/mine", "{base}/mine"])
def test_a_case_is_loaded_by_the_path_of_its_folder(tmp_path: Path, name: str) -> None:
    here = tmp_path / "here"
    (here / "mine").mkdir(parents=True)
    (here / "mine/case.yml").write_text(
        "{schema: 1, name: mine, summary: Mine., framework: own, accelerators: [cpu], metrics: {source: adt},\n"
        " steps: [{name: train, start: single, run: [python, train.py]}]}"
    )
    case = controller.load_case(name.format(base=here), str(here))
    assert (case["name"], case["path"]) == ("mine", str(here / "mine"))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (None, "case is not given; fix: -e case=NAME; known: "),
        ("fspd", "case=fspd is not known; fix: did you mean fsdp"),
        ("./none", "case=./none: {base}/none holds no case.yml; fix: "),
    ],
)
def test_a_case_that_is_not_there_is_refused(tmp_path: Path, name: str | None, problem: str) -> None:
    with pytest.raises(TrainingError) as refused:
        controller.load_case(name, str(tmp_path))
    assert str(refused.value).startswith(problem.format(base=tmp_path))


def test_an_unknown_launcher_is_refused_with_the_nearest() -> None:
    with pytest.raises(TrainingError, match=r"^launcher=kubernets is not known; fix: did you mean kubernetes\?"):
        controller.load_launcher("kubernets")


def test_a_launcher_is_held_to_its_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "schemas").symlink_to(Path(controller.ROOT) / "schemas")
    (tmp_path / "data/launchers").mkdir(parents=True)
    local = (Path(controller.ROOT) / "data/launchers/local.yml").read_text()
    (tmp_path / "data/launchers/local.yml").write_text(local.replace("submits: true", "submits: perhaps"))
    monkeypatch.setattr(controller, "ROOT", str(tmp_path))
    with pytest.raises(TrainingError, match=r"local\.yml: key submits: 'perhaps' is not of type boolean"):
        controller.load_launcher("local")


def test_a_changed_folder_is_told_by_its_revision(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "first")
    clean = controller.revision(str(tmp_path))
    (tmp_path / "a").write_text("2")
    assert len(clean) == 12
    assert controller.revision(str(tmp_path)) == f"{clean}-dirty"


def test_a_folder_outside_git_has_the_collections_version(tmp_path: Path) -> None:
    assert controller.revision(str(tmp_path)) == controller.read_yaml(f"{controller.ROOT}/galaxy.yml")["version"]
