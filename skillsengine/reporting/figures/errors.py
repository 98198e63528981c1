"""What a version gets wrong on a partition: the most frequent errors, and ads with the errors marked in their text."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skillsengine.reporting.figures.difference import predictions
from skillsengine.reporting.figures.marks import Elsewhere, Segment, mark_skills
from skillsengine.reporting.figures.plain import FigureMissing, Table
from skillsengine.reporting.figures.scores import Score, score
from skillsengine.scoring.frequent import KINDS, frequent
from skillsengine.scoring.matching import normalize_skill
from skillsengine.scoring.slices import slice_names
from skillsengine.stages.rows import read_rows
from skillsengine.storage.catalog import Catalog, CellRow, VersionRow
from skillsengine.storage.store import Store


@dataclass(frozen=True)
class Error:
    """An error that was made on one ad or several."""

    skills: tuple[str, ...]
    """The missed or the invented skill; of a boundary error the labelled one, then the extracted one."""
    count: int
    ads: tuple[str, ...]
    """Ids of the ads."""


@dataclass(frozen=True)
class Ad:
    """One ad on which something is wrong."""

    id: str
    missed: int
    invented: int
    boundary: int
    segments: tuple[Segment, ...]
    """Empty where the ad's text is no longer in the store."""
    elsewhere: tuple[Elsewhere, ...]
    """Skills of it that do not stand in the text word for word."""
    cut: bool
    """Whether the text is longer than what is shown."""


@dataclass(frozen=True)
class Choice:
    """Which of the ads with errors are asked for: those that all of it fits."""

    kind: str | None = None
    """Ads with an error of this kind: `missed`, `invented` or `boundary`."""
    skill: str = ""
    """Ads on which the error (of `kind`, else of any) is about this very skill."""
    query: str = ""
    """Words that the ad's text or id holds, all of them, in upper or lower case."""
    slice: str = ""
    """`length=short`, as `scoring.slices` names them."""


@dataclass(frozen=True)
class Errors:
    """Of one version on one partition."""

    version: str
    partition: str
    f1: Score | None
    labelled_ads: int
    gold_skills: int
    predicted_skills: int
    counts: Mapping[str, int]
    """`missed`, `invented`, `boundary`; the skills of a boundary error are in the first two, too."""
    frequent: Mapping[str, tuple[Error, ...]]
    """By kind, the most frequent first."""
    distinct: Mapping[str, int]
    """By kind, how many different errors there are; those shown may be fewer."""
    ads: tuple[Ad, ...]
    wrong_ads: int
    """Ads with an error, of which `ads` are some."""

    def table(self) -> Table:
        rows = [
            (kind, error.count, " -> ".join(error.skills), " ".join(error.ads))
            for kind, each in self.frequent.items()
            for error in each
        ]
        return Table(("kind", "ads", "skill", "ids"), tuple(rows))


def labelled_cell(version: VersionRow, catalog: Catalog, partition: str | None = None) -> CellRow:
    """The newest cell of the version with labels, on `partition` or on the newest one that has them.

    Raises FigureMissing that says what there is instead.
    """
    cells = [cell for cell in catalog.cells(adapter_digest=version.adapter_digest) if cell.kind == "adapter"]
    scored = sorted({cell.partition for cell in cells})
    if partition is not None:
        cells = [cell for cell in cells if cell.partition == partition]
    if not cells:
        there = f"it was scored on {', '.join(scored)}" if scored else "it was not scored yet"
        on = f" on {partition}" if partition is not None else ""
        raise FigureMissing(
            f"{version.name} has no score{on}: {there}. `skillsengine backfill {version.experiment}` scores what is missing."
        )
    labelled = [cell for cell in cells if cell.metrics.get("labelled_rows")]
    if not labelled:
        where = ", ".join(scored) if partition is None else partition
        raise FigureMissing(
            f"the ads that {version.name} was scored on ({where}) have no labels, so nobody knows what is wrong. "
            f"Name another partition, or have some labelled: `skillsengine annotate export {version.experiment}`."
        )
    return max(labelled, key=lambda cell: (cell.partition, cell.id))


def error_lines(version: VersionRow, cell: CellRow, store: Store) -> list[dict[str, Any]]:
    """The lines of the cell's errors.jsonl. Raises FigureMissing where there are none."""
    artifact = store.get("evaluate", cell.artifact_digest)
    if artifact is None or "errors.jsonl" not in artifact.manifest.files:
        why = "is no longer in the store" if artifact is None else "was made before lists of errors were kept"
        raise FigureMissing(
            f"{version.name} on {cell.partition}: its evaluation {why}. Score it again: "
            f"`skillsengine backfill {cell.experiment} --versions {version.number}`."
        )
    with artifact.file("errors.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def errors(
    version: VersionRow,
    cell: CellRow,
    store: Store,
    *,
    choice: Choice | None = None,
    most_frequent: int = 20,
    most_ads: int = 12,
    first_ad: int | None = None,
    most_characters: int = 4_000,
) -> Errors:
    """Of a labelled cell. Ads are those with an error that `choice` fits: `most_ads` from `first_ad` on, or with None so many
    from all over the partition. Of a longer ad the first `most_characters` are shown.

    Raises FigureMissing where the store has lost the evaluation, or, with a query, the texts of the ads.
    """
    choice = choice or Choice()
    lines = error_lines(version, cell, store)
    found = {name: frequent(lines, name) for name in KINDS}
    wrong = chosen_lines(lines, choice, cell, store)
    chosen = _spread(wrong, most_ads) if first_ad is None else wrong[first_ad : first_ad + most_ads]
    told = cell.metrics
    return Errors(
        version=version.name,
        partition=cell.partition,
        f1=score(told, "f1"),
        labelled_ads=told["labelled_rows"],
        gold_skills=told["gold_skills"],
        predicted_skills=told["predicted_skills"],
        counts={name: told[name] for name in KINDS},
        frequent={
            name: tuple(Error(each.skills, len(each.ads), tuple(each.ads)) for each in found[name][:most_frequent])
            for name in KINDS
        },
        distinct={name: len(each) for name, each in found.items()},
        ads=_ads(chosen, cell, store, most_characters),
        wrong_ads=len(wrong),
    )


def chosen_lines(lines: Sequence[dict[str, Any]], choice: Choice, cell: CellRow, store: Store) -> list[dict[str, Any]]:
    """Those of `error_lines` that a choice fits, in their order.

    Raises FigureMissing where the texts of the ads are needed and gone.
    """
    kinds = [choice.kind] if choice.kind else KINDS
    kept = [line for line in lines if any(line[kind] for kind in kinds)]
    if choice.skill:
        name = normalize_skill(choice.skill)
        kept = [line for line in kept if any(name in _names(error) for kind in kinds for error in line[kind])]
    if choice.slice:
        there = _in_slice(choice.slice, cell, store)
        kept = [line for line in kept if _identity(line) in there]
    words = choice.query.casefold().split()
    if words:
        told = {_identity(line): str(line["id"]) for line in kept}
        held = {
            name
            for name, text in _texts(told, cell, store)
            if all(w in f"{told[name]} {text}".casefold() for w in words)
        }
        kept = [line for line in kept if _identity(line) in held]
    return kept


def error_table(lines: Iterable[Mapping[str, Any]], kind: str | None = None) -> Table:
    """Every error of these lines, or every one of a kind."""
    rows = (
        (line["id"], each, *(error if each == "boundary" else (error, None)))
        for line in lines
        for each in ([kind] if kind else KINDS)
        for error in line[each]
    )
    return Table(("ad", "kind", "skill", "extracted as"), tuple(rows))


def _names(error: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(map(normalize_skill, (error,) if isinstance(error, str) else error))


def _identity(line: Mapping[str, Any]) -> tuple[str, str]:
    return str(line["id"]), str(line["key"])


def _in_slice(name: str, cell: CellRow, store: Store) -> set[tuple[str, str]]:
    evaluated = store.get("evaluate", cell.artifact_digest)
    labelled = [row for row in predictions(evaluated) if row["gold"] is not None] if evaluated else []
    return {_identity(row) for row, names in zip(labelled, slice_names(labelled), strict=True) if name in names}


def _texts(wanted: Container[tuple[str, str]], cell: CellRow, store: Store) -> Iterator[tuple[tuple[str, str], str]]:
    formatted = store.get("format", cell.data_digest)
    if formatted is None:
        raise FigureMissing(
            f"the ads of {cell.partition} are no longer in the store, so nothing can be looked for in their texts. A run or a "
            "backfill on the partition formats it again."
        )
    for row in read_rows(formatted):
        if (row.id, row.key) in wanted:
            yield (row.id, row.key), row.text


def _spread(lines: Sequence[dict[str, Any]], most: int) -> Sequence[dict[str, Any]]:
    """At most so many, evenly from all over: the first ads of a month are often of one source."""
    if len(lines) <= most:
        return lines
    return [lines[place * len(lines) // most] for place in range(most)]


def _ads(lines: Iterable[Mapping[str, Any]], cell: CellRow, store: Store, most: int) -> tuple[Ad, ...]:
    wanted = {_identity(line): line for line in lines}
    evaluated = store.get("evaluate", cell.artifact_digest)
    rows = predictions(evaluated) if evaluated else ()
    answers = {_identity(row): row for row in rows if _identity(row) in wanted}
    texts: dict[tuple[str, str], str] = {}
    if store.get("format", cell.data_digest) is not None:
        for name, text in _texts(wanted, cell, store):
            texts[name] = text
            if len(texts) == len(wanted):
                break
    return tuple(_ad(line, texts.get(name, ""), answers.get(name, {}), most) for name, line in wanted.items())


def _ad(line: Mapping[str, Any], text: str, answer: Mapping[str, Any], most: int) -> Ad:
    pairs = [(missed, invented) for missed, invented in line["boundary"]]
    segments, elsewhere = mark_skills(text, answer.get("gold") or (), answer.get("predicted") or (), pairs)
    shown = _first(segments, most)
    return Ad(
        id=str(line["id"]),
        missed=len(line["missed"]),
        invented=len(line["invented"]),
        boundary=len(line["boundary"]),
        segments=shown,
        elsewhere=elsewhere,
        cut=sum(len(segment.text) for segment in shown) < len(text),
    )


def _first(segments: Sequence[Segment], most: int) -> tuple[Segment, ...]:
    """Whole segments up to so many characters; a long one without a mark is cut."""
    kept, left = [], most
    for segment in segments:
        if left <= 0:
            break
        if len(segment.text) > left and segment.mark is None:
            segment = Segment(segment.text[:left])
        kept.append(segment)
        left -= len(segment.text)
    return tuple(kept)
