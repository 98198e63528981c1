"""The HTTP door: `POST /extract`, `GET /healthz`, and what describes them (`/docs`, `/openapi.json`)."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Annotated, Any, Self

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from skillsengine import __version__
from skillsengine.serving.extract import Extraction
from skillsengine.serving.limits import Limited
from skillsengine.serving.named import Named
from skillsengine.serving.texts import MAX_TEXT
from skillsengine.serving.worker import Closed, Full, Worker
from skillsengine.sources.reading.rows import legal

MAX_TEXTS = 256
"""Texts of one request."""
_PAGE = "page.html"
_GONE = 499
"""Nobody reads it: the client has hung up."""
_BEARER = HTTPBearer(auto_error=False, description="The token of the server's --token-file.")
_NOTHING_ELSE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
"""The page asks for nothing, from nowhere."""

AdText = Annotated[
    str, Field(max_length=MAX_TEXT), BeforeValidator(lambda value: legal(value) if isinstance(value, str) else value)
]


class Wanted(BaseModel):
    """One ad as `text`, or several as `texts`."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "We need a welder with TIG welding."}]}
    )
    text: AdText | None = None
    texts: Annotated[list[AdText], Field(min_length=1, max_length=MAX_TEXTS)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either `text`, a string, or `texts`, a list of strings")
        return self


class Result(BaseModel):
    """What one ad asks for."""

    skills: list[str]
    parsed: bool = Field(
        description="Whether the answer was one whole list; otherwise `skills` holds what could be read of it."
    )


class Found(BaseModel):
    """The results in the order of the texts."""

    model: str
    version: int
    results: list[Result]


class Health(BaseModel):
    """Whether requests are taken, and how many there are."""

    ready: bool
    model: str
    version: int
    waiting: int = Field(description="Requests that are open: at work, or waiting for it.")
    answered: int = Field(description="Texts answered since the start.")


class Problem(BaseModel):
    """What is wrong, and how to mend it."""

    detail: str


@dataclass(frozen=True)
class Limits:
    """What one server takes on."""

    requests: int = 64
    """Open at once."""
    body: int = 1_000_000
    """Bytes of a request."""
    seconds: float = 60.0
    """That a request may take."""


def make_app(worker: Worker, version: Named, limits: Limits, *, token: str | None = None) -> FastAPI:
    """The application. `token`: what clients of `/extract` must show as `Authorization: Bearer`, if they must."""
    app = FastAPI(
        title=f"skillsengine: {version.name}",
        version=__version__,
        description=f"The skills that a job ad asks for, by {version.name}.",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Limited, most=limits.body, seconds=limits.seconds)
    app.add_exception_handler(RequestValidationError, _misshapen)

    def allowed(shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if token is None:
            return
        if shown is None or not hmac.compare_digest(shown.credentials.encode(), token.encode()):
            raise HTTPException(
                401, "send the server's token: Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"}
            )

    answers: dict[int | str, dict[str, Any]] = {
        401: {"model": Problem, "description": "The token is missing or wrong."},
        408: {"model": Problem, "description": "The body did not come in time."},
        413: {"model": Problem, "description": f"The body has more than {limits.body:,} bytes."},
        422: {"model": Problem, "description": "The body is of another shape."},
        429: {
            "model": Problem,
            "description": f"{limits.requests} requests are open; Retry-After says when to come again.",
        },
        503: {"model": Problem, "description": "The server is ending, or cannot answer."},
        504: {"model": Problem, "description": f"No answer within {limits.seconds:g} s."},
    }

    @app.post("/extract", responses=answers, dependencies=[Depends(allowed)] if token else [])
    async def extract(wanted: Wanted, request: Request) -> Found:
        """The skills of one ad or of several."""
        texts = [wanted.text] if wanted.text is not None else wanted.texts or []
        found = await _answer(request, _asked(worker, texts), limits.seconds)
        results = [Result(skills=each.skills, parsed=each.parsed) for each in found]
        return Found(model=version.model, version=version.number, results=results)

    @app.get("/healthz", responses={503: {"model": Health}})
    async def healthz(response: Response) -> Health:
        """Whether requests are taken."""
        response.status_code = 200 if worker.ready else 503
        return Health(
            ready=worker.ready,
            model=version.model,
            version=version.number,
            waiting=worker.waiting,
            answered=worker.answered,
        )

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(_page(version, limits, str(request.base_url), token is not None), headers=_NOTHING_ELSE)

    return app


def _asked(worker: Worker, texts: Sequence[str]) -> Future[list[Extraction]]:
    try:
        return worker.ask(texts)
    except Full as error:
        raise HTTPException(
            429,
            f"as many requests are open as may be; come again in {error.seconds} s",
            headers={"Retry-After": str(error.seconds)},
        ) from error
    except Closed as error:
        raise HTTPException(503, "the server is ending; come again", headers={"Retry-After": "5"}) from error


async def _answer(request: Request, asked: Future[list[Extraction]], seconds: float) -> list[Extraction]:
    """What the worker found; what nobody waits for any more is dropped."""
    answer = asyncio.wrap_future(asked)
    gone = asyncio.ensure_future(_hung_up(request))
    either: set[asyncio.Future[Any]] = {answer, gone}
    try:
        done, _ = await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if answer in done:
            return _result(answer)
        if gone in done:
            raise HTTPException(_GONE, "the client has hung up")
        raise HTTPException(
            504, f"no answer within {seconds:g} s: send fewer or shorter texts, or come when there is less to do"
        )
    finally:
        answer.cancel()
        gone.cancel()


def _result(answer: asyncio.Future[list[Extraction]]) -> list[Extraction]:
    if (error := answer.exception()) is not None:
        raise HTTPException(
            503, f"the model failed ({type(error).__name__}); the server's log has more", headers={"Retry-After": "5"}
        ) from error
    return answer.result()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _misshapen(request: Request, error: Exception) -> JSONResponse:
    """One line a mistake, without the text itself, which may be long."""
    told = []
    for each in error.errors() if isinstance(error, RequestValidationError) else ():
        where = ".".join(str(part) for part in each["loc"][1:])
        what = str(each["msg"]).removeprefix("Value error, ")
        if each["type"] in ("json_invalid", "model_attributes_type", "missing") and len(each["loc"]) <= 2:
            where, what = (
                "",
                (
                    'the body is no JSON object: send {"text": "..."} or {"texts": ["...", "..."]} with the header '
                    "Content-Type: application/json"
                ),
            )
        told.append(f"{where}: {what}" if where else what)
    return JSONResponse({"detail": "; ".join(told)}, status_code=422)


def _page(version: Named, limits: Limits, address: str, token: bool) -> str:
    header = " \\\n  -H 'Authorization: Bearer TOKEN'" if token else ""
    template = (files("skillsengine.serving") / _PAGE).read_text(encoding="utf-8")
    for name, value in {
        "NAME": version.name,
        "ADDRESS": address.rstrip("/"),
        "HEADER": header,
        "TEXTS": f"{MAX_TEXTS}",
        "CHARACTERS": f"{MAX_TEXT:,}",
        "BYTES": f"{limits.body:,}",
        "REQUESTS": f"{limits.requests}",
        "SECONDS": f"{limits.seconds:g}",
    }.items():
        template = template.replace(f"@{name}@", escape(value))
    return template
