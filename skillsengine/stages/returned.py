"""A file of labelled ads as people or their tools hand it back (`skillsengine annotate import`), checked line by line.

A row has the ad's `text` and its labels: a list in `spans` (Prodigy), `entities` (doccano with relations), `labels` (older
doccano) or `label` (doccano, Label Studio's JSON-MIN, the export itself), whose items are `[start, end, ...]` or objects with
`start` and `end` (`start_offset` and `end_offset`). What the labels are called does not matter. A row without such a list, or
with another `answer` than `accept` (Prodigy), is not labelled yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillsengine.sources.files import SourceFile
from skillsengine.sources.reading.formats import read_rows
from skillsengine.sources.reading.rows import RawRow, kind, shown
from skillsengine.stages.annotations import Annotation
from skillsengine.stages.rows import Row
from skillsengine.stages.spans import Span

COLUMNS = ("spans", "entities", "labels", "label")
"""Where the labels may stand; the first that is there counts: the export has written `label`, and only a tool the others."""
_ENDINGS = (".jsonl", ".ndjson", ".json")


Problem = tuple[int, str]
"""(place of a row, what is wrong with it and the mend)."""


@dataclass(frozen=True)
class ReturnedAd:
    """One labelled row of the file."""

    place: int
    """Its line, or in a JSON list its number, from 1."""
    id: str | None
    text: str
    spans: tuple[Span, ...]
    partition: str | None
    """What the export has written into it, where the tool has kept it."""
    untouched: bool
    """Whether its labels are those that the model proposed; without proposals, whether there are none."""


@dataclass(frozen=True)
class Returned:
    """What stands in a file, and what is wrong with it."""

    file: str
    ads: tuple[ReturnedAd, ...]
    left_open: int
    """Rows that nobody has labelled yet."""
    problems: tuple[Problem, ...]


class _WrongError(Exception):
    """What is wrong with one row, and the mend."""


def read_returned(path: Path) -> Returned:
    """Read a file of JSON lines or a JSON list. Raises OSError, and SourceError for one that is no such file as a whole."""
    ads, problems, left_open = [], [], 0
    with path.open("rb") as stream:
        for raw in read_rows(SourceFile(path, ""), stream):
            try:
                ad = _ad(raw)
            except _WrongError as error:
                problems.append((raw.place, str(error)))
                continue
            if ad is None:
                left_open += 1
            else:
                ads.append(ad)
    return Returned(path.name, tuple(ads), left_open, tuple(problems))


def is_readable(path: Path) -> bool:
    """Whether the file's name is that of JSON lines or JSON."""
    return path.name.lower().endswith(_ENDINGS)


def join(returned: Returned, rows: Iterable[Row], partition: str) -> tuple[list[Annotation], list[Problem]]:
    """(the annotations of the rows that the file names, what is wrong with the others).

    A row is known by its id or, since some tools give ids of their own, by its text.
    """
    ids = {ad.id for ad in returned.ads if ad.id is not None}
    texts = {ad.text for ad in returned.ads}
    by_id: dict[str, Row] = {}
    by_text: dict[str, Row] = {}
    for each in rows:
        if each.id in ids:
            by_id.setdefault(each.id, each)
        if each.text in texts:
            by_text.setdefault(each.text, each)
    found: list[Annotation] = []
    problems = []
    first: dict[str, int] = {}
    for ad in returned.ads:
        named = by_id.get(ad.id) if ad.id is not None else None
        row = named if named is not None and named.text == ad.text else by_text.get(ad.text)
        if row is None:
            wrong = _other_text(ad, named, partition) if named else _unknown(ad, partition)
        elif row.id in first:
            wrong = f"the ad `{shown(row.id)}` stands in line {first[row.id]} already. Take one of the two out"
        else:
            first[row.id] = ad.place
            found.append(Annotation(row.id, row.text, ad.spans))
            continue
        problems.append((ad.place, f"{wrong}."))
    return found, problems


def _unknown(ad: ReturnedAd, partition: str) -> str:
    name = "this ad has no `id`, and" if ad.id is None else f"there is no ad `{shown(ad.id)}` in {partition}, and"
    return (
        f"{name} none has its text. Import into the partition that was exported (--partition), with texts as they were"
    )


def _other_text(ad: ReturnedAd, row: Row, partition: str) -> str:
    at = next((i for i, (one, two) in enumerate(zip(ad.text, row.text, strict=False)) if one != two), None)
    at = min(len(ad.text), len(row.text)) if at is None else at
    here, there = (shown(text[at : at + 20]) or "(its end)" for text in (ad.text, row.text))
    return (
        f"the text of `{shown(row.id)}` is another than in {partition}: `{here}` and not `{there}` from character {at + 1} on. "
        "Labels count its characters, so it must stay as it was: put it back, or export again if the source has changed"
    )


def _ad(raw: RawRow) -> ReturnedAd | None:
    """None for a row that is not labelled yet. Raises _WrongError."""
    if raw.values is None:
        raise _WrongError(f"{raw.reason}{f': {raw.detail}' if raw.detail else ''}. Mend the line, or take it out.")
    text = raw.values.get("text")
    if not isinstance(text, str):
        what = f"`text` is {kind(text)}" if "text" in raw.values else "it has no `text`"
        raise _WrongError(f"{what}. Each line holds the ad as it was exported: let the tool keep it.")
    column = next((name for name in COLUMNS if raw.values.get(name) is not None), None)
    if column is None or raw.values.get("answer", "accept") != "accept":
        return None
    spans = _spans(raw.values[column], column, text)
    name, partition = raw.values.get("id"), raw.values.get("partition")
    return ReturnedAd(
        raw.place,
        None if name is None else str(name),
        text,
        spans,
        partition if isinstance(partition, str) else None,
        _untouched(text, spans, raw.values.get("proposed")),
    )


def _spans(value: Any, column: str, text: str) -> tuple[Span, ...]:
    if not isinstance(value, list):
        raise _WrongError(f'`{column}` is {kind(value)}. It is a list of labels, such as [[0, 3, "SKILL"]].')
    return tuple(sorted({_span(item, f"item {place} of `{column}`", text) for place, item in enumerate(value, 1)}))


def _span(item: Any, where: str, text: str) -> Span:
    start, end = _ends(item)
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in (start, end)):
        raise _WrongError(f'{where} is {_json(item)}. A label is [start, end, "SKILL"], in characters of the text.')
    if not 0 <= start < end <= len(text):
        raise _WrongError(
            f"{where} is {_json(item)}, and the text has {len(text)} characters. They are counted from 0, and the end is the "
            "first one behind the label."
        )
    skill = text[start:end].strip()
    if not skill:
        raise _WrongError(f"{where} is {_json(item)}, where the text has only white space. Take the label out.")
    start += text[start:end].index(skill)
    return start, start + len(skill)


def _ends(item: Any) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        return item.get("start", item.get("start_offset")), item.get("end", item.get("end_offset"))
    if isinstance(item, list) and len(item) >= 2:
        return item[0], item[1]
    return None, None


def _untouched(text: str, spans: Sequence[Span], proposed: Any) -> bool:
    listed = proposed if isinstance(proposed, list) else []
    return {text[start:end] for start, end in spans} == {one for one in listed if isinstance(one, str) and one in text}


def _json(item: Any) -> str:
    text = json.dumps(item, ensure_ascii=False, default=str)
    return f"`{shown(text[:60])}{'…' if len(text) > 60 else ''}`"
