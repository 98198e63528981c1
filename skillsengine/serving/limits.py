"""Bounds on what a client sends, before anything of it is read as JSON."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import HTTPException
from fastapi.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


_GENEROUS = 8
"""Bodies up to so many times as large as may be are read to their end, and thrown away: a client that is cut off while it sends
sees a broken connection and no answer."""


class Limited:
    """ASGI middleware: a body of more than `most` bytes is refused with 413, one that takes longer than `seconds` with 408."""

    def __init__(self, app: ASGIApp, *, most: int, seconds: float) -> None:
        self._app, self._most, self._seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if told.isdigit() and int(told) > _GENEROUS * self._most:
            await JSONResponse({"detail": self._too_large}, 413, {"Connection": "close"})(scope, receive, send)
            return
        await self._app(scope, self._counting(receive), send)

    @property
    def _too_large(self) -> str:
        return f"the body has more than {self._most:,} bytes: send fewer texts at once (the server's --max-body)"

    def _counting(self, receive: Receive) -> Receive:
        read, whole = 0, False
        until = asyncio.get_running_loop().time() + self._seconds

        async def counted() -> Message:
            nonlocal read, whole
            while not whole:
                try:
                    async with asyncio.timeout_at(until):
                        message = await receive()
                except TimeoutError as error:
                    raise HTTPException(408, f"the body did not come within {self._seconds:g} s") from error
                read += len(message.get("body", b""))
                whole = not message.get("more_body", False)
                if read <= self._most:
                    return message
                if whole or read > _GENEROUS * self._most:
                    raise HTTPException(413, self._too_large, headers={"Connection": "close"})
            return await receive()  # the client's hanging up

        return counted
