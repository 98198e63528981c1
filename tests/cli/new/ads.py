"""Ads for the tests of `new`, in the forms that people have them in."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from skillsengine.spec.load import load_spec

SKILLS = ("TIG welding", "C++", "shift planning", "first aid", "bookkeeping", "SQL", "baking rye bread")

Rows = list[dict[str, Any]]


def ads(count: int, start: int = 0) -> Rows:
    """Ads of which no two are near copies, with two or three skills that stand in them."""
    rows = []
    for number in range(start, start + count):
        named = [SKILLS[(number + step * 3) % len(SKILLS)] for step in range(2 + number % 2)]
        place = " ".join(
            f"{word}{number * 7 + index}" for index, word in enumerate(("north", "gate", "row", "hall", "yard"))
        )
        rows.append(
            {
                "id": f"ad-{number:04d}",
                "text": f"Shop {number} wants {' and '.join(named)} at {place}.",
                "skills": named,
            }
        )
    return rows


def as_csv(rows: Rows, join: str = "; ", separator: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: join.join(value) if isinstance(value, list) else value for name, value in row.items()})
    return text.getvalue()


def as_jsonl(rows: Rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def renamed(rows: Rows, **names: str) -> Rows:
    return [{names.get(old, old): value for old, value in row.items()} for row in rows]


def spec_of(project: Path, name: str = "mine") -> Any:
    return load_spec(project / "experiments" / f"{name}.yaml").experiment


def tree(project: Path) -> list[str]:
    return sorted(path.relative_to(project).as_posix() for path in project.rglob("*") if path.name != "catalog.db")
