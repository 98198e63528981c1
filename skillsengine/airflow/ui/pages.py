"""Pages out of templates: autoescaped, strict about names, with the macros of figures that reports are made of too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import ChoiceLoader, Environment, PackageLoader
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import HTMLResponse

from skillsengine.airflow.ui.links import Links
from skillsengine.airflow.ui.sparkline import HEIGHT, WIDTH, sparkline
from skillsengine.airflow.ui.words import ago, minutes
from skillsengine.reporting.render import SCRIPTS, environment


@lru_cache(maxsize=1)
def _environment() -> Environment:
    figures = environment()
    made = figures.overlay(loader=ChoiceLoader([PackageLoader("skillsengine.airflow.ui"), figures.loader]))  # type: ignore[list-item]  # it has one
    made.filters = {**figures.filters, "ago": ago, "minutes": minutes}
    made.globals = {
        **figures.globals,
        "sparkline": sparkline,
        "SPARK_WIDTH": WIDTH,
        "SPARK_HEIGHT": HEIGHT,
        "figure_scripts": SCRIPTS,
    }
    return made


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """The answer; `links` and `now` are there in every template."""
    html = _environment().get_template(template).render(links=Links.of(request), now=datetime.now(UTC), **context)
    return HTMLResponse(html, status, dict(headers or {}))


def address(ask: BaseModel, **changes: object) -> str:
    """The query string of another view of a list, from its first page on; what equals the default is left out."""
    asked = ask.model_copy(update={"page": 1, **changes}).model_dump(exclude_defaults=True)
    return "?" + urlencode({name: "1" if value is True else value for name, value in asked.items()})
