"""Asks a `skillsengine serve` that runs somewhere: in bounded time, for an answer of bounded size. Imports nothing heavy."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import httpx

from skillsengine.serving.token import read_token
from skillsengine.settings import Settings, without_login
from skillsengine.stages.contract import StageError

LOOK_SECONDS = 3.0
"""For the question what it serves."""
ANSWER_SECONDS = 60.0
"""For an answer; a server's own limit is as much, unless its --timeout says otherwise."""
_MOST_BYTES = 1_000_000
_NAMED = "SKILLSENGINE_SERVE_URL"
_TOKEN_NAMED = "SKILLSENGINE_SERVE_TOKEN_FILE"


class ServerError(Exception):
    """The server is away, refuses, or is another program; the text says which, and how to mend it."""


@dataclass(frozen=True)
class Served:
    """What a server tells of itself."""

    version: str
    """`job-skills@7`."""
    ready: bool
    waiting: int
    """Open requests."""


@dataclass(frozen=True)
class Answered:
    """The skills of one text."""

    version: str
    skills: list[str]
    parsed: bool


class Server:
    """The server at `url`. Every method may raise ServerError."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = without_login(url)
        try:
            given = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ServerError(f"{_NAMED} is no address ({error}). Write http://host:port.") from error
        if given.scheme not in ("http", "https") or not given.host or given.userinfo:
            raise ServerError(
                f"{_NAMED}={self.url}: write http://host:port or https://host/path, without a login: a token stands in a "
                f"file that {_TOKEN_NAMED} names."
            )
        # No proxy stands between a machine and itself, whatever the environment says.
        self._proxied = given.host not in ("127.0.0.1", "localhost", "::1")
        self._token = token

    @classmethod
    def of(cls, settings: Settings) -> Server | None:
        """The one that the installation names, if it names one. Raises ServerError."""
        if settings.serve_url is None:
            return None
        try:
            file = settings.serve_token_file
            token = None if file is None else read_token(file, f"{_TOKEN_NAMED}:")
        except StageError as error:
            raise ServerError(str(error)) from error
        return cls(settings.serve_url, token)

    def look(self) -> Served:
        """Which version it serves."""
        told = self._ask("GET", "/healthz", None, LOOK_SECONDS)
        try:
            return Served(f"{told['model']}@{int(told['version'])}", bool(told["ready"]), int(told["waiting"]))
        except (KeyError, TypeError, ValueError) as error:
            raise self._another_program() from error

    def extract(self, text: str) -> Answered:
        """The skills of a text, and the version that found them."""
        told = self._ask("POST", "/extract", {"text": text}, ANSWER_SECONDS)
        try:
            (result,) = told["results"]
            skills = [str(skill) for skill in result["skills"]]
            return Answered(f"{told['model']}@{int(told['version'])}", skills, bool(result["parsed"]))
        except (KeyError, TypeError, ValueError) as error:
            raise self._another_program() from error

    def _ask(self, method: str, path: str, body: Any, seconds: float) -> dict[str, Any]:
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        timeout, until = httpx.Timeout(seconds, connect=LOOK_SECONDS), time.monotonic() + seconds
        raw = b""
        try:
            with (
                httpx.Client(timeout=timeout, trust_env=self._proxied, headers=headers) as client,
                client.stream(method, f"{self.url}{path}", json=body) as answer,
            ):
                for chunk in answer.iter_bytes():
                    raw += chunk
                    if len(raw) > _MOST_BYTES:
                        raise ServerError(f"{self.url} sends over {_MOST_BYTES:,} bytes, which is no answer.")
                    if time.monotonic() > until:
                        raise self._silent(f"not within {seconds:.0f} s")
        except httpx.TimeoutException as error:
            raise self._silent(f"not within {seconds:.0f} s") from error
        except httpx.HTTPError as error:
            raise self._silent(str(error) or type(error).__name__) from error
        try:
            told = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise self._another_program() from error
        if not isinstance(told, dict):
            raise self._another_program()
        if answer.status_code == 401:
            raise ServerError(
                f"{self.url} asks for another token: {_TOKEN_NAMED} names the file that the server has as --token-file."
            )
        # One that is ending says so itself, with all that a ready one tells.
        if answer.status_code != 200 and "ready" not in told:
            raise ServerError(f"{self.url} says ({answer.status_code}): {str(told.get('detail', ''))[:300]}.")
        return told

    def _silent(self, why: str) -> ServerError:
        return ServerError(
            f"{self.url} does not answer ({why}). See that `skillsengine serve` runs there, and that it can be reached from "
            f"this machine; {_NAMED} names it."
        )

    def _another_program(self) -> ServerError:
        return ServerError(f"{self.url} answers, and is no `skillsengine serve`: mend {_NAMED}.")
