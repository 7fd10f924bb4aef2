"""render_to for launcher slurm: scripts that are compared with golden files, and what Slurm reads of them.

UPDATE_GOLDEN=1 pytest tests/rendering writes tests/golden/ again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support
from ansible_collections.awsome.distributed_training.tests.local import cases

GOLDEN = support.ROOT / "tests/golden/slurm"
RUN_ID = "20261124T000000Z-abcd"
ON_GPUS = "instance_type=p5.48xlarge"
CHOSEN = "partition=gpu account=research qos=high time=2-00 reservation=launch constraint=efa exclude=c[3-4]"
RENDERED = {
    "fsdp": f"case=fsdp nodes=2 launcher_params='{ON_GPUS} {CHOSEN} mail=me@example.com'",
    "fsdp-in-a-container": f"case=fsdp nodes=2 image=/fsx/fsdp.sqsh launcher_params='{ON_GPUS}'",
    "jax": f"case=jax nodes=2 launcher_params='{ON_GPUS}'",
    "ddp-on-cpus": "case=ddp",
}
IN_GOLDEN = {
    "fsdp": ("job.sbatch", "node.sh", "submit.sh"),
    "fsdp-in-a-container": ("job.sbatch",),
    "jax": ("prepare.sbatch", "job.sbatch", "submit.sh"),
    "ddp-on-cpus": ("job.sbatch", "node.sh"),
}
"""Of each folder, what others do not show already."""


@pytest.fixture(scope="module")
def rendered(make_workplace: Callable[[str], Path]) -> Path:
    """Folders of scripts by their names in RENDERED."""
    folder = make_workplace("rendered-for-slurm")

    def render(name: str) -> None:
        ran = support.play(["-e", f"{RENDERED[name]} launcher=slurm run_id={RUN_ID} render_to={name}"], folder)
        assert ran.returncode == 0, ran.stdout

    cases.two_at_a_time([partial(render, name) for name in RENDERED])
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(GOLDEN, ignore_errors=True)
        for name, files in IN_GOLDEN.items():
            (GOLDEN / name).mkdir(parents=True)
            for file in files:
                shutil.copyfile(folder / name / file, GOLDEN / name / file)
    return folder


def scripts(folder: Path) -> list[Path]:
    """All that a shell reads, of one rendered folder."""
    return sorted([*folder.glob("*.sbatch"), *folder.glob("*.sh")])


def options(script: Path) -> dict[str, str]:
    """What sbatch reads of a script; it stops at the first command."""
    told = {}
    for line in script.read_text().splitlines():
        if line.startswith("#SBATCH --"):
            name, _, value = line.removeprefix("#SBATCH --").partition("=")
            told[name] = value
        elif line and not line.startswith("#"):
            break
    return told


@pytest.mark.parametrize("name", RENDERED)
def test_the_scripts_are_those_of_the_golden_files(name: str, rendered: Path) -> None:
    assert {path.name for path in (GOLDEN / name).iterdir()} == set(IN_GOLDEN[name])
    for file in IN_GOLDEN[name]:
        assert (rendered / name / file).read_text() == (GOLDEN / name / file).read_text()


@pytest.mark.parametrize("name", RENDERED)
def test_the_scripts_are_bash(name: str, rendered: Path) -> None:
    found = scripts(rendered / name)
    assert {path.name for path in found} >= {"job.sbatch", "node.sh", "submit.sh"}
    for script in found:
        assert script.read_text().startswith("#!/usr/bin/env bash\n")
        assert support.run(["bash", "-n", script], rendered).stdout == ""


@pytest.mark.parametrize("name", RENDERED)
def test_sbatch_reads_every_option_for_all_stand_before_the_first_command(name: str, rendered: Path) -> None:
    for script in (rendered / name).glob("*.sbatch"):
        assert len(options(script)) == script.read_text().count("#SBATCH") >= 8
        for option in ("output", "open-mode", "export", "requeue", "signal"):
            assert option in options(script)
        assert options(script)["export"] == "NONE"


def test_what_the_user_chose_reaches_sbatch(rendered: Path) -> None:
    told = options(rendered / "fsdp/job.sbatch")
    for name, value in (assignment.split("=") for assignment in CHOSEN.split()):
        assert told[name] == value
    assert (told["mail-user"], told["nodes"], told["gres"]) == ("me@example.com", "2", "gpu:8")
    others = options(rendered / "jax/job.sbatch")
    for name in ("partition", "account", "qos", "time", "reservation", "constraint", "exclude", "mail-user"):
        assert name not in others


def test_preparing_data_holds_one_node_and_no_gpu(rendered: Path) -> None:
    prepare, train = (options(rendered / "jax" / file) for file in ("prepare.sbatch", "job.sbatch"))
    assert (prepare["nodes"], prepare["cpus-per-task"], train["nodes"], train["gres"]) == ("1", "1", "2", "gpu:8")
    assert not {"gres", "exclusive", "mem"} & set(prepare)


def test_on_cpus_no_gpu_is_asked_for(rendered: Path) -> None:
    told = options(rendered / "ddp-on-cpus/job.sbatch")
    assert not {"gres", "exclusive"} & set(told)
    assert told["cpus-per-task"] == "2"


def test_the_container_sees_the_run_and_the_data_and_needs_no_environment(rendered: Path) -> None:
    job = (rendered / "fsdp-in-a-container/job.sbatch").read_text()
    assert "--container-image=/fsx/fsdp.sqsh" in job
    assert '--container-mounts="$ADT_RUN_DIR:$ADT_RUN_DIR,$ADT_DATA_DIR:$ADT_DATA_DIR"' in job
    assert "pip install" not in job
    assert "export ADT_PYTHON=python\n" in (rendered / "fsdp-in-a-container/node.sh").read_text()
    assert not (rendered / "fsdp-in-a-container/requirements.lock").exists()
    assert "container" not in (rendered / "fsdp/job.sbatch").read_text()


SBATCH = """#!/usr/bin/env bash
printf '%s ' sbatch "$@" >>words.txt
echo >>words.txt
if [[ ${@: -1} == "${REFUSED:-}" ]]; then echo "sbatch: error: Invalid partition name specified" >&2; exit 1; fi
echo "$(wc -l <words.txt);cluster"
"""


@pytest.fixture
def path_with_sbatch(workplace: Path) -> str:
    """A PATH whose sbatch notes its words and answers as a cluster of a federation does."""
    (workplace / "bin").mkdir()
    (workplace / "bin/sbatch").write_text(SBATCH)
    (workplace / "bin/sbatch").chmod(0o755)
    return f"{workplace}/bin:{os.environ['PATH']}"


def test_submit_chains_the_jobs(rendered: Path, workplace: Path, path_with_sbatch: str) -> None:
    folder = workplace / "moved to another place"
    folder.mkdir()
    shutil.copy(rendered / "jax/submit.sh", folder)
    ran = support.run(["bash", folder / "submit.sh"], workplace, {"PATH": path_with_sbatch})
    assert (ran.returncode, ran.stdout) == (0, "job 1: prepare.sbatch\njob 2: job.sbatch\n")
    assert (folder / "words.txt").read_text().splitlines() == [
        "sbatch --parsable prepare.sbatch ",
        "sbatch --parsable --dependency=afterok:1 --kill-on-invalid-dep=yes job.sbatch ",
    ]


def test_submit_stops_where_a_job_is_refused(rendered: Path, workplace: Path, path_with_sbatch: str) -> None:
    shutil.copy(rendered / "jax/submit.sh", workplace)
    env = {"PATH": path_with_sbatch, "REFUSED": "prepare.sbatch"}
    ran = support.run(["bash", workplace / "submit.sh"], workplace, env)
    assert ran.returncode != 0
    assert len((workplace / "words.txt").read_text().splitlines()) == 1
