"""The page *All experiments*."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from skillsengine.airflow.ui.access import Asking
from skillsengine.airflow.ui.installation import Records
from skillsengine.airflow.ui.links import Links
from skillsengine.airflow.ui.listing import DAYS, Ask, listing
from skillsengine.airflow.ui.pages import page

router = APIRouter()


@router.get("/")
def index(request: Request, access: Asking) -> Response:
    return RedirectResponse(Links.of(request).experiments)


@router.get("/experiments")
def all_experiments(request: Request, ask: Annotated[Ask, Query()], access: Asking, catalog: Records) -> Response:
    found = listing(ask, access, catalog, datetime.now(UTC))
    return page(request, "experiments.html", found=found, ask=found.ask, address=_address, days=DAYS)


def _address(ask: Ask, **changes: object) -> str:
    """The query string of another view of the list; what equals the default is left out."""
    asked = ask.model_copy(update={"page": 1, **changes}).model_dump(exclude_defaults=True)
    return "?" + urlencode({name: "1" if value is True else value for name, value in asked.items()})
