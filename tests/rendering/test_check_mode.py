"""--check shows what would be done, and changes nothing: where a launcher only renders, and with render_to too."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.tests import support


@pytest.mark.parametrize("request_", ["launcher=kubernetes image=fsdp", "launcher=kubernetes image=fsdp render_to=job"])
def test_the_plan_is_shown_and_nothing_is_made(request_: str, workplace: Path) -> None:
    ran = support.play(["--check", "-e", f"case=fsdp {request_}"], workplace)
    assert ran.returncode == 0, ran.stdout
    for line in ("preset: tiny", "world_size: 2", "model: tiny", "changed=0"):
        assert line in ran.stdout
    assert list(workplace.iterdir()) == []
