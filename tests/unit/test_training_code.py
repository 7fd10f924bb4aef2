"""The training code's own tests (tests/training), each run by the Python of the cases that it belongs to."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.awsome.distributed_training.tests import environments, support

SUITES = {
    "pytorch": (["tests/training/lib", "tests/training/pytorch"], ["lib", "pytorch/fsdp", "pytorch/ddp"]),
    "jax": (["tests/training/jax"], ["lib"]),
}
"""By framework: folders of tests, and folders under test_cases that they import from."""


@pytest.mark.parametrize("framework", SUITES)
def test_the_training_code_passes_its_own_tests(framework: str) -> None:
    tests, imported = SUITES[framework]
    python = environments.case_python(framework)
    packages = environments.packages_for(python, support.ROOT / "requirements/training-tests.lock")
    path = [*(str(support.ROOT / "test_cases" / folder) for folder in imported), str(packages)]
    ran = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5", *tests],
        cwd=support.ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    print(ran.stdout)
    assert ran.returncode == 0, f"the tests of {framework} failed; their output stands below"
