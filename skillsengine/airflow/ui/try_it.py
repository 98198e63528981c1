"""The page *Try it*: the skills of a text that somebody pastes, found by a version of their choice.

The API server never computes them. A `skillsengine serve` answers at once, where the installation names one and it serves the
chosen version; else a run of `<name>.try` does, and the page tells how far it is.
"""

from __future__ import annotations

import threading
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from starlette.responses import RedirectResponse, Response

from skillsengine.airflow.trying import SUFFIX
from skillsengine.airflow.ui.access import Access, Asking, checked_name
from skillsengine.airflow.ui.attempts import Attempt, attempt_of
from skillsengine.airflow.ui.forgery import page_with_form, unforged
from skillsengine.airflow.ui.installation import Installed, Records
from skillsengine.airflow.ui.links import Links
from skillsengine.airflow.ui.readable import Readable, find, runs_readable
from skillsengine.airflow.ui.trigger import trigger
from skillsengine.airflow.ui.try_view import Answer, Door, TryView, answer_of, answered, choices, look_at_server
from skillsengine.pipeline.bounds import MOST_TRIED
from skillsengine.serving.client import Server, ServerError
from skillsengine.sources.reading.rows import legal

router = APIRouter()

Version = Annotated[int | None, Query(ge=1, le=10**9)]
RunId = Annotated[str | None, Query(min_length=1, max_length=250)]
NO_RUN = "There is no such try, or you may not read it."
_AT_ONCE = 4
"""Tries that wait for the server at the same time: each holds a thread of the API server meanwhile."""
_waiting = threading.BoundedSemaphore(_AT_ONCE)


@router.get("/experiments/{name}/try")
def try_it(
    request: Request,
    name: str,
    access: Asking,
    catalog: Records,
    settings: Installed,
    version: Version = None,
    run: RunId = None,
) -> Response:
    """The form; with `run` the try that this run answers, and its answer."""
    found = runs_readable(checked_name(name), access, catalog, settings)
    attempt = None if run is None else _readable_attempt(name, run, access)
    if run is not None and attempt is None:
        raise HTTPException(404, NO_RUN)
    if version is None and attempt is not None and attempt.version in found.rows:
        version = attempt.version
    _, door = look_at_server(settings)
    view = _view(
        found,
        access,
        found.choose(version),
        door,
        text=attempt.text if attempt else "",
        attempt=attempt,
        answer=answer_of(attempt) if attempt else None,
    )
    return page_with_form(request, access, "try_it.html", view=view, most=MOST_TRIED)


@router.post("/experiments/{name}/try", dependencies=[Depends(unforged)])
def ask(
    request: Request,
    name: str,
    access: Asking,
    catalog: Records,
    settings: Installed,
    version: Annotated[int, Form(ge=1, le=10**9)],
    text: Annotated[str, Form()] = "",
    by: Annotated[Literal["", "airflow"], Form()] = "",
) -> Response:
    """Answer it through the server, else start a run; with `by=airflow` a run in any case."""
    found = runs_readable(checked_name(name), access, catalog, settings)
    # Of the DAG that would answer: a right on the experiment's retrain runs is none on its tries.
    if not access.may_trigger(f"{name}{SUFFIX}"):
        raise HTTPException(403, f"You may read {name}, and not start runs of {name}{SUFFIX}, so you cannot try it.")
    found.choose(version)
    chosen = found.rows[version]
    if chosen.state != "ready":
        raise HTTPException(
            422, f"{chosen.name} is not published yet: its run is still registering it, or died doing so."
        )
    # Browsers send the line breaks of a form as CRLF, whatever was typed; a file that `extract` reads has its own.
    text = legal(text.replace("\r\n", "\n"))
    if not text.strip():
        raise HTTPException(422, "There is no text. Paste an ad first.")
    if len(text) > MOST_TRIED:
        raise HTTPException(
            422,
            f"The text has {len(text):,} characters, and {MOST_TRIED:,} are taken here. `skillsengine extract {chosen.name} "
            "FILE` takes more.",
        )
    server, door = (None, None) if by == "airflow" else look_at_server(settings)
    if server is not None and door is not None and door.serves == chosen.name:
        answer, failed = _through(server, text, chosen.name)
        view = _view(found, access, version, door, text=text, answer=answer, failed=failed)
        return page_with_form(request, access, "try_it.html", view=view, most=MOST_TRIED)
    run_id = trigger(access, f"{name}{SUFFIX}", {"text": text, "version": version}, prefix="try")
    address = request.url.replace(path=Links.of(request).try_it(name)).include_query_params(version=version, run=run_id)
    return RedirectResponse(f"{address.path}?{address.query}", 303)


@router.get("/experiments/{name}/try/{run_id}.json")
def try_json(name: str, run_id: str, access: Asking) -> dict[str, Any]:
    """How far a try is; asked every second while somebody waits."""
    find(checked_name(name), access)
    attempt = _readable_attempt(name, run_id, access) if access.may_read_runs(name) else None
    if attempt is None:
        raise HTTPException(404, NO_RUN)
    return attempt.as_json()


def _readable_attempt(name: str, run_id: str, access: Access) -> Attempt | None:
    """None also where the user may not read the runs of the DAG that answers: they hold what people pasted."""
    return attempt_of(name, run_id, access.session) if access.may_read_runs(f"{name}{SUFFIX}") else None


def _through(server: Server, text: str, version: str) -> tuple[Answer | None, str]:
    """(the answer, or why there is none)."""
    if not _waiting.acquire(blocking=False):
        return None, f"{_AT_ONCE} others are waiting for {server.url} already. Try again in a moment."
    try:
        began = time.monotonic()
        told = server.extract(text)
        seconds = time.monotonic() - began
    except ServerError as error:
        return None, str(error)
    finally:
        _waiting.release()
    if told.version != version:
        return None, f"{server.url} was started anew meanwhile, and serves {told.version}, not {version}."
    return answered(
        text, told.version, told.skills, parsed=told.parsed, seconds=seconds, loading=None, by=server.url
    ), ""


def _view(
    found: Readable,
    access: Access,
    chosen: int | None,
    door: Door | None,
    **more: Any,
) -> TryView:
    given = {"text": "", "attempt": None, "answer": None, "failed": ""} | more
    return TryView(
        name=found.name,
        model=found.model,
        versions=choices(found),
        champion=found.aliases.get("champion"),
        chosen=chosen,
        may_ask=access.may_trigger(f"{found.name}{SUFFIX}"),
        door=door,
        **given,
    )
