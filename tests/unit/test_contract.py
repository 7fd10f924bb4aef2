# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""case.yml as users get it wrong: each mistake is one line that names file, key, value and fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError

CASE = """
schema: 1
name: mine
summary: Mine.
framework: own
accelerators: [cpu]
environment: {requirements: requirements}
secrets: [HF_TOKEN]
parameters:
  steps: {type: int, default: 10, minimum: 1, help: Steps.}
presets:
  tiny: {help: Small., set: {steps: 5}}
steps:
  - name: train
    start: torchrun
    run: [train.py, "{params}"]
    on: all
metrics: {source: adt}
checks:
  - {id: first_loss, expect: 5.5, within: 0.2}
"""


def case(**changes: Any) -> str:
    """The case with some keys replaced; None removes one."""
    document = {**yaml.safe_load(CASE.replace("on: all", '"on": all')), **changes}
    return yaml.safe_dump({key: value for key, value in document.items() if value is not None}, sort_keys=False)


def step(**changes: Any) -> str:
    return case(steps=[{"name": "train", "start": "torchrun", "run": ["train.py"], **changes}])


def load(folder: Path, text: str) -> dict[str, Any]:
    (folder / "case.yml").write_text(text)
    return controller.load_case(f"{folder}/", "/")


def test_a_whole_case_is_valid(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").touch()
    loaded = load(tmp_path, CASE)
    assert loaded["path"] == str(tmp_path)
    assert loaded["steps"][0]["on"] == "all"


def test_the_smallest_case_is_valid(tmp_path: Path) -> None:
    optional = ("environment", "secrets", "parameters", "presets", "checks")
    small = case(**dict.fromkeys(optional), steps=[{"name": "train", "start": "single", "run": ["python", "train.py"]}])
    assert load(tmp_path, small)["name"] == "mine"


@pytest.mark.parametrize("name", sorted(controller.known_cases()))
def test_every_shipped_case_is_valid(name: str) -> None:
    loaded = controller.load_case(name, "/")
    assert loaded["name"] == name
    assert "tiny" in loaded["presets"]


@pytest.mark.parametrize("name", sorted(controller.known_cases()))
def test_the_files_that_a_shipped_case_names_are_there(name: str) -> None:
    loaded = controller.load_case(name, "/")
    assert (Path(loaded["path"]) / f"{loaded['environment']['requirements']}.lock").is_file()
    assert (Path(loaded["path"]) / loaded["environment"]["image"]).is_file()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ": None is not of type object; fix: write an object"),
        ("[]", ": [] is not of type object; fix: write an object"),
        ("a: [", ", line 1: not YAML: "),
        (case(schema=2), ": key schema: 2 is not 1; fix: write 1"),
        (case(schema=None), ": key schema: it is missing; fix: add schema"),
        (case(name=None), ": key name: it is missing; fix: add name"),
        (case(name="My Case"), ": key name: 'My Case' does not match ^[a-z][a-z0-9_]*$; fix: "),
        (case(name=["mine"]), ": key name: ['mine'] is not of type string; fix: write a string"),
        (case(summry="x"), ": key summry: no such key; fix: did you mean summary?"),
        (case(accelerators=[]), ": key accelerators: it has 0 entries, fewer than 1; fix: list at least 1"),
        (case(accelerators="cpu"), ": key accelerators: 'cpu' is not of type array; fix: write an array"),
        (case(accelerators=["gpu"]), ": key accelerators[0]: 'gpu' is not one of its choices; fix: did you mean cpu?"),
        (case(accelerators=["cpu", "cpu"]), ": key accelerators: 'cpu' stands twice; fix: remove one"),
        (case(secrets=["hf_token"]), ": key secrets[0]: 'hf_token' does not match ^[A-Z][A-Z0-9_]*$; fix: "),
        (case(secrets={"HF_TOKEN": "x"}), ": key secrets: {'HF_TOKEN': 'x'} is not of type array; fix: write an array"),
        (case(environment={"requirement": "x"}), ": key environment.requirement: no such key; fix: did"),
        (
            case(parameters={"n": {"type": "int", "default": 1}}),
            ": key parameters.n.help: it is missing; fix: add help",
        ),
        (
            case(parameters={"n": {"type": "integer", "default": 1, "help": "N."}}),
            ": key parameters.n.type: 'integer' is not one of its choices; fix: did you mean int?",
        ),
        (
            case(parameters={"n": {"type": "int", "default": [1], "help": "N."}}),
            ": key parameters.n.default: [1] is not of type integer or number or string or boolean; fix: ",
        ),
        (
            case(parameters={"N": {"type": "int", "default": 1, "help": "N."}}),
            ": key parameters.N: no such key; fix: a name",
        ),
        (case(presets={"tiny": {"set": {}}}), ": key presets.tiny.help: it is missing; fix: add help"),
        (
            case(presets={"tiny": {"help": "x", "sets": {}}}),
            ": key presets.tiny.sets: no such key; fix: did you mean set?",
        ),
        (case(steps=[]), ": key steps: it has 0 entries, fewer than 1; fix: list at least 1"),
        (case(steps=None), ": key steps: it is missing; fix: add steps"),
        (
            step(start="torchrn"),
            ": key steps[0].start: 'torchrn' is not one of its choices; fix: did you mean torchrun?",
        ),
        (step(run="train.py"), ": key steps[0].run: 'train.py' is not of type array; fix: write an array"),
        (step(run=["train.py", 1]), ": key steps[0].run[1]: 1 is not of type string; fix: write a string"),
        (step(on="any"), ": key steps[0].on: 'any' is not one of its choices; fix: "),
        (step(when="never"), ": key steps[0].when: 'never' is not one of its choices; fix: "),
        (step(grups=[]), ": key steps[0].grups: no such key; fix: did you mean groups?"),
        (
            step(groups=[{"name": "a", "nodes": 0, "run": ["x"]}, {"name": "b", "nodes": 1, "run": ["x"]}]),
            ": key steps[0].groups[0].nodes: 0 is under 1; fix: write 1 or more",
        ),
        (case(metrics={"source": "wandb"}), ": key metrics.source: 'wandb' is not one of its choices; fix: known: adt"),
        (
            case(checks=[{"id": "loss"}]),
            ": key checks[0].id: 'loss' is not one of its choices; fix: did you mean last_loss?",
        ),
        (case(checks=[{"id": "last_loss", "limit": "2"}]), ": key checks[0].limit: '2' is not of type number; fix: "),
        (case(checks=[{"id": "last_loss"}]), ": checks.last_loss: limit is missing; fix: add limit: <number>"),
        (
            case(presets={"tiny": {"help": "x", "set": {"step": 1}}}),
            ": presets.tiny.set: there is no parameter 'step'; fix: ",
        ),
        (step(when="changed"), ": steps.train: when=changed needs makes; fix: "),
        (step(run=["{step}"]), ": steps.train: '{step}' names no parameter; fix: did you mean steps?"),
        (step(run=["$ADT_RUNDIR"]), ": steps.train: $ADT_RUNDIR is not known; fix: did you mean ADT_RUN_DIR?"),
    ],
)
def test_a_mistake_is_one_line_with_file_key_value_and_fix(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(TrainingError) as refused:
        load(tmp_path, text)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path}/case.yml{problem}")
    assert "\n" not in message
    assert "; fix: " in message


def test_of_many_mistakes_the_first_is_told_and_the_rest_counted(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"case\.yml: key summary: it is missing.*\(and 2 more\)$"):
        load(tmp_path, case(summary=None, framework=None, metrics=None))
