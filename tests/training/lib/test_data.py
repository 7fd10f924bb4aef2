"""Rows of text, of token files and of random tokens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from adt_train import UserError, data
from adt_train.data import Source, Windows, open_source

COUNT = 5_000_000
CUT = COUNT * 9 // 10


@pytest.fixture
def counting() -> Windows:
    """Windows of 0, 1, 2, …: a row tells where it comes from."""
    return Windows(np.arange(COUNT, dtype=np.int32), COUNT, sequence_length=16, global_batch=8, seed=1, name="counting")


def bundled(seed: int = 1) -> Source:
    return open_source("text:", sequence_length=32, global_batch=8, seed=seed)


def refusal(spec: str, tokenizer: str = "bytes") -> str:
    with pytest.raises(UserError) as refused:
        open_source(spec, sequence_length=32, global_batch=8, seed=1, tokenizer=tokenizer)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_row_is_one_token_longer_than_the_sequence_and_unbroken(counting: Windows) -> None:
    rows = counting.rows(0, range(8))
    assert rows.dtype == np.int64
    assert rows.shape == (8, 17)
    assert (np.diff(rows) == 1).all()


def test_the_held_out_tenth_is_never_trained_on(counting: Windows) -> None:
    trained = np.stack([counting.rows(step, range(8)) for step in range(500)])
    assert trained.max() < CUT
    assert trained.min() < CUT * 0.01, "the beginning is never drawn"
    assert trained.max() > CUT * 0.99, "the end of what may be trained on is never drawn"
    assert counting.held_out(50).min() == CUT


def test_the_last_place_of_the_training_part_ends_where_the_held_out_part_begins() -> None:
    short = Windows(np.arange(200), 200, sequence_length=19, global_batch=1, seed=1, name="short")
    starts = {int(short.rows(step, [0])[0, 0]) for step in range(5000)}
    assert starts == set(range(180 - 20 + 1))


def test_held_out_rows_do_not_overlap(counting: Windows) -> None:
    rows = counting.held_out(50)
    assert rows.shape == (50, 17)
    assert len(np.unique(rows)) == rows.size


def test_held_out_rows_are_as_many_as_there_are() -> None:
    few = Windows(np.arange(400), 400, sequence_length=9, global_batch=1, seed=1, name="few")
    assert few.held_out(64).shape == (4, 10)


def test_lanes_and_steps_read_different_rows(counting: Windows) -> None:
    starts = [int(row[0]) for step in range(40) for row in counting.rows(step, range(8))]
    assert len(set(starts)) == len(starts)


@pytest.mark.parametrize("spec", ["text:", "synthetic:1000"])
@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_rows_do_not_depend_on_how_many_ranks_share_them(spec: str, ranks: int) -> None:
    alone = open_source(spec, 32, 8, seed=1)
    shared = [open_source(spec, 32, 8, seed=1) for _ in range(ranks)]
    each = 8 // ranks
    for step in (0, 7, 10**6):
        parts = [source.rows(step, range(rank * each, (rank + 1) * each)) for rank, source in enumerate(shared)]
        assert np.array_equal(np.concatenate(parts), alone.rows(step, range(8)))


@pytest.mark.parametrize("spec", ["text:", "synthetic:1000"])
def test_another_seed_gives_other_rows(spec: str) -> None:
    one, other = (open_source(spec, 32, 8, seed) for seed in (1, 2))
    assert not np.array_equal(one.rows(0, range(8)), other.rows(0, range(8)))


def test_the_bundled_text_is_the_frozen_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(data.bundled_text()) > 400_000
    monkeypatch.setattr(data, "TEXT_SHA256", "0" * 64)
    with pytest.raises(UserError, match="is not the frozen text"):
        data.bundled_text()


def test_a_text_file_is_read_as_bytes(tmp_path: Path) -> None:
    text = "Größe und Maß. " * 100
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    source = open_source(f"text:{tmp_path}/text.txt", sequence_length=32, global_batch=8, seed=1)
    assert source.vocabulary == 256
    assert source.rows(0, [0]).astype(np.uint8).tobytes() in text.encode()


def test_an_unreadable_text_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read: No such file or directory; fix: the path" in refusal(f"text:{tmp_path}/none.txt")
    assert "cannot be read: Is a directory" in refusal(f"text:{tmp_path}")


def test_a_text_without_a_held_out_row_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("x" * 329)
    assert "has 329 tokens; its held-out tenth is shorter than a row of 33" in refusal(f"text:{tmp_path}/short.txt")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("words", "data='words' has no kind; fix: data=text:FILE"),
        ("csv:x", "data='csv:x': kind 'csv' is not known; fix: text, tokens, hf or synthetic"),
        ("synthetic:", "data='synthetic:' names no vocabulary; fix: data=synthetic:32000"),
        ("synthetic:1", "data='synthetic:1' names no vocabulary"),
    ],
)
def test_a_source_that_is_not_known_is_refused(spec: str, message: str) -> None:
    assert message in refusal(spec)


def test_synthetic_tokens_lie_in_the_vocabulary() -> None:
    source = open_source("synthetic:1000", 256, 8, seed=1)
    rows = np.stack([source.rows(step, range(8)) for step in range(20)])
    assert (rows.min(), rows.max()) == (0, 999)


@pytest.mark.parametrize("seed", [0, 1, -1])
def test_synthetic_held_out_rows_are_different_and_never_trained_on(seed: int) -> None:
    source = open_source("synthetic:1000", 32, 8, seed)
    rows = [*source.held_out(10), *source.rows(0, range(8)), *source.rows(1, range(8))]
    assert len({row.tobytes() for row in rows}) == len(rows)


@pytest.mark.parametrize(("vocabulary", "kind"), [(256, np.uint16), (1 << 16, np.uint16), (70_000, np.uint32)])
def test_tokens_survive_their_file(tmp_path: Path, vocabulary: int, kind: type) -> None:
    tokens = np.arange(5000, dtype=np.int64) * 13 % vocabulary
    data.write_tokens(tmp_path / "new/tokens.bin", tokens, vocabulary)
    read, told = data.open_tokens(tmp_path / "new/tokens.bin")
    assert (told, read.dtype) == (vocabulary, kind)
    assert isinstance(read, np.memmap)
    assert np.array_equal(read, tokens)


def test_a_token_file_gives_the_rows_of_its_text(tmp_path: Path) -> None:
    text = np.frombuffer(data.bundled_text(), np.uint8)
    data.write_tokens(tmp_path / "tokens.bin", text, 256)
    source = open_source(f"tokens:{tmp_path}/tokens.bin", sequence_length=32, global_batch=8, seed=1)
    assert source.vocabulary == 256
    assert np.array_equal(source.rows(3, range(8)), bundled().rows(3, range(8)))
    assert np.array_equal(source.held_out(4), bundled().held_out(4))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "No such file"),
        (lambda file: file.with_name("tokens.bin.json").unlink(), "No such file"),
        (lambda file: file.with_name("tokens.bin.json").write_text("{"), "cannot be read"),
        (lambda file: file.with_name("tokens.bin.json").write_text("[]"), "cannot be read"),
        (lambda file: file.with_name("tokens.bin.json").write_text('{"dtype": "uint16"}'), "cannot be read"),
        (lambda file: file.with_name("tokens.bin.json").write_text('{"dtype": "furlong"}'), "cannot be read"),
        (lambda file: file.write_bytes(b""), "cannot be read"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "cannot be read"),
        (lambda file: file.write_bytes(file.read_bytes()[:-2]), "has 4999 tokens, not 5000; fix: write it again"),
        (lambda file: file.write_bytes(file.read_bytes() * 2), "has 10000 tokens, not 5000"),
    ],
    ids=["gone", "no json", "broken json", "list", "no length", "no type", "empty", "odd", "truncated", "longer"],
)
def test_a_damaged_token_file_is_refused(tmp_path: Path, damage: object, message: str) -> None:
    file = tmp_path / "tokens.bin"
    data.write_tokens(file, np.arange(5000), 5000)
    assert callable(damage)
    damage(file)
    told = refusal(f"tokens:{file}")
    assert told.startswith(f"data=tokens:{file} ")
    assert message in told


def test_a_tokenizer_file_makes_the_tokens(tmp_path: Path, byte_level_tokenizer: Path) -> None:
    text = "plain text " * 200
    (tmp_path / "text.txt").write_text(text)
    source = open_source(f"text:{tmp_path}/text.txt", 32, 8, seed=1, tokenizer=str(byte_level_tokenizer))
    assert source.vocabulary == 258
    names = {number: name for name, number in json.loads(byte_level_tokenizer.read_text())["model"]["vocab"].items()}
    row = "".join(names[number] for number in source.rows(0, [0])[0])
    assert row.replace("Ġ", " ") in text


def test_an_unreadable_tokenizer_is_refused(tmp_path: Path) -> None:
    assert "tokenizer=none.json cannot be read" in refusal("text:", tokenizer="none.json")
    (tmp_path / "tokenizer.json").write_text("{}")
    assert "tokenizer.json cannot be read" in refusal("text:", tokenizer=str(tmp_path / "tokenizer.json"))


@pytest.mark.parametrize(("asked", "ranks", "rows"), [(0, 1, 8), (0, 2, 8), (0, 3, 9), (0, 16, 16), (12, 3, 12)])
def test_a_batch_that_is_left_open_is_the_next_that_ranks_share_evenly(asked: int, ranks: int, rows: int) -> None:
    assert data.fit_global_batch(asked, 8, ranks) == rows


def test_a_batch_that_ranks_cannot_share_evenly_is_refused() -> None:
    with pytest.raises(UserError) as refused:
        data.fit_global_batch(7, 8, 2)
    assert str(refused.value) == "global_batch=7 rows cannot be shared evenly by 2 ranks; fix: global_batch=8"
