"""Rows of a `format` artifact: what one is, and how they are read back one by one. How they are written: `row_writer`.

Standard library only: the preview of the control plane reads rows too. Which of them train, validate and test is decided by
the readers (`splits`), so that one partition is formatted once and read as training data by one run and as test data by
another.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skillsengine.modeling.answers import render_answer
from skillsengine.scoring.few_shot import fill
from skillsengine.storage.artifact import Artifact

ROWS = "rows.jsonl"
REJECTED = "rejected.jsonl"

_NOT_IN_WORDS = re.compile(r"[^\x00-\x7f\w]")
_TO_SPACES = bytes(byte if byte > 0x7F or chr(byte).isalnum() else 0x20 for byte in range(256))
"""For `bytes.translate`: the same for ASCII."""
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


@dataclass(frozen=True)
class Row:
    """One clean row."""

    id: str
    text: str
    """The cleaned ad."""
    skills: tuple[str, ...] | None
    """Verbatim skills in order of first occurrence; None where the source has no labels."""
    key: str
    """sha256 (hex, 16 characters) of the normalized text: equal for exact copies of one ad."""
    split: str | None = None
    """`train`, `validation`, `test` where the source's file says so."""
    spans: tuple[tuple[int, int], ...] | None = None
    """Gold spans in `text`, ascending: (first character, behind the last); None where the source has none (`data.spans`)."""
    fields: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Column of `data.fields` -> its value in this row; a column without a value is missing."""

    @property
    def answer(self) -> str | None:
        """What the model should write: a space and a JSON list; None without labels."""
        return None if self.skills is None else render_answer(self.skills)

    def prompt(self, template: str) -> str:
        """What the model sees, up to and with `### Skills:`. Not stored: it holds the text a second time."""
        return fill(template, self.text)


def normalized_words(text: str) -> list[bytes]:
    """The words of the case-folded text, its runs of letters and digits, in UTF-8."""
    text = text.casefold()
    if not text.isascii():
        text = _NOT_IN_WORDS.sub(" ", text)
    # Not a regular expression that finds the words: it takes twice as long, and each ad is cut so twice.
    return text.encode().translate(_TO_SPACES).split()


def normalized_key(text: str) -> str:
    """sha256 (first 16 hex characters) of the normalized words, so that exact copies share a key."""
    return hashlib.sha256(b" ".join(normalized_words(text))).hexdigest()[:16]


def row_line(row: Row) -> str:
    """The row as one line of `rows.jsonl`, with its line break; `spans` and `fields` stand in it where the row has them."""
    # Not asdict: its deep copies cost more than all the rest of writing.
    values = dict(vars(row))
    if row.spans is None:
        del values["spans"]
    if not row.fields:
        del values["fields"]
    return _encode(values) + "\n"


def parse_row(line: str) -> Row:
    """One line of `rows.jsonl`."""
    data = json.loads(line)
    data["skills"] = None if data["skills"] is None else tuple(data["skills"])
    if "spans" in data:
        data["spans"] = tuple((start, end) for start, end in data["spans"])
    return Row(**data)


def read_rows(source: Artifact | Path, wanted: Sequence[int] | None = None) -> Iterator[Row]:
    """The rows of a `format` artifact (or of its folder) in their order; one is held at a time.

    `wanted`: as many numbers as there are rows; only rows whose number is not 0 are parsed and given.
    """
    path = source / ROWS if isinstance(source, Path) else source.file(ROWS)
    with path.open(encoding="utf-8") as file:
        for place, line in enumerate(file):
            if wanted is None or wanted[place]:
                yield parse_row(line)
