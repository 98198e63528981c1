"""What `peers` scores on: the ads of SkillSpan's test split, whole and in paragraphs, and the rows that sides learn from."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.format_memory import DATA

SPLITS = ("train", "dev", "test")
NEAR_COPY = 0.5
"""An ad is a near copy from this share of its long sentences on that stand in an ad of the training split."""


@dataclass(frozen=True)
class Paragraph:
    """Sentences of one ad that follow each other, 120 words at most, cut without a look at the labels."""

    id: str
    text: str
    skills: tuple[str, ...]


@dataclass(frozen=True)
class Ad:
    """One ad of the test split with what people marked in it."""

    id: str
    text: str
    skills: tuple[str, ...]
    """Of both layers, each spelling once."""
    spans: frozenset[tuple[int, int]]
    """(first character, character behind the last) of every mark, of both layers."""
    near_copy: bool
    paragraphs: tuple[Paragraph, ...]


def read_rows_of(kind: str, split: str) -> list[dict[str, Any]]:
    """The lines of `kind` (`document`, `paragraph`) and `split`, as they are."""
    path = DATA / "skillspan" / kind / f"{split}.jsonl"
    if not path.is_file():
        raise SystemExit(
            f"no ads: this benchmark needs the real data sets beside the checkout ({DATA.name}/skillspan/)."
        )
    # Not splitlines: it breaks at U+2028 too, which stands in some ads.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")]


def paragraphs(split: str, limit: int | None = None) -> list[dict[str, Any]]:
    """The paragraphs of a split, of its first `limit` ads only."""
    rows = read_rows_of("paragraph", split)
    wanted = list(dict.fromkeys(row["doc_id"] for row in rows))[:limit]
    return [row for row in rows if row["doc_id"] in set(wanted)]


def read_ads(limit: int | None = None) -> list[Ad]:
    """The ads of the test split in the order of their paragraphs, the first `limit` of them."""
    parts: dict[str, list[Paragraph]] = {}
    for row in paragraphs("test", limit):
        parts.setdefault(row["doc_id"], []).append(Paragraph(row["id"], row["job_description"], tuple(row["skills"])))
    whole = {row["id"]: row for row in read_rows_of("document", "test")}
    return [_ad(whole[name], tuple(found)) for name, found in parts.items()]


def _ad(row: dict[str, Any], parts: tuple[Paragraph, ...]) -> Ad:
    marks = [*row["soft_or_task_spans"], *row["knowledge_spans"]]
    return Ad(
        id=row["id"],
        text=row["job_description"],
        skills=tuple(row["skills"]),
        spans=frozenset((start, end) for start, end, _ in marks),
        near_copy=row["near_copy_in_train"] >= NEAR_COPY,
        paragraphs=parts,
    )


def esco_names() -> list[str]:
    """The preferred labels of ESCO v1.1.0's skills."""
    with (DATA / "gazetteer" / "esco_skills_en.tsv").open(encoding="utf-8", newline="") as file:
        return [row["label"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def write_source(folder: Path, limit: int | None = None) -> None:
    """`train.jsonl`, `dev.jsonl` and `test.jsonl` of paragraphs, as a spec reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        rows = paragraphs(split, limit)
        write_lines(folder / f"{split}.jsonl", [{name: row[name] for name in _FIELDS} for row in rows])


_FIELDS = ("id", "job_description", "skills")


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """As JSON lines; whole or not at all, whatever ends the process."""
    beside = path.with_name(f".{path.name}.writing")
    beside.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    beside.replace(path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """What `write_lines` wrote; nothing where there is no such file."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n") if line]
