"""The page *One experiment*, the same as a tab of its DAGs, and what the page's script asks for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from skillsengine.airflow.trying import SUFFIX
from skillsengine.airflow.ui.access import NOT_FOUND, Access, Asking, checked_name
from skillsengine.airflow.ui.experiment_view import experiment_view
from skillsengine.airflow.ui.installation import Installed, Records
from skillsengine.airflow.ui.known import experiment_dags
from skillsengine.airflow.ui.live import as_json, live
from skillsengine.airflow.ui.pages import page
from skillsengine.airflow.ui.readable import find
from skillsengine.airflow.ui.runs import newest
from skillsengine.settings import Settings
from skillsengine.storage.catalog import Catalog

router = APIRouter()

Version = Annotated[int | None, Query(ge=1, le=10**9)]
_OTHERS = (".evaluations", SUFFIX)
"""What the ids of an experiment's other DAGs end with."""


@router.get("/experiments/{name}")
def one_experiment(
    request: Request, name: str, access: Asking, catalog: Records, settings: Installed, version: Version = None
) -> Response:
    return _shown(request, checked_name(name), access, catalog, settings, version)


@router.get("/experiments/{name}/live.json")
def live_json(name: str, access: Asking, catalog: Records) -> dict[str, Any]:
    """How far the newest run is; asked again every few seconds while somebody looks."""
    find(checked_name(name), access)
    if not access.may_read_runs(name):
        raise HTTPException(404, NOT_FOUND)
    runs = newest(catalog, access.session, name, name, "retrain")
    return as_json(live(runs, catalog), runs)


@router.get("/dags/{dag_id}")
def dag_tab(
    request: Request, dag_id: str, access: Asking, catalog: Records, settings: Installed, version: Version = None
) -> Response:
    """The tab that Airflow shows on every DAG, ours or not."""
    if dag_id not in access.readable:
        raise HTTPException(404, "There is no such DAG, or you may not read it.")
    name = next((dag_id.removesuffix(other) for other in _OTHERS if dag_id.endswith(other)), dag_id)
    if name not in experiment_dags(access.session, name):
        return page(request, "other_dag.html", dag_id=dag_id)
    return _shown(request, name, access, catalog, settings, version)


def _shown(
    request: Request, name: str, access: Access, catalog: Catalog, settings: Settings, version: int | None
) -> Response:
    view = experiment_view(name, access, catalog, settings, version)
    return page(request, "experiment.html", view=view, live=live(view.runs, catalog))
