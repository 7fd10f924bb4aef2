"""``python -m adt_train.tokenize``, which writes a file of tokens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from adt_train import data


def tokenize(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "adt_train.tokenize", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_a_text_the_bundled_one_is_written_as_bytes(tmp_path: Path) -> None:
    ran = tokenize(f"--out={tmp_path}/data/tokens.bin", "--text=")
    assert ran.returncode == 0, ran.stderr
    tokens, vocabulary = data.open_tokens(tmp_path / "data/tokens.bin")
    assert ran.stdout == f"{len(tokens)} tokens of a vocabulary of 256 in {tmp_path}/data/tokens.bin\n"
    assert vocabulary == 256
    assert tokens.astype(np.uint8).tobytes() == data.bundled_text()


def test_a_tokenizer_file_is_used(tmp_path: Path, byte_level_tokenizer: Path) -> None:
    (tmp_path / "text.txt").write_text("some text")
    ran = tokenize(f"--out={tmp_path}/tokens.bin", f"--text={tmp_path}/text.txt", f"--tokenizer={byte_level_tokenizer}")
    assert ran.returncode == 0, ran.stderr
    tokens, vocabulary = data.open_tokens(tmp_path / "tokens.bin")
    assert (len(tokens), vocabulary) == (9, 258)


def test_a_missing_text_is_told_in_one_line(tmp_path: Path) -> None:
    ran = tokenize(f"--out={tmp_path}/tokens.bin", f"--text={tmp_path}/none.txt")
    assert ran.returncode == 2
    assert "none.txt cannot be read: No such file or directory" in ran.stdout
    assert (len(ran.stdout.splitlines()), ran.stderr) == (1, "")
    assert not (tmp_path / "tokens.bin").exists()


def test_a_folder_that_takes_no_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = tokenize(f"--out={tmp_path}/file/tokens.bin")
    assert ran.returncode == 2
    assert "cannot be written" in ran.stdout
    assert (len(ran.stdout.splitlines()), ran.stderr) == (1, "")
