"""Streaming a data set of Hugging Face: here a folder of the same form, for there is no network."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from adt_train import UserError
from adt_train.data import Source, Tokens, open_source

DOCUMENTS = 400


def write(folder: Path, documents: Sequence[dict[str, object]]) -> Path:
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    return folder


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of unlike lengths, each telling its number over and over."""
    texts = [f"<{number:03d}>" * (3 + number % 5) for number in range(DOCUMENTS)]
    return write(tmp_path_factory.mktemp("hub") / "numbers", [{"text": text, "id": 1} for text in texts])


def stream(folder: Path, seed: int = 1) -> Source:
    return open_source(f"hf:{folder}", sequence_length=15, global_batch=4, seed=seed)


def documents(rows: Tokens) -> set[int]:
    """Numbers of the documents that lie in some rows, which follow one another."""
    return {int(number) for number in re.findall(rb"<(\d{3})>", rows.astype(np.uint8).tobytes())}


def lane(source: Source, number: int, steps: int) -> Tokens:
    return np.concatenate([source.rows(step, [number]) for step in range(steps)])


def test_a_row_is_text_of_documents_one_after_the_other(data_set: Path) -> None:
    row = lane(stream(data_set), 0, 3).astype(np.uint8).tobytes().decode()
    assert re.fullmatch(r"(<\d{3}>)+\n(<\d{3}>)+\n.*", row, re.DOTALL), row


def test_lanes_share_no_document(data_set: Path) -> None:
    # 25 steps of 16 tokens: less than one pass
    read = [documents(lane(stream(data_set), number, 25)) for number in range(4)]
    assert all(read)
    assert len(set.union(*read)) == sum(len(numbers) for numbers in read)


def test_rows_do_not_depend_on_how_many_ranks_share_them(data_set: Path) -> None:
    alone, first, second = (stream(data_set) for _ in range(3))
    for step in range(60):
        parts = [first.rows(step, [0, 1]), second.rows(step, [2, 3])]
        assert np.array_equal(np.concatenate(parts), alone.rows(step, range(4)))


def test_a_resumed_stream_goes_on_where_the_other_stopped(data_set: Path) -> None:
    unbroken = stream(data_set)
    rows = [unbroken.rows(step, range(4)) for step in range(120)]  # over the end, into the next pass
    for position in (1, 30, 119):
        assert np.array_equal(stream(data_set).rows(position, range(4)), rows[position])


def test_held_out_documents_are_never_trained_on(data_set: Path) -> None:
    source = stream(data_set)
    held_out = documents(source.held_out(1000))
    trained = documents(lane(source, 0, 400))
    assert DOCUMENTS * 0.05 < len(held_out) < DOCUMENTS * 0.2
    assert not held_out & trained


def test_all_other_documents_are_trained_on_in_one_pass(data_set: Path) -> None:
    read = set.union(*(documents(lane(stream(data_set), number, 160)) for number in range(4)))
    missing = set(range(DOCUMENTS)) - read - documents(stream(data_set).held_out(1000))
    assert not missing


def test_held_out_rows_are_always_the_same(data_set: Path) -> None:
    source = stream(data_set)
    before = source.held_out(7)
    source.rows(0, range(4))
    assert before.shape == (7, 16)
    assert np.array_equal(source.held_out(7), before)


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as refused:
        stream(folder).rows(0, [0])
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_data_set_that_is_not_there_is_refused() -> None:
    assert "data=hf:nobody/nothing cannot be read" in refusal(Path("nobody/nothing"))


def test_a_data_set_without_text_is_refused(tmp_path: Path) -> None:
    assert "has no column 'text' (body)" in refusal(write(tmp_path / "bodies", [{"body": "x"}]))


def test_a_data_set_without_a_held_out_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too short for one held-out row"):
        stream(write(tmp_path / "one", [{"text": "7"}])).held_out(1)


def test_a_data_set_without_a_document_to_train_on_is_refused(tmp_path: Path) -> None:
    assert "has no document to train on" in refusal(write(tmp_path / "one", [{"text": "6"}]))  # CRC-32 decides
