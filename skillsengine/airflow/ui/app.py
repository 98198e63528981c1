"""The application that Airflow's API server mounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from skillsengine.airflow.ui import (
    all_experiments,
    compare,
    errors_page,
    matrix_page,
    one_experiment,
    report_page,
    try_it,
)
from skillsengine.airflow.ui.errors import answer_errors
from skillsengine.airflow.ui.links import FIGURES, STATIC
from skillsengine.airflow.ui.shield import PUBLIC, Shield


def make_app() -> ASGIApp:
    """Without the pages that FastAPI makes of its own accord: they load scripts from elsewhere."""
    app = FastAPI(title="skillsengine", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(all_experiments.router)
    app.include_router(one_experiment.router)
    app.include_router(compare.router)
    app.include_router(errors_page.router)
    app.include_router(matrix_page.router)
    app.include_router(report_page.router)
    app.include_router(try_it.router)
    app.mount("/static", _Static(STATIC), name="static")
    app.mount("/figures", _Static(FIGURES), name="figures")
    answer_errors(app)
    # Outermost: also around what is answered to an error that nobody foresaw.
    return Shield(app)


class _Static(StaticFiles):
    """Files that hold nothing private, so that nobody has to log in for them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        # Airflow asks for the icons without the mark of their content.
        response.headers["Cache-Control"] = PUBLIC if b"v=" in scope["query_string"] else "public, max-age=3600"
        return response
