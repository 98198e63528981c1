"""Tables as people have them, and what is guessed about them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skillsengine.draft.columns import Column, columns_of
from skillsengine.draft.guess import Guess, Options, make_guess
from skillsengine.draft.look import Sample, look
from skillsengine.draft.place import DataFile, Place, find_place
from skillsengine.sources.reading.rows import RawRow

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
"""When these tests draft."""

Rows = list[dict[str, Any]]


def read_jsonl(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def renamed(rows: Rows, names: Mapping[str, str]) -> Rows:
    """The rows with the columns of `names` alone, called as it says, in its order."""
    return [{new: row[old] for old, new in names.items()} for row in rows]


def with_column(rows: Rows, column: str, values: Sequence[Any]) -> Rows:
    return [{**row, column: value} for row, value in zip(rows, values, strict=True)]


def write_table(path: Path, rows: Rows, separator: str = ",") -> Path:
    """As .jsonl or .csv, by the name; lists become JSON in a cell."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: json.dumps(cell) if isinstance(cell, list) else cell for name, cell in row.items()})
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def looked_at(path: Path) -> tuple[Place, Sample]:
    place = find_place(str(path), path.parent)
    return place, look(place)


def guess_file(path: Path, **options: str) -> Guess:
    """What is guessed about a file, as the command does it."""
    return make_guess(*looked_at(path), Options(**options), NOW)


def guess_rows(rows: Rows, **options: str) -> Guess:
    """What is guessed about rows as a reader gives them."""
    path = Path("/data/ads.jsonl")
    sample = Sample([RawRow(path.name, number, row) for number, row in enumerate(rows, 1)], files=1)
    return make_guess(Place(path.parent, path.name, (DataFile(path),)), sample, Options(**options), NOW)


def columns(rows: Rows) -> list[Column]:
    return columns_of(rows, list(dict.fromkeys(name for row in rows for name in row)))[0]


def labels_of(guess: Guess) -> tuple[str, str]:
    """(column, format) of the labels."""
    assert guess.labels.column is not None
    return guess.labels.column.value, guess.labels.label_format.value


def ads(count: int, *, skills: bool = True) -> Rows:
    """Synthetic ads: each its own sentence, two to four skills that stand in it."""
    return [
        {"text": text, "skills": list(named)} if skills else {"text": text}
        for _, (text, named) in zip(range(count), _ads(), strict=False)
    ]


def _ads() -> Iterator[tuple[str, tuple[str, ...]]]:
    known = ("TIG welding", "SQL", "C++", "shift planning", "Python", "first aid", "bookkeeping")
    number = 0
    while True:
        named = tuple(known[(number + step) % len(known)] for step in range(2 + number % 3))
        yield (
            f"Team {number} of our plant looks for somebody who knows {' and '.join(named)} and likes to work with people. "
            "We offer a fair wage, five weeks of holidays and a quiet place to learn from the others.",
            named,
        )
        number += 1
