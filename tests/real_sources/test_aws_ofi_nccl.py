"""The plugin by which NCCL uses libfabric, built from the archive of its tag by role aws_ofi_nccl."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.awsome.distributed_training.tests.real_sources import nodes, sources
from ansible_collections.awsome.distributed_training.tests.real_sources.conftest import MakeNode

RDMA_CORE = ["libibverbs-dev"]
"""Libraries with which libfabric and the plugin are linked; the EFA installer brings its own."""

LIBFABRIC = [
    {
        "name": "Bring what libfabric needs",
        "ansible.builtin.apt": {"name": RDMA_CORE, "install_recommends": False, "update_cache": True},
    },
    {
        "name": "Let the loader find it, as the EFA installer does",
        "ansible.builtin.copy": {
            "content": f"{sources.LIBFABRIC}/lib\n",
            "dest": "/etc/ld.so.conf.d/000_efa.conf",
            "mode": "0644",
        },
    },
    {"name": "Have it read", "ansible.builtin.command": {"argv": ["ldconfig"]}},
]


def test_plugin_is_built_and_found_and_starts_up_to_the_driver(bare_node: MakeNode, cuda: Path) -> None:
    with bare_node({nodes.CUDA: cuda}) as at:
        at.play(LIBFABRIC)
        at.apply("aws_ofi_nccl")

        library = at.node.run("sh", "-c", "ldconfig --print-cache | awk '/libnccl-net.so / {print $NF}'").strip()
        linked = at.node.run("ldd", library)
        assert re.search(r"libfabric\.so\.1 => /opt/amazon/efa/lib/", linked), linked
        assert "not found" not in linked

        asked = set(re.findall(rb"ncclNetPlugin_v\d+", (nodes.wheel("nccl") / "lib/libnccl.so.2").read_bytes()))
        has = set(at.node.run("grep", "--text", "--only-matching", "ncclNetPlugin_v[0-9]*", library).encode().split())
        assert max(asked, key=_number) in has, f"NCCL asks for {asked}, the plugin has {has}"

        probe = Path(__file__).with_name("net_plugin.py").read_text()
        said = at.node.run("env", "FI_PROVIDER=tcp", "python3", "-c", probe, library).splitlines()
        assert said[0] == "name: Libfabric", said
        version = sources.version("aws_ofi_nccl")
        assert any(line.endswith(f"Initializing aws-ofi-nccl {version}") for line in said), said
        # no node here has a driver
        assert any("CUDA initialization failed" in line for line in said), said
        assert said[-1] != "init: 0"


def _number(symbol: bytes) -> int:
    return int(symbol.rpartition(b"_v")[2])
