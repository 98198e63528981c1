"""The page *Errors*, and all errors as files."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from skillsengine.airflow.ui.access import Asking, checked_name
from skillsengine.airflow.ui.errors_view import Ask, all_errors, errors_view
from skillsengine.airflow.ui.files import csv_file, json_file
from skillsengine.airflow.ui.installation import Installed, Records
from skillsengine.airflow.ui.pages import address, page
from skillsengine.airflow.ui.readable import runs_readable

router = APIRouter()


@router.get("/experiments/{name}/errors")
def errors_page(
    request: Request,
    name: str,
    ask: Annotated[Ask, Query()],
    access: Asking,
    catalog: Records,
    settings: Installed,
) -> Response:
    found = runs_readable(checked_name(name), access, catalog, settings)
    view = errors_view(found, ask, catalog, settings)
    return page(request, "errors_page.html", view=view, ask=view.ask, address=address)


@router.get("/experiments/{name}/errors.csv")
def errors_csv(
    name: str, ask: Annotated[Ask, Query()], access: Asking, catalog: Records, settings: Installed
) -> Response:
    found = runs_readable(checked_name(name), access, catalog, settings)
    return csv_file(all_errors(found, ask, catalog, settings), f"{name}-errors")


@router.get("/experiments/{name}/errors.json")
def errors_json(
    name: str, ask: Annotated[Ask, Query()], access: Asking, catalog: Records, settings: Installed
) -> Response:
    found = runs_readable(checked_name(name), access, catalog, settings)
    return json_file(all_errors(found, ask, catalog, settings), f"{name}-errors")
