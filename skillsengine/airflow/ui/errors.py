"""What is answered where there is no page: as a page to a browser, as JSON to a script."""

from __future__ import annotations

import logging

from airflow.api_fastapi.app import get_auth_manager
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from skillsengine.airflow.ui.pages import page
from skillsengine.settings import SettingsError
from skillsengine.storage.catalog import CatalogError, CatalogUnavailable
from skillsengine.storage.store import StoreError

log = logging.getLogger(__name__)

_TITLES = {
    401: "Not logged in",
    403: "Not allowed",
    404: "Not found",
    405: "Not allowed",
    409: "Not now",
    422: "Not understood",
    500: "Something went wrong",
    503: "Not available",
}
_SETTINGS = (
    "The pages read the catalog, and the API server does not know where it is. Give its environment the same SKILLSENGINE_ "
    "variables as the scheduler and the workers have, and restart it."
)


def answer_errors(app: FastAPI) -> None:
    """Install the handlers."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(CatalogUnavailable, _unavailable)
    for kind in (CatalogError, StoreError, SettingsError):
        app.add_exception_handler(kind, _broken)
    app.add_exception_handler(Exception, _unforeseen)


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = str(error.detail) if isinstance(error, HTTPException) else ""
    return _answer(request, status, text)


def _not_understood(request: Request, error: Exception) -> Response:
    told = error.errors() if isinstance(error, RequestValidationError) else []
    problems = [f"{'.'.join(str(part) for part in each['loc'][1:])}: {each['msg']}" for each in told]
    return _answer(request, 422, "\n".join(problems))


def _unavailable(request: Request, error: Exception) -> Response:
    return _answer(request, 503, str(error), {"Retry-After": "10"})


def _broken(request: Request, error: Exception) -> Response:
    log.error("%s: %s", request.url.path, error)
    return _answer(request, 503, f"{_SETTINGS}\n\n{error}" if isinstance(error, SettingsError) else str(error))


def _unforeseen(request: Request, error: Exception) -> Response:
    log.exception("%s", request.url.path, exc_info=error)
    return _answer(request, 500, "The log of the API server tells what.")


def _answer(request: Request, status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    if "text/html" not in request.headers.get("accept", "") or request.url.path.endswith(".json"):
        return JSONResponse({"detail": text}, status, headers)
    login = get_auth_manager().get_url_login(next_url=str(request.url)) if status == 401 else None
    title = _TITLES.get(status, "Something went wrong")
    return page(request, "error.html", status=status, headers=headers, title=title, text=text, login=login)
