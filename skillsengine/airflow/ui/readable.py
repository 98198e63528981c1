"""One experiment as far as the user may read it: what its pages begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import HTTPException

from skillsengine.airflow.dagfile import Compiled, read_back
from skillsengine.airflow.ui.access import NOT_FOUND, Access
from skillsengine.airflow.ui.known import ExperimentDag, SpecProblem, dag_code, experiment_dags
from skillsengine.airflow.ui.listing import visible_problems
from skillsengine.airflow.ui.spec_view import SpecView, spec_view
from skillsengine.reporting.figures.versions import Versions, versions
from skillsengine.settings import Settings
from skillsengine.storage.catalog import Catalog, VersionRow


@dataclass(frozen=True)
class Readable:
    """An experiment, and the versions of its model that experiments made which the user may read."""

    name: str
    dag: ExperimentDag | None
    """None where its spec never compiled."""
    problem: SpecProblem | None
    model: str
    sees_code: bool
    sees_runs: bool
    """Without it there are no versions here."""
    spec: SpecView | None
    compiled: Compiled | None
    """What the spec's DAG was made of, for whoever may read its code."""
    versions: Versions
    rows: Mapping[int, VersionRow]
    """Those of `versions`, by number."""
    hidden: int
    """How many versions of the model others made."""
    aliases: Mapping[str, int]

    def choose(self, number: int | None) -> int | None:
        """The version asked for; without one the champion, else the newest; None where there is none.

        Raises HTTPException 404 for one that is not there or may not be read.
        """
        if number is not None and number not in self.rows:
            raise HTTPException(404, f"There is no version {number} of {self.model}, or you may not read it.")
        if number is not None or not self.rows:
            return number
        champion = self.aliases.get("champion")
        return champion if champion in self.rows else max(self.rows)


def find(name: str, access: Access) -> tuple[ExperimentDag | None, SpecProblem | None]:
    """The experiment's DAG and the problem of its spec. Raises HTTPException 404 where there is neither, or neither may be
    read."""
    known = experiment_dags(access.session, name)
    dag = known.get(name) if access.may_read(name) else None
    problem = visible_problems(access, known, name).get(name)
    if dag is None and problem is None:
        raise HTTPException(404, NOT_FOUND)
    return dag, problem


def readable(name: str, access: Access, catalog: Catalog, settings: Settings) -> Readable:
    """Raises HTTPException 404 where there is no such experiment, CatalogUnavailable where the catalog does not answer."""
    dag, problem = find(name, access)
    sees_runs = dag is not None and access.may_read_runs(name)
    code = dag_code(access.session, name) if dag is not None and access.may_read_code(name) else None
    compiled = read_back(code) if code else None
    spec = spec_view(compiled, settings) if compiled else None
    model = _model(name, spec, catalog)
    found = versions(model, catalog) if sees_runs else Versions(model, "f1", ())
    others = access.with_readable_runs({each.experiment for each in found.versions})
    shown = tuple(each for each in found.versions if each.experiment in others)
    numbers = {each.number for each in shown}
    return Readable(
        name=name,
        dag=dag,
        problem=problem,
        model=model,
        sees_code=code is not None,
        sees_runs=sees_runs,
        spec=spec,
        compiled=compiled,
        versions=Versions(model, found.metric, shown),
        rows={row.number: row for row in catalog.versions(model) if row.number in numbers} if sees_runs else {},
        hidden=len(found.versions) - len(shown),
        aliases=catalog.aliases(model) if sees_runs else {},
    )


def runs_readable(name: str, access: Access, catalog: Catalog, settings: Settings) -> Readable:
    """The same for a page that tells of nothing but runs and what they made: who may not read those finds no page."""
    found = readable(name, access, catalog, settings)
    if not found.sees_runs:
        raise HTTPException(404, NOT_FOUND)
    return found


def _model(name: str, spec: SpecView | None, catalog: Catalog) -> str:
    """`register.model` of the spec as it is; without one, that of the newest version."""
    if spec is not None:
        return spec.model or name
    return catalog.models_of().get(name, name)
