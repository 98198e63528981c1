"""The `skillsengine serve` that the page *Try it* asks, where the installation names one."""

from __future__ import annotations

from collections.abc import Iterator

from skillsengine.doctor.finding import Finding, ok, problem, warning
from skillsengine.serving.client import Server, ServerError
from skillsengine.settings import Settings

_SUBJECT = "server of Try it"


def examine_try_server(settings: Settings) -> Iterator[Finding]:
    """Does it answer, and what does it serve? Its token is neither shown nor tried: only `/extract` asks for it."""
    try:
        server = Server.of(settings)
        if server is None:
            return
        served = server.look()
    except ServerError as error:
        yield problem(_SUBJECT, str(error))
        return
    token = "no token is sent" if settings.serve_token_file is None else f"the token of {settings.serve_token_file}"
    if served.ready:
        yield ok(_SUBJECT, f"{server.url} serves {served.version}; {token}")
    else:
        yield warning(
            _SUBJECT, f"{server.url} is ending, and takes nothing more", "start `skillsengine serve` there again"
        )
