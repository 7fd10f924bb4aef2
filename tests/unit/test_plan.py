# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""Case, preset, launcher and nodes become a plan, or are refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import controller
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError
from ansible_collections.awsome.distributed_training.plugins.module_utils.plan import make_plan

CASE: dict[str, Any] = {
    "name": "mine",
    "summary": "A model.",
    "framework": "pytorch",
    "path": "/cases/mine",
    "accelerators": ["cpu", "cuda"],
    "secrets": ["HF_TOKEN"],
    "parameters": {"steps": {"type": "int", "default": 10, "help": "Steps."}},
    "presets": {"tiny": {"help": "Small.", "set": {"steps": 5}}},
    "steps": [
        {"name": "prepare", "start": "single", "run": ["prepare.py"], "on": "one", "when": "absent",
         "makes": ["$ADT_DATA_DIR/x"]},
        {"name": "train", "start": "torchrun", "run": ["train.py", "{params}"],
         "resume": ["train.py", "--resume", "{params}"]},
    ],
    "metrics": {"source": "adt"},
    "checks": [{"id": "last_loss", "limit": 2.0}],
}  # fmt: skip
REQUEST: dict[str, Any] = {
    "run_id": "20261123T200000Z-1a2b",
    "preset": "tiny",
    "nodes": 1,
    "params": None,
    "image": None,
}
CPU = {"accelerator": "cpu", "accelerators": 0, "cpus": 8, "memory_gib": 16.0, "instance_type": None}
P5 = {
    "accelerator": "cuda",
    "accelerators": 8,
    "accelerator_model": "H100",
    "cpus": 192,
    "memory_gib": 2048,
    "instance_type": "p5.48xlarge",
    "efa": 32,
    "peak_tflops": 989,
}
LOCAL, KUBERNETES = controller.load_launcher("local"), controller.load_launcher("kubernetes")


def plan(
    node: dict[str, Any] = CPU,
    launcher: dict[str, Any] = LOCAL,
    case: dict[str, Any] = CASE,
    revision: str = "4f2c9e1",
    **request: Any,
) -> dict[str, Any]:
    return make_plan(case, {**REQUEST, **request}, launcher, node, revision)


def refusal(**changes: Any) -> str:
    with pytest.raises(TrainingError) as refused:
        plan(**changes)
    return str(refused.value)


def test_the_same_inputs_give_the_same_plan() -> None:
    assert json.dumps(plan()) == json.dumps(plan())


def test_a_plan_leaves_its_inputs_as_they_were() -> None:
    before = copy.deepcopy((CASE, CPU, LOCAL))
    made = plan()
    made["steps"][0]["command"].append("x")
    made["checks"][0]["limit"] = 0
    assert before == (CASE, CPU, LOCAL)


def test_a_plan_is_plain_data() -> None:
    assert json.loads(json.dumps(plan())) == plan()


def test_a_step_is_filled_in() -> None:
    assert plan(params="steps=7")["steps"] == [
        {
            "name": "prepare",
            "start": "single",
            "on": "one",
            "when": "absent",
            "makes": ["$ADT_DATA_DIR/x"],
            "command": ["prepare.py"],
            "resume": None,
            "groups": [],
        },
        {
            "name": "train",
            "start": "torchrun",
            "on": "all",
            "when": "always",
            "makes": [],
            "command": ["train.py", "--steps=7"],
            "resume": ["train.py", "--resume", "--steps=7"],
            "groups": [],
        },
    ]


def test_a_plan_tells_values_defaults_and_what_the_user_changed() -> None:
    made = plan(params="steps=7")
    assert (made["parameters"], made["defaults"], made["changed_parameters"]) == (
        {"steps": 7},
        {"steps": 10},
        ["steps"],
    )


def test_a_secret_is_in_the_plan_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "canary")
    made = plan()
    assert made["secrets"] == ["HF_TOKEN"]
    assert "canary" not in json.dumps(made)


def test_every_accelerator_gets_a_process() -> None:
    made = plan(node=P5)
    assert (made["procs_per_node"], made["world_size"], made["accelerator"]) == (8, 8, "cuda")


def test_a_machine_without_accelerators_runs_two_processes() -> None:
    made = plan()
    assert (made["procs_per_node"], made["world_size"], made["accelerator"]) == (2, 2, "cpu")


def test_the_user_may_say_how_many_processes() -> None:
    assert plan(launcher_params="procs_per_node=3")["world_size"] == 3


def test_ranks_are_counted_over_all_nodes() -> None:
    assert plan(launcher=KUBERNETES, node=P5, nodes=4, launcher_params="claim=fsx")["world_size"] == 32


def test_processes_on_cpus_share_the_cores() -> None:
    assert plan()["variables"] == {"ADT_ACCELERATOR": "cpu", "ADT_PEAK_TFLOPS": "", "OMP_NUM_THREADS": "4"}


def test_a_process_has_a_core_however_many_there_are() -> None:
    assert plan(launcher_params="procs_per_node=64")["variables"]["OMP_NUM_THREADS"] == "1"


def test_processes_on_gpus_know_the_peak() -> None:
    assert plan(node=P5)["variables"] == {"ADT_ACCELERATOR": "cuda", "ADT_PEAK_TFLOPS": "989"}


def test_what_is_known_of_the_nodes_is_in_the_plan() -> None:
    made = plan(node=P5)
    assert (made["instance_type"], made["accelerator_model"]) == ("p5.48xlarge", "H100")
    assert made["node"] == {"accelerators": 8, "cpus": 192, "efa": 32, "gres": None, "memory_gib": 2048}


@pytest.mark.parametrize("nodes", [0, -1])
def test_a_run_without_nodes_is_refused(nodes: int) -> None:
    assert refusal(nodes=nodes) == f"nodes={nodes}: a run needs at least one node; fix: -e nodes=1"


def test_more_nodes_than_a_launcher_has_are_refused() -> None:
    assert refusal(nodes=2) == "nodes=2: launcher local has 1 node; fix: -e nodes=1, or a launcher for several nodes"


def test_a_node_without_the_cases_accelerator_is_refused_by_its_type() -> None:
    only_cuda = {**CASE, "accelerators": ["cuda"]}
    assert refusal(case=only_cuda) == (
        "case mine runs on cuda; this machine offers cpu; fix: another case, or nodes of another type"
    )
    trainium = {**P5, "accelerator": "neuron", "instance_type": "trn2.48xlarge"}
    assert "case mine runs on cpu, cuda; trn2.48xlarge offers neuron" in refusal(node=trainium)


def test_an_unknown_preset_is_refused() -> None:
    assert refusal(preset="tny").startswith("preset=tny: case mine has no such preset; fix: did you mean tiny?")


def test_an_unknown_parameter_is_refused() -> None:
    assert refusal(params="step=1").startswith("params: there is no parameter 'step'; fix: did you mean steps?")


def test_an_unknown_parameter_of_the_launcher_is_refused() -> None:
    assert refusal(launcher_params="partition=x").startswith(
        "launcher_params of local: there is no parameter 'partition'; fix: "
    )


def test_a_step_that_the_launcher_cannot_start_is_refused() -> None:
    mpi = {**CASE, "steps": [{"name": "train", "start": "mpirun", "run": ["x"]}]}
    assert refusal(case=mpi) == (
        "launcher=local cannot start step train by mpirun; fix: start: torchrun, per_rank, per_node, single"
    )


def test_steps_that_share_files_need_a_place_for_them() -> None:
    assert refusal(launcher=KUBERNETES) == (
        "case mine: 2 steps share checkpoints and data; fix: -e launcher_params='claim=NAME'"
    )


def test_nodes_need_a_place_for_the_files_that_they_share() -> None:
    single = {**CASE, "steps": CASE["steps"][1:]}
    assert refusal(case=single, launcher=KUBERNETES, nodes=2) == (
        "case mine: 2 nodes share checkpoints and data; fix: -e launcher_params='claim=NAME'"
    )


def test_a_case_without_presets_runs_by_its_defaults() -> None:
    plain = {key: value for key, value in CASE.items() if key != "presets"}
    assert plan(case=plain)["preset"] == "tiny"
    assert refusal(case=plain, preset="large") == "preset=large: case mine has no such preset; fix: known: tiny"


def test_a_name_that_is_too_long_for_the_engine_is_refused() -> None:
    long = {**CASE, "name": "a" * 40, "steps": CASE["steps"][1:]}
    assert "is longer than the 63 characters that a name of kubernetes may have" in refusal(
        case=long, launcher=KUBERNETES
    )
    assert plan(case=long)["case"]["name"] == "a" * 40


def test_a_single_step_needs_no_shared_place() -> None:
    single = {**CASE, "steps": CASE["steps"][1:]}
    assert plan(case=single, launcher=KUBERNETES)["launcher_params"]["claim"] == ""


def test_groups_take_all_the_nodes() -> None:
    groups = [
        {"name": "trainer", "nodes": 3, "run": ["a", "{params}"]},
        {"name": "generator", "nodes": 1, "run": ["b"]},
    ]
    grouped = {**CASE, "steps": [{"name": "train", "start": "per_node", "run": ["x"], "groups": groups}]}
    made = plan(case=grouped, launcher=KUBERNETES, nodes=4, launcher_params="claim=fsx")
    assert [group["run"] for group in made["steps"][0]["groups"]] == [["a", "--steps=5"], ["b"]]
    assert refusal(case=grouped, launcher=KUBERNETES, nodes=2, launcher_params="claim=fsx") == (
        "nodes=2: the groups of step train take 4; fix: -e nodes=4"
    )
