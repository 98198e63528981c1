"""*All experiments*: what the list shows, narrowed, sorted and cut into pages.

However many experiments there are, it takes the same dozen queries: Airflow's DAGs and import errors, the catalog's newest
runs, champions and times of all experiments; then, of those on the page alone, Airflow's newest runs and the scores of the
versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from skillsengine.airflow.ui.access import Access
from skillsengine.airflow.ui.known import (
    DagRunFacts,
    ExperimentDag,
    SpecProblem,
    experiment_dags,
    newest_runs,
    spec_problems,
)
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.overviews import Busy, LastRun, Scored

PAGE = 50
DAYS = 30
"""Over which worker and GPU minutes are summed."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)

State = Literal["", "success", "running", "failed", "never", "problem"]
Sort = Literal["recent", "name", "f1", "next", "time", "owner"]


class Ask(BaseModel):
    """What the query string asks for."""

    q: str = Field("", max_length=200)
    """Words that name, description or owner hold, all of them."""
    state: State = ""
    owner: str = Field("", max_length=200)
    sort: Sort = "recent"
    reverse: bool = False
    page: int = Field(1, ge=1, le=100_000)


@dataclass(frozen=True)
class Last:
    """The newest run, by the catalog or by Airflow, whichever knows the newer one."""

    run_id: str
    state: str
    """`queued`, `running`, `success` or `failed`."""
    partition: str | None
    since: datetime | None
    finished: datetime | None
    note: str
    in_airflow: bool
    """Whether Airflow has a page about it; runs of the command line have none."""


@dataclass(frozen=True)
class Row:
    """One experiment."""

    name: str
    dag: ExperimentDag | None
    """None where its spec never compiled."""
    problem: SpecProblem | None
    last: Last | None
    champion: Scored | None
    hidden_champion: bool
    """Whether the model has a champion that was made by runs which the user may not read."""
    busy: Busy
    sees_runs: bool
    """Whether the user may read the experiment's runs; without it nothing is told of them and of what they made."""
    versions: Sequence[Scored] = ()
    """Only of the experiments on the page."""

    @property
    def owners(self) -> tuple[str, ...]:
        return self.dag.owners if self.dag else ()

    @property
    def state(self) -> str:
        """That of its last run, as the filter names it; empty where it may not be known."""
        if not self.sees_runs:
            return ""
        state = self.last.state if self.last else "never"
        return "running" if state == "queued" else state


@dataclass(frozen=True)
class Listing:
    """One page of the list."""

    ask: Ask
    rows: Sequence[Row]
    found: int
    """How many experiments fit what was asked."""
    total: int
    """How many the user may read."""
    owners: Sequence[str]
    """Of all of those."""
    problems: Sequence[SpecProblem] = field(default=())
    """That belong to no experiment: what stops all specs at once, a file whose name is no name."""

    @property
    def pages(self) -> int:
        return max(1, -(-self.found // PAGE))

    @property
    def first(self) -> int:
        """Place of the first row among those found, from 1."""
        return (self.ask.page - 1) * PAGE + 1


def listing(ask: Ask, access: Access, catalog: Catalog, now: datetime) -> Listing:
    """Raises CatalogUnavailable where the catalog does not answer."""
    rows, others = _all(access, catalog, now)
    found = sorted((row for row in rows if _fits(row, ask)), key=lambda row: row.name)
    # Equal ones stay in the order of their names, also backwards.
    found.sort(key=_KEYS[ask.sort], reverse=ask.reverse != (ask.sort in _DOWNWARDS))
    pages = max(1, -(-len(found) // PAGE))
    ask = ask.model_copy(update={"page": min(ask.page, pages)})
    shown = found[(ask.page - 1) * PAGE : ask.page * PAGE]
    names = [row.name for row in shown if row.sees_runs]
    versions = catalog.scored_versions(names)
    runs = newest_runs(access.session, names)
    return Listing(
        ask,
        [replace(row, versions=versions.get(row.name, ()), last=newer(row.last, runs.get(row.name))) for row in shown],
        len(found),
        len(rows),
        sorted({owner for row in rows for owner in row.owners}, key=str.casefold),
        others,
    )


def _all(access: Access, catalog: Catalog, now: datetime) -> tuple[list[Row], list[SpecProblem]]:
    """Every experiment that the user may read, and the problems that belong to none."""
    known = experiment_dags(access.session)
    dags = {name: dag for name, dag in known.items() if name in access.readable}
    problems = visible_problems(access, known)
    last, models = catalog.last_runs(), catalog.models_of()
    champions, busy = catalog.champions(), catalog.busy_since(now - timedelta(days=DAYS))
    seen = access.with_readable_runs(known)
    # A DAG that is gone and left nothing behind is of no interest.
    names = {name for name, dag in dags.items() if not dag.gone or name in last or name in models}
    rows = []
    for name in names | {problem.name for problem in problems.values() if problem.named}:
        champion = champions.get(models.get(name, ""))
        # A spec that never compiled has no DAG, and no runs of which there is anything to tell.
        sees_runs = name not in dags or name in seen
        hidden = champion is not None and not (sees_runs and champion.experiment in seen)
        rows.append(
            Row(
                name,
                dags.get(name),
                problems.get(name),
                _of_catalog(last.get(name)) if sees_runs else None,
                None if hidden else champion,
                hidden,
                busy.get(name, Busy(0.0, 0.0)) if sees_runs else Busy(0.0, 0.0),
                sees_runs,
            )
        )
    return rows, [problem for problem in problems.values() if not problem.named]


def visible_problems(
    access: Access, known: Mapping[str, ExperimentDag], name: str | None = None
) -> dict[str, SpecProblem]:
    """The problems of specs that the user may read, by name: those of their experiments, and those that have no DAG yet where
    the auth manager would let them read a DAG of that name. `known` are all experiments that have one."""
    if not access.sees_import_errors:
        return {}
    return {
        problem.name: problem
        for problem in spec_problems(access.session, name)
        if (
            problem.name in access.readable
            if problem.name in known
            else access.may_read_new(problem.name, problem.team)
        )
    }


def _of_catalog(run: LastRun | None) -> Last | None:
    if run is None:
        return None
    in_airflow = run.trigger != "cli"
    return Last(run.run_id, run.state, run.partition, run.started, run.finished, run.note, in_airflow)


def newer(last: Last | None, run: DagRunFacts | None) -> Last | None:
    """What Airflow says of the newest run, if it is newer than the catalog's. Of one run the catalog knows more, but its end
    only where somebody could write it down."""
    if run is None:
        return last
    own = Last(run.run_id, run.state, run.partition, run.since, run.finished, run.note, True)
    if last is None:
        return own
    if last.run_id == run.run_id:
        ended = last.state == "running" and run.state in ("success", "failed")
        return replace(last, state=run.state, finished=run.finished) if ended else last
    return own if (run.since or _LONG_AGO) > (last.since or _LONG_AGO) else last


def _fits(row: Row, ask: Ask) -> bool:
    if ask.state == "problem" and row.problem is None:
        return False
    if ask.state not in ("", "problem") and row.state != ask.state:
        return False
    if ask.owner and ask.owner not in row.owners:
        return False
    text = f"{row.name} {row.dag.description if row.dag else ''} {' '.join(row.owners)}".casefold()
    return all(word in text for word in ask.q.casefold().split())


_DOWNWARDS = ("recent", "f1", "time")
"""Sorted so that the largest comes first, unless it is asked for in reverse."""
_KEYS: dict[str, Callable[[Row], Any]] = {
    # What needs somebody's hand first.
    "recent": lambda row: (row.problem is not None, (row.last and row.last.since) or _LONG_AGO),
    "name": lambda row: row.name,
    "f1": lambda row: -1.0 if row.champion is None or row.champion.f1 is None else row.champion.f1,
    "next": lambda row: (row.dag is None or row.dag.paused, (row.dag and row.dag.next_run) or _NEVER),
    "time": lambda row: (row.busy.gpu_seconds, row.busy.worker_seconds),
    "owner": lambda row: ", ".join(row.owners).casefold(),
}
