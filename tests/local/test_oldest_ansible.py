"""A case trains through the oldest ansible-core that the collection is for."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.awsome.distributed_training.tests import support


def test_ddp_trains_through_the_oldest_ansible_core(workplace: Path) -> None:
    oldest = support.environment(support.ROOT / "requirements/oldest.lock")
    env = support.linked_collection(workplace / "path")
    ran = support.play(["-e", "case=ddp", "-e", "params='steps=20'"], workplace, env, ansible=oldest)
    assert ran.returncode == 0, ran.stdout
    assert "verdict: pass" in ran.stdout
    assert (support.latest_run(workplace, "ddp") / "report.html").exists()
