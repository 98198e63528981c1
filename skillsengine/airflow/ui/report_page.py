"""The report of a version, as a run has left it in the store: one file that holds all it needs, its scripts too.

It is sent as it is. Whoever can write into the store could have changed it, so the browser is told to trust it with nothing.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from starlette.responses import HTMLResponse, Response

from skillsengine.airflow.ui.access import Asking, checked_name
from skillsengine.airflow.ui.installation import Installed, Records
from skillsengine.airflow.ui.readable import runs_readable
from skillsengine.airflow.ui.shield import SANDBOX
from skillsengine.reporting.report import MOST_BYTES, report_name
from skillsengine.storage.opening import open_store
from skillsengine.storage.store import StoreError

router = APIRouter()


@router.get("/experiments/{name}/report")
def report(
    name: str,
    access: Asking,
    catalog: Records,
    settings: Installed,
    version: Annotated[int | None, Query(ge=1, le=10**9)] = None,
) -> Response:
    """By default of the champion, else of the newest version. HTTPException 404 in plain words where there is none."""
    found = runs_readable(checked_name(name), access, catalog, settings)
    number = found.choose(version)
    if number is None:
        raise HTTPException(404, f"No version of {found.model} is registered yet, so there is no report.")
    row = found.rows[number]
    try:
        page = open_store(settings).read_named(report_name(row), MOST_BYTES + 1)
    except (OSError, StoreError) as error:
        raise HTTPException(404, f"The report of {row.name} cannot be read from the store: {error}") from error
    if page is None:
        raise HTTPException(
            404,
            f"The API server finds no report of {row.name} in the store. A retrain run in Airflow leaves one with its last "
            f"task; `skillsengine report {row.name}` writes one of what is there. If there should be one, see that the API "
            "server has the workers' SKILLSENGINE_HOME and SKILLSENGINE_STORE.",
        )
    if len(page) > MOST_BYTES:
        raise HTTPException(404, f"What stands in the place of the report of {row.name} is too large to be one.")
    return HTMLResponse(page, headers={"Content-Security-Policy": SANDBOX})
