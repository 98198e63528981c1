"""What the page *Errors* shows: of one version on one partition, what it gets wrong, or what is known instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fastapi import HTTPException
from pydantic import BaseModel, Field

from skillsengine.airflow.ui.readable import Readable
from skillsengine.airflow.ui.scored import Key, Number, Page, ScoredOn, scored_on, trained_on
from skillsengine.reporting.charts import Files
from skillsengine.reporting.figures.errors import Choice, Errors, chosen_lines, error_lines, error_table, errors
from skillsengine.reporting.figures.plain import Missing, Table, or_missing
from skillsengine.reporting.figures.scores import Block, Score, score, scores_of
from skillsengine.reporting.figures.versions import VersionScore
from skillsengine.settings import Settings
from skillsengine.storage.catalog import Catalog, CellRow, VersionRow
from skillsengine.storage.opening import open_store
from skillsengine.storage.store import Store

PAGE = 10
_FREQUENT = 15


class Ask(BaseModel):
    """What the query string asks for."""

    version: Number = None
    """By default the champion, else the newest one that was scored."""
    partition: Key = ""
    """By default the one that the version's own run tested on, else the newest with labels."""
    kind: Literal["", "missed", "invented", "boundary"] = ""
    skill: str = Field("", max_length=1000)
    slice: str = Field("", max_length=300)
    q: str = Field("", max_length=200)
    page: Page = 1

    @property
    def choice(self) -> Choice:
        return Choice(self.kind or None, self.skill, self.q, self.slice)


@dataclass(frozen=True)
class Slice:
    """A part of the ads that one may look at alone."""

    name: str
    label: str
    ads: int


@dataclass(frozen=True)
class ErrorsView:
    """One version on one partition, as far as there is something."""

    found: Readable
    ask: Ask
    """With the version, the partition and the page that are shown."""
    versions: Sequence[VersionScore]
    row: VersionRow | None
    partitions: Mapping[str, int]
    """Of this version: partition -> labelled ads."""
    trained: bool
    """Whether the partition asked for is one that the version was trained on, and so has no score."""
    f1: Score | None
    slices: Sequence[Slice]
    without_labels: Block | None
    """Of an unlabelled partition: what is known of it."""
    known_files: Files | None
    """The same."""
    ads: int
    """That were scored."""
    errors: Errors | Missing | None
    frequent: Files | None

    @property
    def labelled(self) -> list[str]:
        return [key for key, labelled in self.partitions.items() if labelled]

    @property
    def pages(self) -> int:
        return max(1, -(-self.errors.wrong_ads // PAGE)) if isinstance(self.errors, Errors) else 1

    @property
    def first(self) -> int:
        """Place of the first ad among those found, from 1."""
        return (self.ask.page - 1) * PAGE + 1


def errors_view(found: Readable, ask: Ask, catalog: Catalog, settings: Settings) -> ErrorsView:
    """Raises HTTPException 404 for a version that is not there or may not be read."""
    scored = scored_on(found, catalog)
    row = _version(found, ask.version, scored)
    partitions = scored.partitions(row) if row else {}
    partition = ask.partition or _partition(row, partitions)
    ask = ask.model_copy(update={"version": row and row.number, "partition": partition})
    cell = scored.cell(row, partition, catalog) if row and partition in partitions else None
    shown = None
    if row is not None and cell is not None and cell.metrics.get("labelled_rows"):
        store = open_store(settings)
        shown = or_missing(lambda: _errors(row, cell, store, ask))
        if isinstance(shown, Errors):
            ask = ask.model_copy(update={"page": max(1, min(ask.page, -(-shown.wrong_ads // PAGE)))})
    told = cell.metrics if cell else {}
    blocks = scores_of({"adapter": told}).blocks
    known = next((block for block in blocks if block.name == "label-free"), None)
    return ErrorsView(
        found=found,
        ask=ask,
        versions=scored.versions,
        row=row,
        partitions=partitions,
        trained=row is not None and trained_on(row, partition, found.name),
        f1=score(told, "f1"),
        slices=[_slice(name, metrics["ads"]) for name, metrics in told.get("slices", {}).items()],
        without_labels=known,
        known_files=Files(_known(known)) if known else None,
        ads=int(told.get("rows", 0)),
        errors=shown,
        frequent=Files(_frequent(shown)) if isinstance(shown, Errors) else None,
    )


def all_errors(found: Readable, ask: Ask, catalog: Catalog, settings: Settings) -> Table:
    """Every error that is asked for, of all pages. Raises HTTPException 404 where there is none to be had."""
    scored = scored_on(found, catalog)
    row = _version(found, ask.version, scored)
    partitions = scored.partitions(row) if row else {}
    partition = ask.partition or _partition(row, partitions)
    if row is None or not partitions.get(partition):
        raise HTTPException(404, "There is no score with labels of this version on this partition.")
    cell, store = scored.cell(row, partition, catalog), open_store(settings)
    lines = or_missing(lambda: chosen_lines(error_lines(row, cell, store), ask.choice, cell, store))
    if isinstance(lines, Missing):
        raise HTTPException(404, lines.why)
    return error_table(lines, ask.kind or None)


def _version(found: Readable, number: int | None, scored: ScoredOn) -> VersionRow | None:
    """The one asked for, whether it was scored or not; without one that of the champion and the newest that was."""
    there = [each.number for each in scored.versions]
    chosen = found.choose(number)
    if number is None and there and chosen not in there:
        chosen = there[0]
    return None if chosen is None else found.rows[chosen]


def _partition(row: VersionRow | None, partitions: Mapping[str, int]) -> str:
    own = row and row.metrics.get("adapter", {}).get("partition")
    if partitions.get(str(own)):
        return str(own)
    return next((key for key, labelled in partitions.items() if labelled), next(iter(partitions), ""))


def _errors(row: VersionRow, cell: CellRow, store: Store, ask: Ask) -> Errors:
    def page(number: int) -> Errors:
        return errors(
            row,
            cell,
            store,
            choice=ask.choice,
            most_frequent=_FREQUENT,
            most_ads=PAGE,
            first_ad=(number - 1) * PAGE,
        )

    shown = page(ask.page)
    return shown if shown.ads or not shown.wrong_ads else page(-(-shown.wrong_ads // PAGE))


def _slice(name: str, ads: int) -> Slice:
    kind, _, value = name.partition("=")
    return Slice(name, f"{kind.removeprefix('fields.')}: {value}", ads)


def _known(block: Block) -> Table:
    return Table(("measure", "value"), tuple((each.label, each.scores["adapter"].value) for each in block.measures))


def _frequent(shown: Errors) -> Table:
    """Without the ids of all ads, which would make the page many times as long; the file of all errors has them."""
    rows = tuple(
        (kind, each.count, " -> ".join(each.skills)) for kind, found in shown.frequent.items() for each in found
    )
    return Table(("kind", "ads", "skill"), rows)
