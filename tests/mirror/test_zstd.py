"""Package lists packed by zstd, as new releases of createrepo_c write them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils import repository_index
from ansible_collections.awsome.distributed_training.plugins.module_utils.errors import TrainingError


def test_parts_packed_by_zstd_are_unpacked_where_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = subprocess.run(["zstd", "--stdout"], input=b"text", capture_output=True, check=True).stdout
    assert repository_index.unpacked(packed, "x.zst") == b"text"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(TrainingError, match="packed by zstd, which is missing; fix: install zstd"):
        repository_index.unpacked(packed, "x.zst")
