"""What the page *Compare* shows: two versions, where their specs, their scores and their answers differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Literal

from fastapi import HTTPException
from pydantic import BaseModel

from skillsengine.airflow.ui.access import Access
from skillsengine.airflow.ui.readable import Readable
from skillsengine.airflow.ui.scored import Key, Number, Page, ScoredOn, scored_on, trained_on
from skillsengine.reporting.charts import Files
from skillsengine.reporting.figures.changes import Changes, changes
from skillsengine.reporting.figures.difference import Difference, predictions
from skillsengine.reporting.figures.disagreements import Ad, Disagreements, Which, ads, disagreements
from skillsengine.reporting.figures.plain import FigureMissing, Missing, Table, or_missing
from skillsengine.reporting.figures.side_by_side import SideBySide, differences, side_by_side
from skillsengine.reporting.figures.verdict import Verdict, verdict
from skillsengine.settings import Settings
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.catalog import Catalog, CellRow, VersionRow
from skillsengine.storage.opening import open_store
from skillsengine.storage.store import Store

PAGE = 10
_MOST_NAMED = 8


class Ask(BaseModel):
    """What the query string asks for."""

    a: Number = None
    """By default the champion, else the version before the newest."""
    b: Number = None
    """By default the newest version that is not a."""
    partition: Key = ""
    """By default the newest one that both were scored on with labels, else without."""
    better: Literal["", "a", "b", "equal"] = ""
    """Only ads on which this one does better, or both alike."""
    page: Page = 1

    @property
    def which(self) -> Which | None:
        return self.better or None


@dataclass(frozen=True)
class Pairing:
    """What the answers of two evaluations tell: it is worked out once, since they never change."""

    differences: Mapping[str, Difference] | Missing
    """Score -> b minus a."""
    found: Disagreements


@dataclass(frozen=True)
class OnPartition:
    """Both on one partition."""

    scores: SideBySide
    pairing: Pairing | Missing
    numbers: Files
    ads: Sequence[Ad] | Missing
    """Those of this page."""
    chosen: int
    """How many ads fit what was asked."""

    @property
    def pages(self) -> int:
        return max(1, -(-self.chosen // PAGE))


@dataclass(frozen=True)
class CompareView:
    """Two versions, as far as the user may read them."""

    found: Readable
    ask: Ask
    """With the versions, the partition and the page that are shown."""
    a: VersionRow | None
    b: VersionRow | None
    """None where there is no second version."""
    changes: Changes | Missing | None
    """None where the user may not read the code of the DAGs that made them."""
    change_files: Files | None
    verdicts: Sequence[Verdict]
    """The gate's, where it compared these two."""
    partitions: Mapping[str, int]
    """That both were scored on: partition -> ads with labels, of whichever has fewer."""
    left_out: Sequence[str]
    """Why others cannot be chosen, in sentences."""
    here: OnPartition | None

    @property
    def first(self) -> int:
        """Place of the first ad among those found, from 1."""
        return (self.ask.page - 1) * PAGE + 1


def compare_view(found: Readable, ask: Ask, access: Access, catalog: Catalog, settings: Settings) -> CompareView:
    """Raises HTTPException 404 for a version that is not there or may not be read."""
    a, b = _versions(found, ask)
    ask = ask.model_copy(update={"a": a and a.number, "b": b and b.number})
    if a is None or b is None or a.number == b.number:
        return CompareView(found, ask, a, b, None, None, (), {}, (), None)
    scored, store = scored_on(found, catalog), open_store(settings)
    common = _common(scored, a, b)
    partition = ask.partition or next((key for key, labelled in common.items() if labelled), next(iter(common), ""))
    ask = ask.model_copy(update={"partition": partition})
    here = None
    if partition in common:
        here, ask = _on_partition(
            ask, scored.cell(a, partition, catalog), scored.cell(b, partition, catalog), a, b, store
        )
    told = _changes(a, b, access, store, settings)
    return CompareView(
        found=found,
        ask=ask,
        a=a,
        b=b,
        changes=told,
        change_files=Files(told.table()) if isinstance(told, Changes) else None,
        verdicts=[v for row in (b, a) if (v := verdict(row, catalog)) and v.opponent in (a.name, b.name)],
        partitions=common,
        left_out=_left_out(scored, a, b),
        here=here,
    )


def all_disagreements(found: Readable, ask: Ask, catalog: Catalog, settings: Settings) -> Table:
    """Every ad on which the two disagree, of all pages, without its text. Raises HTTPException 404 where there is nothing to
    compare."""
    a, b = _versions(found, ask)
    scored, store = scored_on(found, catalog), open_store(settings)
    common = _common(scored, a, b) if a and b else {}
    if a is None or b is None or ask.partition not in common:
        raise HTTPException(404, "There is no such partition that both of these versions were scored on.")
    cell_a, cell_b = (scored.cell(row, ask.partition, catalog) for row in (a, b))
    pairing = or_missing(lambda: _pairing(store, cell_a, cell_b, a.name, b.name))
    if isinstance(pairing, Missing):
        raise HTTPException(404, pairing.why)
    rows_a = predictions(_evaluation(cell_a, a.name, store))
    rows_b = predictions(_evaluation(cell_b, b.name, store))
    rows = tuple(
        (
            rows_a[each.line_a]["id"],
            each.wrong_a,
            each.wrong_b,
            *("; ".join(skills or ()) for skills in _answers(rows_a[each.line_a], rows_b[each.line_b])),
        )
        for each in pairing.found.of(ask.which)
    )
    columns = ("ad", f"wrong: {a.name}", f"wrong: {b.name}", "labels", f"skills of {a.name}", f"skills of {b.name}")
    return Table(columns, rows)


def _answers(a: Mapping[str, Sequence[str]], b: Mapping[str, Sequence[str]]) -> tuple[Sequence[str], ...]:
    return a["gold"], a["predicted"], b["predicted"]


def _versions(found: Readable, ask: Ask) -> tuple[VersionRow | None, VersionRow | None]:
    """The two asked for; what was not said is the champion against the newest, else the newest two."""
    a, b = (None if number is None else found.choose(number) for number in (ask.a, ask.b))
    newest, champion = sorted(found.rows, reverse=True), found.aliases.get("champion")
    if b is None:
        b = next((number for number in newest if number != a), None)
    if a is None:
        order = [champion, *newest] if champion in found.rows else newest
        a = next((number for number in order if number != b), None)
    return (None if a is None else found.rows[a]), (None if b is None else found.rows[b])


def _common(scored: ScoredOn, a: VersionRow, b: VersionRow) -> dict[str, int]:
    on_a, on_b = scored.partitions(a), scored.partitions(b)
    return {
        key: min(labelled, on_b[key])
        for key, labelled in on_a.items()
        if key in on_b and not any(trained_on(row, key, scored.experiment) for row in (a, b))
    }


def _left_out(scored: ScoredOn, a: VersionRow, b: VersionRow) -> list[str]:
    on_a, on_b = scored.partitions(a), scored.partitions(b)
    either = sorted({*on_a, *on_b})
    told, named = [], set(_common(scored, a, b))
    for row in dict.fromkeys((a, b)):
        keys = [key for key in either if trained_on(row, key, scored.experiment)]
        named.update(keys)
        if keys:
            told.append(f"{row.name} was trained on {_few(keys)}.")
    for row, own, others in ((a, on_a, b), (b, on_b, a)):
        if keys := sorted(set(own) - named):
            told.append(f"{row.name} was scored on {_few(keys)}, and {others.name} was not.")
    return told


def _few(keys: Sequence[str]) -> str:
    more = len(keys) - _MOST_NAMED
    return ", ".join(keys[:_MOST_NAMED]) + (f" and {more} others" if more > 0 else "")


def _changes(
    a: VersionRow, b: VersionRow, access: Access, store: Store, settings: Settings
) -> Changes | Missing | None:
    if not all(access.may_read_code(experiment) for experiment in {a.experiment, b.experiment}):
        return None
    return or_missing(lambda: changes(a, b, store, settings))


def _on_partition(
    ask: Ask, cell_a: CellRow, cell_b: CellRow, a: VersionRow, b: VersionRow, store: Store
) -> tuple[OnPartition, Ask]:
    """And the question, with a page that there is."""
    scores = side_by_side(a.name, b.name, cell_a, cell_b)
    pairing = or_missing(lambda: _pairing(store, cell_a, cell_b, a.name, b.name))
    told = {} if isinstance(pairing, Missing) or isinstance(pairing.differences, Missing) else pairing.differences
    numbers = Files(scores.table(told))
    if isinstance(pairing, Missing):
        return OnPartition(scores, pairing, numbers, pairing, 0), ask
    chosen = pairing.found.of(ask.which)
    ask = ask.model_copy(update={"page": max(1, min(ask.page, -(-len(chosen) // PAGE)))})
    shown = chosen[(ask.page - 1) * PAGE : ask.page * PAGE]
    found = or_missing(
        lambda: ads(
            shown,
            _evaluation(cell_a, a.name, store),
            _evaluation(cell_b, b.name, store),
            store.get("format", cell_a.data_digest),
        )
    )
    return OnPartition(scores, pairing, numbers, found, len(chosen)), ask


@dataclass(frozen=True)
class _Evaluated:
    """An evaluation; what was worked out of one at the same place, named by its digest, is true of it too."""

    place: Path
    artifact: Artifact = field(compare=False)


def _pairing(store: Store, cell_a: CellRow, cell_b: CellRow, a: str, b: str) -> Pairing:
    """Raises FigureMissing where the store has lost one of the evaluations, also of a pair that was worked out before."""
    found = [_evaluation(cell, name, store) for cell, name in ((cell_a, a), (cell_b, b))]
    ours, theirs = (_Evaluated(each.folder, each) for each in found)
    with _ONE_AT_A_TIME:
        return _worked_out(ours, theirs, a, b)


# Of 10,000 ads it takes some seconds of a core: whoever asks for the same meanwhile finds it done.
_ONE_AT_A_TIME = Lock()


@lru_cache(maxsize=16)
def _worked_out(evaluated_a: _Evaluated, evaluated_b: _Evaluated, a: str, b: str) -> Pairing:
    rows_a, rows_b = predictions(evaluated_a.artifact), predictions(evaluated_b.artifact)
    try:
        told: Mapping[str, Difference] | Missing = differences(a, b, rows_a, rows_b)
    except FigureMissing as error:
        told = Missing(str(error))
    return Pairing(told, disagreements(rows_a, rows_b))


def _evaluation(cell: CellRow, version: str, store: Store) -> Artifact:
    found = store.get("evaluate", cell.artifact_digest)
    if found is None:
        number = version.rpartition("@")[2]
        raise FigureMissing(
            f"the evaluation of {version} on {cell.partition} is no longer in the store. Score it again: "
            f"`skillsengine backfill {cell.experiment} --versions {number}`."
        )
    return found
