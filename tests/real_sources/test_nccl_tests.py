"""NCCL's benchmarks, built from the archive of their tag by role nccl_tests, with real nvcc and the stack's NCCL."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.awsome.distributed_training.tests.real_sources import nodes, sources
from ansible_collections.awsome.distributed_training.tests.real_sources.conftest import MakeNode

LOADER = [
    {
        "name": "Let the loader find NCCL and CUDA, as roles nccl and cuda do",
        "ansible.builtin.copy": {
            "content": f"{nodes.NCCL}/lib\n{nodes.CUDA}/lib64\n",
            "dest": "/etc/ld.so.conf.d/000_adt_nccl.conf",
            "mode": "0644",
        },
    },
    {"name": "Have it read", "ansible.builtin.command": {"argv": ["ldconfig"]}},
]


def test_benchmarks_are_built_and_start_up_to_the_driver(bare_node: MakeNode, cuda: Path) -> None:
    with bare_node({nodes.CUDA: cuda, **nodes.nccl()}) as at:
        at.play(LOADER)
        at.apply("nccl_tests")

        program = "/opt/nccl-tests/bin/all_reduce_perf"
        assert f"libnccl.so.2 => {nodes.NCCL}/lib/libnccl.so.2" in at.node.run("ldd", program)
        # it tells NCCL's version as 2.30.7 by 23007, and stops at the driver that no node here has
        said = at.node.run("sh", "-c", f"{program} -g 1 2>&1", check=False)
        major, minor, patch = map(int, sources.version("nccl").split("."))
        number = major * 10000 + minor * 100 + patch
        started = f"# nccl-tests version {sources.version('nccl_tests')} nccl-headers={number} nccl-library={number}"
        assert said.startswith(started), said
        assert "CUDA driver version is insufficient" in said
