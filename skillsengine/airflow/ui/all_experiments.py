"""The page *All experiments*."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from skillsengine.airflow.ui.access import Asking
from skillsengine.airflow.ui.installation import Records
from skillsengine.airflow.ui.links import Links
from skillsengine.airflow.ui.listing import DAYS, Ask, listing
from skillsengine.airflow.ui.pages import address, page

router = APIRouter()


@router.get("/")
def index(request: Request, access: Asking) -> Response:
    return RedirectResponse(Links.of(request).experiments)


@router.get("/experiments")
def all_experiments(request: Request, ask: Annotated[Ask, Query()], access: Asking, catalog: Records) -> Response:
    found = listing(ask, access, catalog, datetime.now(UTC))
    return page(request, "experiments.html", found=found, ask=found.ask, address=address, days=DAYS)
