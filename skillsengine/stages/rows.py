"""Rows of a `format` artifact, and which of them are for training, validation and the test.

The artifact knows no split of its own (only the source's files may name one), so that one partition is formatted once and
read as training data by one run and as test data by another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from skillsengine.spec.schema import Split
from skillsengine.storage.artifact import Artifact

ROWS = "rows.jsonl"
REJECTED = "rejected.jsonl"


@dataclass(frozen=True)
class Row:
    """One clean, rendered row."""

    id: str
    text: str
    """The cleaned ad."""
    skills: tuple[str, ...] | None
    """Verbatim skills in order of first occurrence; None where the source has no labels."""
    prompt: str
    """What the model sees, up to and with `### Skills:`."""
    answer: str | None
    """What it should write: a space and a JSON list; None without labels."""
    key: str
    """sha256 (hex, 16 characters) of the normalized text: equal for copies of one ad; decides the split."""
    split: str | None = None
    """`train`, `validation`, `test` where the source's file says so."""


def normalized_key(text: str) -> str:
    """sha256 (first 16 hex characters) of the case-folded text's letters and digits, so that copies share a key."""
    words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(asdict(row), ensure_ascii=False, sort_keys=True) + "\n")


def parse_row(line: str) -> Row:
    """One line of `rows.jsonl`."""
    data = json.loads(line)
    data["skills"] = None if data["skills"] is None else tuple(data["skills"])
    return Row(**data)


def read_rows(artifact: Artifact) -> Iterator[Row]:
    with artifact.file(ROWS).open(encoding="utf-8") as file:
        for line in file:
            yield parse_row(line)


def _share(key: str, salt: str) -> float:
    """A number in [0, 1) that depends on the text alone: the same ad falls on the same side in every run."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode()).digest()[:8], "big") / 2**64


def split_of(row: Row, split: Split, *, dated: bool) -> str:
    """`train`, `validation` or `test`: the source's own word first, else by the hash of the text.

    A dated source has no hashed test: its test is the run's own partition, as a whole.
    """
    if row.split is not None:
        return row.split
    if not dated and _share(row.key, "test") < split.test:
        return "test"
    return "validation" if _share(row.key, "validation") < split.validation else "train"


def training_rows(artifacts: Iterable[Artifact], split: Split, *, dated: bool) -> tuple[list[Row], list[Row]]:
    """(train, validation) of labelled rows; a copy of an ad that was already taken is left out.

    Where the sources' files name a test, its texts never train.
    """
    rows = [row for artifact in artifacts for row in read_rows(artifact)]
    held_out = {row.key for row in rows if split_of(row, split, dated=dated) == "test"}
    parts: dict[str, list[Row]] = {"train": [], "validation": []}
    # Validation first: a text that stands in both files must not be trained on and then measured.
    seen = set(held_out)
    for part in ("validation", "train"):
        for row in rows:
            if split_of(row, split, dated=dated) == part and row.answer is not None and row.key not in seen:
                seen.add(row.key)
                parts[part].append(row)
    return parts["train"], parts["validation"]


def test_rows(artifact: Artifact, split: Split, *, dated: bool) -> list[Row]:
    """The rows a score is computed on, before rows that the adapter was trained on are left out."""
    rows = read_rows(artifact)
    return list(rows) if dated else [row for row in rows if split_of(row, split, dated=dated) == "test"]
