"""What the page of one experiment shows, part by part. A part that cannot be made says why in its place; the others stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastapi import HTTPException

from skillsengine.airflow.dagfile import read_back
from skillsengine.airflow.ui.access import NOT_FOUND, Access
from skillsengine.airflow.ui.known import ExperimentDag, SpecProblem, dag_code, experiment_dags
from skillsengine.airflow.ui.listing import visible_problems
from skillsengine.airflow.ui.runs import RunView, newest
from skillsengine.airflow.ui.spec_view import SpecView, spec_view
from skillsengine.reporting import charts
from skillsengine.reporting.figures.descent import Descent, descent
from skillsengine.reporting.figures.lengths import lengths
from skillsengine.reporting.figures.plain import FigureMissing, Missing
from skillsengine.reporting.figures.scores import Score
from skillsengine.reporting.figures.training import training
from skillsengine.reporting.figures.verdict import Verdict, verdict
from skillsengine.reporting.figures.versions import Versions, VersionScore, versions
from skillsengine.settings import Settings
from skillsengine.storage.catalog import Catalog, VersionRow
from skillsengine.storage.store import Store, StoreError

T = TypeVar("T")


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


@dataclass(frozen=True)
class ExperimentView:
    """One experiment, as far as the user may read it."""

    name: str
    dag: ExperimentDag | None
    problem: SpecProblem | None
    model: str
    sees_code: bool
    sees_runs: bool
    spec: SpecView | None
    runs: Sequence[RunView]
    scoring_runs: Sequence[RunView]
    versions: Sequence[VersionView]
    hidden_versions: int
    """Of the same model, made by experiments that the user may not read."""
    chart: charts.Chart | None
    aliases: Mapping[str, int]
    chosen: Chosen | None


def find(name: str, access: Access) -> tuple[ExperimentDag | None, SpecProblem | None]:
    """The experiment's DAG and the problem of its spec. Raises HTTPException 404 where there is neither, or neither may be
    read."""
    known = experiment_dags(access.session, name)
    dag = known.get(name) if access.may_read(name) else None
    problem = visible_problems(access, known, name).get(name)
    if dag is None and problem is None:
        raise HTTPException(404, NOT_FOUND)
    return dag, problem


def experiment_view(
    name: str, access: Access, catalog: Catalog, settings: Settings, number: int | None
) -> ExperimentView:
    """`number` is the version to tell more about; by default the champion, else the newest.

    Raises HTTPException 404 where there is no such experiment or version, CatalogUnavailable where the catalog does not answer.
    """
    dag, problem = find(name, access)
    sees_runs = dag is not None and access.may_read_runs(name)
    code = dag_code(access.session, name) if dag is not None and access.may_read_code(name) else None
    compiled = read_back(code) if code else None
    spec = spec_view(compiled, settings) if compiled else None
    model = _model(name, spec, catalog)
    told, hidden = _readable(versions(model, catalog), access) if sees_runs else (Versions(model, "f1", ()), 0)
    rows = {row.number: row for row in catalog.versions(model)} if sees_runs else {}
    aliases = catalog.aliases(model) if sees_runs else {}
    chosen = _choose(told, aliases, number)
    return ExperimentView(
        name=name,
        dag=dag,
        problem=problem,
        model=model,
        sees_code=code is not None,
        sees_runs=sees_runs,
        spec=spec,
        runs=newest(catalog, access.session, name, name, "retrain") if sees_runs else (),
        scoring_runs=newest(catalog, access.session, name, f"{name}.evaluations", "evaluations") if sees_runs else (),
        versions=[_version(each, rows[each.number], name) for each in reversed(told.versions)],
        hidden_versions=hidden,
        chart=charts.versions(told, aliases.get("champion")),
        aliases=aliases,
        chosen=None if chosen is None else _told_of(rows[chosen], told, catalog, settings),
    )


def _model(name: str, spec: SpecView | None, catalog: Catalog) -> str:
    """`register.model` of the spec as it is; without one, that of the newest version."""
    if spec is not None:
        return spec.model or name
    return catalog.models_of().get(name, name)


def _readable(found: Versions, access: Access) -> tuple[Versions, int]:
    """Only the versions of experiments that the user may read, and how many are left out."""
    shown = tuple(each for each in found.versions if each.experiment in access.readable)
    return Versions(found.model, found.metric, shown), len(found.versions) - len(shown)


def _choose(found: Versions, aliases: Mapping[str, int], number: int | None) -> int | None:
    numbers = [each.number for each in found.versions]
    if number is not None and number not in numbers:
        raise HTTPException(404, f"There is no version {number} of {found.model}, or you may not read it.")
    if number is not None or not numbers:
        return number
    champion = aliases.get("champion")
    return champion if champion in numbers else numbers[-1]


def _version(score: VersionScore, row: VersionRow, experiment: str) -> VersionView:
    told: Mapping[str, Any] = row.verdict or {}
    return VersionView(score, str(told.get("reason", "")), row.experiment == experiment, str(told.get("verdict", "")))


def _told_of(row: VersionRow, shown: Versions, catalog: Catalog, settings: Settings) -> Chosen:
    store = Store(settings.store_root)
    trained = _made(lambda: training(row, store, catalog))
    traced = _made(lambda: descent(row, store, catalog, settings))
    return Chosen(
        row=row,
        verdict=_verdict(row, shown, catalog),
        descent=traced,
        digests=None if isinstance(traced, Missing) else charts.Files(traced.table()),
        loss=trained if isinstance(trained, Missing) else charts.loss(trained),
        throughput=None if isinstance(trained, Missing) else charts.throughput(trained),
        lengths=_made(lambda: charts.token_lengths(lengths(row, store))),
    )


def _verdict(row: VersionRow, shown: Versions, catalog: Catalog) -> Verdict | None:
    """Without the moves to versions that are not shown: their reasons tell those versions' scores."""
    found, numbers = verdict(row, catalog), {each.number for each in shown.versions}
    return found and replace(found, moves=tuple(move for move in found.moves if move.new in numbers))


def _made(make: Callable[[], T]) -> T | Missing:
    """A figure that needs the store, which the API server may not see, or which has lost what is asked for."""
    try:
        return make()
    except (FigureMissing, StoreError, FileNotFoundError) as error:
        return Missing(str(error))
