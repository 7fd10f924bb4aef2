"""render_to: a folder that runs without Ansible, and Kubernetes objects that are compared with golden files.

UPDATE_GOLDEN=1 pytest tests/rendering writes tests/golden/ again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases

GOLDEN = support.ROOT / "tests/golden/kubernetes"
ON_GPUS = "nodes=2 launcher_params='instance_type=p5.48xlarge claim=fsx'"
RENDERED = {
    "fsdp": f"case=fsdp {ON_GPUS}",
    "ddp": f"case=ddp {ON_GPUS}",
    "jax": f"case=jax {ON_GPUS}",
    "ddp-on-cpus": "case=ddp",
}
RUN_ID = "20261124T000000Z-abcd"

RANK = """
import os
rank, ranks, attempt = (os.environ[f"ADT_{name}"] for name in ("RANK", "WORLD_SIZE", "ATTEMPT"))
data = open(os.environ["ADT_DATA_DIR"] + "/data").read()
print(f"rank {rank} of {ranks} attempt {attempt} reads {data}\\n", end="")  # one write: ranks share the log
"""
STEPS = [
    {
        "name": "prepare",
        "start": "single",
        "on": "one",
        "when": "changed",
        "makes": ["$ADT_DATA_DIR/data"],
        "run": ["python", "-c", "import sys; print('data', end='', file=open(sys.argv[1], 'x'))", "$ADT_DATA_DIR/data"],
    },
    {"name": "train", "start": "per_rank", "run": ["python", "train.py"]},
]


def test_a_rendered_case_runs_without_ansible_wherever_it_is_moved(workplace: Path) -> None:
    cases.write_case(workplace / "mine", RANK, steps=STEPS)
    ran = support.play(["-e", "case=./mine render_to=job launcher_params='procs_per_node=2'"], workplace)
    assert ran.returncode == 0, ran.stdout
    assert support.files_under(workplace / "job") >= {"job.sh", "plan.yml", "case/train.py", "lib/adt_train/metrics.py"}
    shutil.rmtree(workplace / "mine")
    moved = workplace / "moved to another place"
    (workplace / "job").rename(moved)
    bare = {name: None for name in os.environ} | {"PATH": "/usr/local/bin:/usr/bin:/bin"}

    for attempt in (1, 2):
        ran = support.run(["bash", moved / "job.sh"], workplace, bare)
        assert ran.returncode == 0, ran.stdout
        for rank in (0, 1):
            assert f"rank {rank} of 2 attempt {attempt} reads data" in ran.stdout
    assert "step prepare: what it makes is there" in ran.stdout
    assert {path.name for path in workplace.iterdir()} == {moved.name}


@pytest.fixture(scope="module")
def rendered(make_workplace: Callable[[str], Path]) -> Path:
    """Folders of Kubernetes objects by their names in RENDERED."""
    folder = make_workplace("rendered")

    def render(name: str) -> None:
        image = f"registry.example.com/{name.partition('-')[0]}:1"
        request = f"{RENDERED[name]} launcher=kubernetes image={image} run_id={RUN_ID} render_to={name}"
        ran = support.play(["-e", request], folder)
        assert ran.returncode == 0, ran.stdout

    cases.two_at_a_time([partial(render, name) for name in RENDERED])
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(GOLDEN, ignore_errors=True)
        for name in RENDERED:
            (GOLDEN / name).mkdir(parents=True)
            for path in (folder / name).glob("*.yaml"):
                shutil.copy(path, GOLDEN / name)
    return folder


@pytest.mark.parametrize("name", RENDERED)
def test_the_objects_are_those_of_the_golden_files(name: str, rendered: Path) -> None:
    expected = {path.name: path.read_text() for path in (GOLDEN / name).glob("*.yaml")}
    assert expected
    assert {path.name: path.read_text() for path in (rendered / name).glob("*.yaml")} == expected


def objects(folder: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The service and the job of each step, in the steps' order."""
    pairs = []
    for path in sorted(folder.glob("*.yaml")):
        service, job = yaml.safe_load_all(path.read_text())
        pairs.append((service, job))
    return pairs


@pytest.mark.parametrize("name", RENDERED)
def test_each_step_is_an_indexed_job_whose_pods_find_each_other(name: str, rendered: Path) -> None:
    for service, job in objects(rendered / name):
        assert (service["kind"], service["spec"]["clusterIP"]) == ("Service", "None")
        assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
        assert (job["kind"], job["spec"]["completionMode"]) == ("Job", "Indexed")
        assert job["spec"]["completions"] == job["spec"]["parallelism"]
        assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"] == job["metadata"]["name"]
        assert len(f"{job['metadata']['name']}-{job['spec']['completions'] - 1}") <= 63
    _, train = objects(rendered / name)[-1]
    (container,) = train["spec"]["template"]["spec"]["containers"]
    if name == "ddp-on-cpus":
        assert train["spec"]["completions"] == 1
        assert "resources" not in container
    else:
        assert train["spec"]["completions"] == 2
        limits = container["resources"]["limits"]
        assert (limits["nvidia.com/gpu"], limits["vpc.amazonaws.com/efa"]) == (8, 32)


@pytest.mark.parametrize("name", RENDERED)
def test_the_scripts_are_bash(name: str, rendered: Path) -> None:
    for script in scripts(rendered / name):
        assert support.run(["bash", "-n", "-c", script], rendered).stdout == ""


def scripts(folder: Path) -> list[str]:
    """What the container of each step runs."""
    found = []
    for _, job in objects(folder):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["command"] == ["bash", "-c"]
        (script,) = container["args"]
        found.append(script)
    return found


def outside_a_cluster(script: str, workplace: Path) -> str:
    """The script with the shared folder and the image's folders put elsewhere."""
    library = support.ROOT / "test_cases/lib"
    return script.replace("/fsx/", f"{workplace}/fsx/").replace("/opt/adt/lib", str(library))


def test_the_containers_scripts_prepare_once_and_train_on_two_nodes(workplace: Path) -> None:
    case = cases.write_case(workplace / "mine", RANK, steps=STEPS)
    params = "claim=fsx procs_per_node=2"
    request = f"case=./mine launcher=kubernetes image=mine nodes=2 render_to=job launcher_params='{params}'"
    ran = support.play(["-e", request], workplace)
    assert ran.returncode == 0, ran.stdout
    prepare, train = (outside_a_cluster(script, workplace) for script in scripts(workplace / "job"))

    def pod(script: str, index: int) -> str:
        env = {"JOB_COMPLETION_INDEX": str(index), "PATH": f"{support.BIN}:{os.environ['PATH']}"}
        ran = support.run(["bash", "-c", script], case, env)
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    for attempt in (1, 2):
        pod(prepare, 0)  # its data is made once: it opens the file for creation alone
        for index, printed in enumerate(cases.two_at_a_time([partial(pod, train, 0), partial(pod, train, 1)])):
            for rank in (2 * index, 2 * index + 1):
                assert f"rank {rank} of 4 attempt {attempt} reads data" in printed


def test_a_pod_that_must_go_saves_and_its_successor_goes_on(workplace: Path) -> None:
    case = cases.write_case(workplace / "mine", cases.training(steps=25, pause_s=0.1))
    request = f"case=./mine launcher=kubernetes image=mine run_id={RUN_ID} render_to=job launcher_params='claim=fsx'"
    ran = support.play(["-e", request], workplace)
    assert ran.returncode == 0, ran.stdout
    (script,) = scripts(workplace / "job")
    words = ["bash", "-c", outside_a_cluster(script, workplace)]
    env = {**os.environ, "JOB_COMPLETION_INDEX": "0", "PATH": f"{support.BIN}:{os.environ['PATH']}"}
    printed = workplace / "printed.txt"
    with open(printed, "wb") as file:
        pod = subprocess.Popen(words, cwd=case, env=env, stdout=file, stderr=file, start_new_session=True)
    try:
        cases.wait_until(lambda: '"kind": "step"' in printed.read_text(), "training begins")
        pod.send_signal(signal.SIGTERM)  # to the first process alone, as Kubernetes does
        assert pod.wait(60) == 75, printed.read_text()
    finally:
        if pod.poll() is None:
            os.killpg(pod.pid, signal.SIGKILL)
    run = workplace / "fsx/runs/mine" / RUN_ID
    (saved,) = (int(path.name.removeprefix("step-")) for path in (run / "checkpoints").iterdir())
    assert 0 < saved < 25
    assert (run / "saved.1").exists()

    ran = support.run(words, case, env)

    assert ran.returncode == 0, ran.stdout
    lines = [json.loads(line.partition("ADT_METRIC ")[2]) for line in ran.stdout.splitlines() if "ADT_METRIC " in line]
    assert (lines[0]["attempt"], lines[0]["step"]) == (2, saved)
    assert (lines[-1]["kind"], lines[-1]["step"]) == ("eval", 25)
