"""enroot's packages as its own `make deb` makes them, installed by role enroot: an ordinary user runs a container."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.awsome.distributed_training.tests.real_sources import images, sources
from ansible_collections.awsome.distributed_training.tests.real_sources.conftest import MakeNode


def test_an_ordinary_user_runs_a_container(bare_node: MakeNode, workplace: Path) -> None:
    with bare_node() as at:
        at.apply("enroot")
        images.user(at.node)
        images.debian(at.node, workplace)

        assert at.user(images.USER, "enroot", "version").strip() == sources.version("enroot")
        uid = at.user(images.USER, "id", "-u").strip()
        at.user(images.USER, "enroot", "create", "--name", "bare", images.SQUASHFS)
        inside = at.user(images.USER, "enroot", "start", "bare", "sh", "-c", f"cat {images.MARK}; id -u")
        assert inside.splitlines() == [images.INSIDE, uid]

        # it is the user's alone, where the role says that containers lie
        data = f"/var/lib/enroot/data/user-{uid}"
        assert at.node.run("stat", "--format=%U %a", data).split() == [images.USER, "700"]
        assert at.node.run("cat", f"{data}/bare{images.MARK}").strip() == images.INSIDE
