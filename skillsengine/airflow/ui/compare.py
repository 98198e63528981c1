"""The page *Compare*, and the ads on which two versions disagree as files."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from skillsengine.airflow.ui.access import Asking, checked_name
from skillsengine.airflow.ui.compare_view import Ask, all_disagreements, compare_view
from skillsengine.airflow.ui.files import csv_file, json_file
from skillsengine.airflow.ui.installation import Installed, Records
from skillsengine.airflow.ui.pages import address, page
from skillsengine.airflow.ui.readable import runs_readable

router = APIRouter()


@router.get("/experiments/{name}/compare")
def compare(
    request: Request,
    name: str,
    ask: Annotated[Ask, Query()],
    access: Asking,
    catalog: Records,
    settings: Installed,
) -> Response:
    found = runs_readable(checked_name(name), access, catalog, settings)
    view = compare_view(found, ask, access, catalog, settings)
    return page(request, "compare.html", view=view, ask=view.ask, address=address)


@router.get("/experiments/{name}/compare.csv")
def compare_csv(
    name: str, ask: Annotated[Ask, Query()], access: Asking, catalog: Records, settings: Installed
) -> Response:
    found = runs_readable(checked_name(name), access, catalog, settings)
    return csv_file(all_disagreements(found, ask, catalog, settings), f"{name}-disagreements")


@router.get("/experiments/{name}/compare.json")
def compare_json(
    name: str, ask: Annotated[Ask, Query()], access: Asking, catalog: Records, settings: Installed
) -> Response:
    found = runs_readable(checked_name(name), access, catalog, settings)
    return json_file(all_disagreements(found, ask, catalog, settings), f"{name}-disagreements")
