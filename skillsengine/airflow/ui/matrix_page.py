"""The page *The matrix*: versions on partitions, the files of its numbers, and the button that fills what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from skillsengine.airflow.ui.access import NOT_FOUND, Asking, checked_name
from skillsengine.airflow.ui.files import csv_file, json_file
from skillsengine.airflow.ui.fills import fill, fills
from skillsengine.airflow.ui.forgery import page_with_form, unforged
from skillsengine.airflow.ui.installation import Installed, Records
from skillsengine.airflow.ui.links import Links
from skillsengine.airflow.ui.matrix_known import Ask, look, mark_of
from skillsengine.airflow.ui.matrix_view import Served, matrix_view, offer
from skillsengine.airflow.ui.readable import find
from skillsengine.pipeline.filling import runs_for
from skillsengine.reporting.figures.grid import grid

router = APIRouter()


class Shown(Ask):
    """With what came of the button."""

    made: list[str] = Field([], max_length=100)
    """Ids of the runs that were created; told of while they go on."""
    already: str = Field("", max_length=250)
    """Of the one that is at it, so that none was."""


class Ticked(Ask):
    """With the versions whose cells are to be filled."""

    version: list[int] = Field([], max_length=10_000)


Asked = Annotated[Ask, Query()]


@router.get("/experiments/{name}/matrix")
def matrix(
    request: Request,
    name: str,
    ask: Annotated[Shown, Query()],
    access: Asking,
    catalog: Records,
    settings: Installed,
) -> Response:
    known = look(checked_name(name), ask, access, catalog, settings, datetime.now(UTC))
    view = matrix_view(known, ask.metric, ask.drift, access)
    here, query = Links.of(request).matrix(name), _query(ask)
    runs = {run.run_id: run for run in known.fills.active}
    return page_with_form(
        request,
        access,
        "matrix.html",
        view=view,
        ask=ask,
        query=query,
        numbers=Served(view.grid.table(), f"{here}.csv{query}", f"{here}.json{query}"),
        made=[runs[run_id] for run_id in ask.made if run_id in runs],
        already=runs.get(ask.already),
    )


@router.get("/experiments/{name}/matrix.csv")
def matrix_csv(name: str, ask: Asked, access: Asking, catalog: Records, settings: Installed) -> Response:
    known = look(checked_name(name), ask, access, catalog, settings, datetime.now(UTC))
    return csv_file(grid(known.matrix, ask.metric).table(), f"{name}-matrix")


@router.get("/experiments/{name}/matrix.json")
def matrix_json(name: str, ask: Asked, access: Asking, catalog: Records, settings: Installed) -> Response:
    known = look(checked_name(name), ask, access, catalog, settings, datetime.now(UTC))
    return json_file(grid(known.matrix, ask.metric).table(), f"{name}-matrix")


@router.get("/experiments/{name}/matrix/live.json")
def live_json(name: str, access: Asking, catalog: Records) -> dict[str, Any]:
    """Whether the page still shows what is true; asked again every few seconds while somebody looks."""
    find(checked_name(name), access)
    if not access.may_read_runs(name):
        raise HTTPException(404, NOT_FOUND)
    now = fills(name, access.session)
    return {
        "mark": mark_of(now, catalog.open_scores(name), catalog.newest_cell(name)),
        "running": bool(now.active),
    }


@router.get("/experiments/{name}/matrix/missing.json")
def missing_json(
    name: str, ask: Annotated[Ticked, Query()], access: Asking, catalog: Records, settings: Installed
) -> dict[str, Any]:
    """How many cells of some versions could be filled, and what that takes."""
    known = look(checked_name(name), ask, access, catalog, settings, datetime.now(UTC))
    told = offer(known, known.missing(ask.version), access)
    return {"missing": told.missing, "cost": told.cost, "refused": told.refused}


@router.post("/experiments/{name}/matrix/fill", dependencies=[Depends(unforged)])
def fill_missing(
    request: Request,
    name: str,
    access: Asking,
    catalog: Records,
    settings: Installed,
    version: Annotated[list[int] | None, Form(max_length=10_000)] = None,
    first: Annotated[str, Form(alias="from", max_length=20)] = "",
    last: Annotated[str, Form(alias="to", max_length=20)] = "",
    back: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Creates the runs that fill what is missing of the versions, from the first partition to the last one; `back` is the query
    string of the page."""
    ask = Ask.model_validate({"from": first, "to": last})
    known = look(checked_name(name), ask, access, catalog, settings, datetime.now(UTC))
    dag_id = known.fills.dag_id
    if not access.may_trigger(dag_id):
        raise HTTPException(403, f"You may not start runs of {dag_id}, so you cannot fill cells of the matrix.")
    if not version:
        raise HTTPException(422, "No version was chosen. Tick at least one, then fill.")
    missing = known.missing(version)
    refused = offer(known, missing, access).refused
    if refused or known.experiment is None:
        raise HTTPException(409, refused)
    if not missing:
        asked = [(cell.version, cell.partition) for cell in known.matrix.missing() if cell.version in version]
        at_it = known.fills.at(asked)
        return _back(request, name, back, [("already", at_it.run_id)] if at_it else [])
    cells = f"{len(missing)} missing cell{'' if len(missing) == 1 else 's'}"
    note = f"{cells}, asked for on the matrix page by {access.user.get_name()}"
    done = fill(access, known.experiment, runs_for(missing), known.fills, note)
    told = [("made", run_id) for run_id in done.created]
    return _back(request, name, back, told + ([("already", done.already)] if done.already else []))


def _back(request: Request, name: str, query: str, told: Sequence[tuple[str, str]]) -> Response:
    """To the page as it was, whatever else the browser says of it."""
    kept = "&".join(
        part for part in query.lstrip("?").split("&") if part.partition("=")[0] in ("metric", "from", "to", "drift")
    )
    address = "&".join(filter(None, (kept, urlencode(told))))
    return RedirectResponse(f"{Links.of(request).matrix(name)}?{address}".rstrip("?"), 303)


def _query(ask: Ask) -> str:
    """The query string of the same view; what equals the default is left out."""
    asked = ask.model_dump(by_alias=True, exclude_defaults=True, exclude={"made", "already"})
    return f"?{urlencode(asked)}" if asked else ""
