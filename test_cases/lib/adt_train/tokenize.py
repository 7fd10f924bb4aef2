"""Tokenize a text once: ``python -m adt_train.tokenize --text=FILE --tokenizer=FILE --out=FILE``.

Without --text, the bundled text; the tokenizer is ``bytes`` or the path of a tokenizer.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adt_train import UserError, data, parse_arguments, run_main


@dataclass
class Settings:
    """What to tokenize, how, and where to."""

    out: str
    text: str = ""
    tokenizer: str = "bytes"


def main() -> int:
    """Read, encode, write."""
    settings = parse_arguments(Settings)
    encode, vocabulary = data.open_tokenizer(settings.tokenizer)
    try:
        text = Path(settings.text).read_bytes() if settings.text else data.bundled_text()
    except OSError as error:
        raise UserError(
            f"text={settings.text} cannot be read: {error.strerror}", "the path of a readable text file"
        ) from None
    tokens = encode(text)
    try:
        data.write_tokens(Path(settings.out), tokens, vocabulary)
    except OSError as error:
        raise UserError(
            f"out={settings.out} cannot be written: {error.strerror or error}", "another folder, or more room"
        ) from None
    print(f"{len(tokens)} tokens of a vocabulary of {vocabulary} in {settings.out}")
    return 0


if __name__ == "__main__":
    run_main(main)
