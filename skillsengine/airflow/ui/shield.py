"""What stands around every answer of the pages: headers by which a browser trusts them with little, and a bound on what is
sent in."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 64 * 1024
"""Of a request's body."""

HEADERS = {
    # Everything comes from this very host, no script or style stands in the page itself, and only Airflow may frame it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SANDBOX = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
"""The Content-Security-Policy of a file that holds scripts of its own, such as a report: it is shown as if it came from
nowhere, so that whatever it does it has no part in who is logged in, and it can load nothing."""
PRIVATE = "no-store"
PUBLIC = "public, max-age=31536000, immutable"
"""Of static files, whose address changes with their content."""


class Shield:
    """ASGI middleware. A body that is too large is answered with 413 before any of it is looked at."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", PRIVATE)
            await send(message)

        try:
            if int(Headers(scope=scope).get("content-length") or 0) > MOST_BYTES:
                raise _TooLarge
            await self._app(scope, _counted(receive), sending)
        except (_TooLarge, ValueError) as error:
            if started or not isinstance(error, _TooLarge):
                raise
            text = f"The request is larger than {MOST_BYTES // 1024} KB.\n"
            await PlainTextResponse(text, 413)(scope, receive, sending)


class _TooLarge(Exception):
    pass


def _counted(receive: Receive) -> Receive:
    """A body may come without telling its length beforehand."""
    so_far = 0

    async def receiving() -> Message:
        nonlocal so_far
        message = await receive()
        so_far += len(message.get("body", b""))
        if so_far > MOST_BYTES:
            raise _TooLarge
        return message

    return receiving
