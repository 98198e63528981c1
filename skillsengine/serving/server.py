"""A listening server around one version: from a free port to the last answer after SIGTERM."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from skillsengine.serving.extract import Extractor
from skillsengine.serving.http import Limits, make_app
from skillsengine.serving.named import Named
from skillsengine.serving.worker import Worker
from skillsengine.stages.contract import StageError

_CONNECTIONS = 4
"""Connections that are served at once, in requests that may be open: clients keep them open between two requests."""
_HEAD_SECONDS = 10.0
"""That a client may take for the head of a request: who opens connections and says nothing must not keep others out."""


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address of this machine, not yet open to clients; port 0 is any free one. Raises StageError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        raise StageError(
            f"--host {host} --port {port}: cannot be listened on: {error}. Choose another port, or stop what listens there."
        ) from error
    return bound


def is_loopback(bound: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(bound.getsockname()[0]).is_loopback


def address_of(bound: socket.socket) -> str:
    """`http://127.0.0.1:8090`."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(
    extractor: Extractor,
    version: Named,
    bound: socket.socket,
    limits: Limits,
    *,
    token: str | None = None,
    on_ready: Callable[[uvicorn.Server], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C; then no more requests are taken, and those that are open are answered.

    `on_ready` is called once clients can connect. In another thread than the main one no signals come: there its
    `should_exit` ends the server.
    """
    worker = Worker(extractor, most=limits.requests)
    config = uvicorn.Config(
        make_app(worker, version, limits, token=token),
        http=_impatient(min(_HEAD_SECONDS, limits.seconds)),
        log_config=None,
        access_log=logging.getLogger().isEnabledFor(logging.INFO),
        server_header=False,
        lifespan="off",
        limit_concurrency=_CONNECTIONS * limits.requests + 1,
        timeout_graceful_shutdown=int(limits.seconds) + 1,
    )
    server = _Server(config, on_ready)
    if threading.current_thread() is threading.main_thread():
        # uvicorn raises the signal that ended it once more, for those who want to die of it.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: None)
    try:
        server.run(sockets=[bound])
    finally:
        worker.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[uvicorn.Server], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready(self)


def _impatient(seconds: float) -> type[H11Protocol]:
    """uvicorn's own protocol, but a connection whose next head has not come after so many seconds is closed.

    uvicorn has a time-out between two requests alone, and counts a silent connection among those it serves at once. Of its two
    protocols this is the one in Python, which costs nothing beside a model.
    """

    class Impatient(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def _watch(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._unwatch()  # a request is under way: its own limits hold
            elif self._timer is None:
                self._timer = self.loop.call_later(seconds, self.transport.close)

        def _unwatch(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Impatient
