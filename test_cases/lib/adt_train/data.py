"""Training data as rows of a global batch.

A source is asked for the rows (``lanes``) of the batch of a step. What a row holds depends on the seed, the step and
the lane alone: ranks that take different lanes read different data, and the position of a run is its step, whatever
the number of ranks.

Every source keeps its last tenth for evaluation only; a stream, which has no known end, keeps a tenth of its documents.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from adt_train.errors import UserError

Tokens: TypeAlias = npt.NDArray[np.int64]
Encoded: TypeAlias = npt.NDArray[Any]
"""Tokens in the narrowest type that holds them."""

TEXT_SHA256 = "2a95af4ac93f5b719944030ce3769070ddf827d847cba42192afa8da989e5dc4"
"""Of text/python_reference.txt, which is frozen: another text would give other losses."""

_HELD_OUT = 10  # one part in so many
_MASK = (1 << 64) - 1


def fit_global_batch(asked: int, at_least: int, ranks: int, name: str = "ranks") -> int:
    """Rows of a step that ``ranks`` share evenly: those asked for, or with 0 as few as are ``at_least`` so many."""
    even = math.ceil((asked or at_least) / ranks) * ranks
    if asked and asked != even:
        raise UserError(f"global_batch={asked} rows cannot be shared evenly by {ranks} {name}", f"global_batch={even}")
    return even


class Source(Protocol):
    """Rows of ``sequence_length + 1`` tokens: inputs and, shifted by one, targets."""

    vocabulary: int

    def rows(self, step: int, lanes: Sequence[int]) -> Tokens:
        """Rows of the batch of ``step``: (len(lanes), sequence_length + 1)."""

    def held_out(self, count: int) -> Tokens:
        """Rows for evaluation, always the same: (count or fewer, sequence_length + 1)."""


def open_source(spec: str, sequence_length: int, global_batch: int, seed: int, tokenizer: str = "bytes") -> Source:
    """A source by its name.

    :param spec: ``text:`` (the bundled text), ``text:FILE``, ``tokens:FILE`` (memory-mapped, see write_tokens),
        ``hf:NAME`` or ``hf:NAME:CONFIG`` (streamed by package datasets), ``synthetic:VOCABULARY`` (benchmarks only).
    :param tokenizer: ``bytes``, or the path of a tokenizer.json; for text and streams.
    """
    kind, colon, where = spec.partition(":")
    if not colon:
        raise UserError(f"data={spec!r} has no kind", "data=text:FILE, tokens:FILE, hf:NAME or synthetic:VOCABULARY")
    if kind == "text":
        encode, vocabulary = open_tokenizer(tokenizer)
        text = _read_bytes(where) if where else bundled_text()
        return Windows(encode(text), vocabulary, sequence_length, global_batch, seed, spec)
    if kind == "tokens":
        tokens, vocabulary = open_tokens(Path(where))
        return Windows(tokens, vocabulary, sequence_length, global_batch, seed, spec)
    if kind == "hf":
        return Stream(where, sequence_length, global_batch, tokenizer)
    if kind == "synthetic":
        if not where.isdigit() or int(where) < 2:
            raise UserError(f"data={spec!r} names no vocabulary", "data=synthetic:32000")
        return Synthetic(int(where), sequence_length, global_batch, seed)
    raise UserError(f"data={spec!r}: kind {kind!r} is not known", "text, tokens, hf or synthetic")


class Windows:
    """Windows of one long array of tokens, at places drawn anew for every row."""

    def __init__(
        self, tokens: Encoded, vocabulary: int, sequence_length: int, global_batch: int, seed: int, name: str
    ) -> None:
        cut = len(tokens) - len(tokens) // _HELD_OUT
        self.vocabulary = vocabulary
        self._train, self._held_out = tokens[:cut], tokens[cut:]
        self._width, self._batch, self._seed = sequence_length + 1, global_batch, seed
        if len(self._held_out) < self._width:
            raise UserError(
                f"data={name} has {len(tokens)} tokens; its held-out tenth is shorter than a row of {self._width}",
                "more data, or a smaller sequence_length",
            )

    def rows(self, step: int, lanes: Sequence[int]) -> Tokens:
        places = len(self._train) - self._width + 1
        starts = [_draw(self._seed, step * self._batch + lane) % places for lane in lanes]
        return np.stack([self._train[start : start + self._width] for start in starts]).astype(np.int64)

    def held_out(self, count: int) -> Tokens:
        rows = min(count, len(self._held_out) // self._width)
        return np.array(self._held_out[: rows * self._width], dtype=np.int64).reshape(rows, self._width)


class Synthetic:
    """Random tokens, for benchmarks: nothing can be learnt from them."""

    def __init__(self, vocabulary: int, sequence_length: int, global_batch: int, seed: int) -> None:
        self.vocabulary = vocabulary
        self._width, self._batch, self._seed = sequence_length + 1, global_batch, seed

    def rows(self, step: int, lanes: Sequence[int]) -> Tokens:
        return np.stack([self._row(step * self._batch + lane) for lane in lanes])

    def held_out(self, count: int) -> Tokens:
        return np.stack([self._row(_MASK - row) for row in range(count)])

    def _row(self, index: int) -> Tokens:
        key = np.array([self._seed & _MASK, index], np.uint64)  # a list would go through floats, and lose digits
        generator = np.random.Generator(np.random.Philox(key=key))
        return generator.integers(self.vocabulary, size=self._width, dtype=np.int64)


class Stream:
    """A Hugging Face data set, streamed by name; each lane packs documents of its own into rows.

    Documents are dealt to lanes in turn, so a rank tokenizes those of its own lanes alone. To resume, the stream is
    read again from its beginning up to the position, which costs time in proportion to it.
    """

    def __init__(self, where: str, sequence_length: int, global_batch: int, tokenizer: str) -> None:
        self._name, _, config = where.partition(":")
        self._config = config or None
        self._encode, self.vocabulary = open_tokenizer(tokenizer)
        self._width, self._batch = sequence_length + 1, global_batch
        self._documents = self._open()
        self._dealt = 0
        self._done: dict[int, int] = {}
        self._left: dict[int, Encoded] = {}

    def rows(self, step: int, lanes: Sequence[int]) -> Tokens:
        for lane in lanes:
            self._done.setdefault(lane, 0)
            self._left.setdefault(lane, np.empty(0, np.int64))
        rows: list[Encoded] = []
        for lane in lanes:
            while True:
                while len(self._left[lane]) < self._width:
                    self._deal()
                row, self._left[lane] = self._left[lane][: self._width], self._left[lane][self._width :]
                self._done[lane] += 1
                if self._done[lane] > step:
                    rows.append(row)
                    break
        return np.stack(rows)

    def held_out(self, count: int) -> Tokens:
        rows: list[Encoded] = []
        left: Encoded = np.empty(0, np.int64)
        for text in self._open():
            if _is_held_out(text):
                left = np.concatenate([left, self._encode(text.encode())])
                while len(left) >= self._width and len(rows) < count:
                    rows.append(left[: self._width])
                    left = left[self._width :]
            if len(rows) == count:
                break
        if not rows:
            raise UserError(f"data=hf:{self._name} is too short for one held-out row", "a larger data set")
        return np.stack(rows)

    def _deal(self) -> None:
        """Give the next training document to its lane; lanes of other ranks are passed over."""
        try:
            text = next(self._documents)
        except StopIteration:
            if not self._dealt:
                raise UserError(
                    f"data=hf:{self._name} has no document to train on: all are held out", "a larger data set"
                ) from None
            self._documents = self._open()
            text = next(self._documents)
        if _is_held_out(text):
            return
        lane, self._dealt = self._dealt % self._batch, self._dealt + 1
        if lane in self._left:
            self._left[lane] = np.concatenate([self._left[lane], self._encode(text.encode())])

    def _open(self) -> Iterator[str]:
        try:
            from datasets import load_dataset
        except ImportError:
            raise UserError(
                "data=hf: needs package datasets", "pip install datasets in the case's environment"
            ) from None
        try:
            stream = load_dataset(self._name, self._config, split="train", streaming=True)
            first = next(iter(stream))
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(
                f"data=hf:{self._name} cannot be read: {reason}", "check its name, HF_TOKEN and the network"
            ) from None
        if "text" not in first:
            raise UserError(
                f"data=hf:{self._name} has no column 'text' ({', '.join(first)})", "a data set with a column 'text'"
            )
        return (document["text"] + "\n" for document in stream)


def bundled_text() -> bytes:
    """The frozen text, held to its digest."""
    text = resources.files("adt_train").joinpath("text/python_reference.txt").read_bytes()
    if hashlib.sha256(text).hexdigest() != TEXT_SHA256:
        raise UserError("adt_train/text/python_reference.txt is not the frozen text", "restore the file")
    return text


def open_tokenizer(name: str) -> tuple[Callable[[bytes], Encoded], int]:
    """A function from UTF-8 text to tokens, and the size of its vocabulary; ``bytes`` needs no file."""
    if name == "bytes":
        return lambda text: np.frombuffer(text, dtype=np.uint8), 256
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise UserError(
            "a tokenizer.json needs package tokenizers", "pip install tokenizers in the case's environment"
        ) from None
    try:
        tokenizer = Tokenizer.from_file(name)
    except Exception as error:
        raise UserError(f"tokenizer={name} cannot be read: {error}", "the path of a tokenizer.json, or bytes") from None
    return lambda text: np.array(
        tokenizer.encode(text.decode("utf-8", "replace")).ids, np.int64
    ), tokenizer.get_vocab_size()


def write_tokens(path: Path, tokens: Encoded, vocabulary: int) -> None:
    """Write tokens for ``tokens:FILE``: the numbers, and FILE.json with their type and vocabulary."""
    kind = np.uint16 if vocabulary <= 1 << 16 else np.uint32
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    tokens.astype(kind).tofile(part)
    part.replace(path)
    about = {"dtype": np.dtype(kind).name, "vocabulary": vocabulary, "tokens": len(tokens)}
    path.with_name(path.name + ".json").write_text(json.dumps(about) + "\n")


def open_tokens(path: Path) -> tuple[Encoded, int]:
    """Memory-mapped tokens and their vocabulary."""
    try:
        about = json.loads(path.with_name(path.name + ".json").read_text())
        count, vocabulary = int(about["tokens"]), int(about["vocabulary"])
        tokens = np.memmap(path, dtype=np.dtype(about["dtype"]), mode="r")
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, KeyError):
            reason = f"{path.name}.json says no {error}"
        raise UserError(
            f"data=tokens:{path} cannot be read: {reason}", "write it by python -m adt_train.tokenize"
        ) from None
    if len(tokens) != count:
        raise UserError(f"data=tokens:{path} has {len(tokens)} tokens, not {count}", "write it again")
    return tokens, vocabulary


def _read_bytes(where: str) -> bytes:
    try:
        return Path(where).read_bytes()
    except OSError as error:
        raise UserError(
            f"data=text:{where} cannot be read: {error.strerror}", "the path of a readable text file"
        ) from None


def _is_held_out(text: str) -> bool:
    """By what a document says, not by its place: its copies stay on the same side, in every pass over the stream."""
    return zlib.crc32(text.encode()) % _HELD_OUT == 0


def _draw(seed: int, index: int) -> int:
    """64 well-mixed bits of seed and index (SplitMix64, Steele, Lea and Flood 2014): no state that would be saved."""
    value = (seed * 0x9E3779B97F4A7C15 + (index + 1) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
