"""What the page of one experiment shows, part by part. A part that cannot be made says why in its place; the others stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from skillsengine.airflow.ui.access import Access
from skillsengine.airflow.ui.readable import Readable, readable
from skillsengine.airflow.ui.runs import RunView, newest
from skillsengine.reporting import charts
from skillsengine.reporting.figures.descent import Descent, descent
from skillsengine.reporting.figures.lengths import lengths
from skillsengine.reporting.figures.plain import Missing, or_missing
from skillsengine.reporting.figures.scores import Score
from skillsengine.reporting.figures.training import training
from skillsengine.reporting.figures.verdict import Verdict, verdict
from skillsengine.reporting.figures.versions import Versions, VersionScore
from skillsengine.reporting.report import report_name
from skillsengine.settings import Settings
from skillsengine.storage.catalog import Catalog, VersionRow
from skillsengine.storage.opening import open_store


@dataclass(frozen=True)
class VersionView:
    """One version in the table, and what the gate said of it."""

    score: VersionScore
    reason: str
    ours: bool
    """Whether this experiment made it."""
    verdict: str

    @property
    def f1(self) -> Score | None:
        return self.score.scores.get("adapter")


@dataclass(frozen=True)
class Chosen:
    """The version that the page tells more about."""

    row: VersionRow
    verdict: Verdict | None
    descent: Descent | Missing
    digests: charts.Files | None
    """All of the lineage, as a table."""
    loss: charts.Chart | Missing
    throughput: charts.Chart | None
    lengths: charts.Chart | Missing
    has_report: bool
    """Whether a run has left its report in the store."""


@dataclass(frozen=True)
class ExperimentView:
    """One experiment, as far as the user may read it."""

    found: Readable
    runs: Sequence[RunView]
    scoring_runs: Sequence[RunView]
    versions: Sequence[VersionView]
    chart: charts.Chart | None
    chosen: Chosen | None


def experiment_view(
    name: str, access: Access, catalog: Catalog, settings: Settings, number: int | None
) -> ExperimentView:
    """`number` is the version to tell more about; by default the champion, else the newest.

    Raises HTTPException 404 where there is no such experiment or version, CatalogUnavailable where the catalog does not answer.
    """
    found = readable(name, access, catalog, settings)
    chosen = found.choose(number)
    scoring = f"{name}.evaluations"
    return ExperimentView(
        found=found,
        runs=newest(catalog, access.session, name, name, "retrain") if found.sees_runs else (),
        scoring_runs=newest(catalog, access.session, name, scoring, "evaluations") if found.sees_runs else (),
        versions=[_version(each, found.rows[each.number], name) for each in reversed(found.versions.versions)],
        chart=charts.versions(found.versions, found.aliases.get("champion")),
        chosen=None if chosen is None else _told_of(found.rows[chosen], found.versions, catalog, settings),
    )


def _version(score: VersionScore, row: VersionRow, experiment: str) -> VersionView:
    told: Mapping[str, Any] = row.verdict or {}
    return VersionView(score, str(told.get("reason", "")), row.experiment == experiment, str(told.get("verdict", "")))


def _told_of(row: VersionRow, shown: Versions, catalog: Catalog, settings: Settings) -> Chosen:
    store = open_store(settings)
    trained = or_missing(lambda: training(row, store, catalog))
    traced = or_missing(lambda: descent(row, store, catalog, settings))
    return Chosen(
        row=row,
        verdict=_verdict(row, shown, catalog),
        descent=traced,
        digests=None if isinstance(traced, Missing) else charts.Files(traced.table()),
        loss=trained if isinstance(trained, Missing) else charts.loss(trained),
        throughput=None if isinstance(trained, Missing) else charts.throughput(trained),
        lengths=or_missing(lambda: charts.token_lengths(lengths(row, store))),
        has_report=store.has_named(report_name(row)),
    )


def _verdict(row: VersionRow, shown: Versions, catalog: Catalog) -> Verdict | None:
    """Without the moves to versions that are not shown: their reasons tell those versions' scores."""
    found, numbers = verdict(row, catalog), {each.number for each in shown.versions}
    return found and replace(found, moves=tuple(move for move in found.moves if move.new in numbers))
