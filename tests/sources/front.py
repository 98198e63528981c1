"""A door on loopback before a store: it counts what is asked and sent, and answers wrongly where a test says so."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

_HOP = frozenset({"connection", "transfer-encoding", "keep-alive"})


@dataclass
class Asked:
    """One request, and how much was sent for it."""

    method: str
    path: str
    """With the query, unquoted."""
    headers: dict[str, str]
    """Names in small letters."""
    status: int = 0
    sent: int = 0
    """Bytes of the answer's body."""


@dataclass
class Fault:
    """An answer in the place of the store's own."""

    where: Callable[[Asked], bool]
    times: int
    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    """With a number: the store's own answer, broken off after so many bytes of its body."""


class Front:
    """Hands requests on to `upstream` (host, port)."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.port = 0
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.local: dict[str, Callable[[bytes], tuple[int, bytes]]] = {}
        """Paths that are answered here: body of the request -> status and body of the answer."""
        self.then: Callable[[Asked], None] = lambda asked: None
        """Called after each answer of the store, before it is sent."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fail(
        self,
        status: int,
        body: bytes | str = b"",
        *,
        times: int = 1_000_000,
        path: str = "",
        method: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next `times` requests whose path has `path` in it like this."""
        text = body.encode() if isinstance(body, str) else body
        self.faults.append(Fault(_where(path, method), times, status, text, headers or {}))

    def cut(self, after: int, *, times: int = 1_000_000, path: str = "", method: str = "GET") -> None:
        """Break off the next `times` answers after `after` bytes."""
        self.faults.append(Fault(_where(path, method), times, cut=after))

    def forget(self) -> None:
        """Count from zero, and answer rightly again."""
        self.asked.clear()
        self.faults.clear()

    def bytes_of(self, path: str) -> int:
        """Bytes that were sent in answer to GETs whose path has `path` in it."""
        return sum(asked.sent for asked in self.asked if asked.method == "GET" and path in asked.path)

    def take_fault(self, asked: Asked) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.where(asked):
                fault.times -= 1
                return fault
        return None


def _where(path: str, method: str) -> Callable[[Asked], bool]:
    return lambda asked: path in asked.path and method in ("", asked.method)


@contextmanager
def front_of(upstream: tuple[str, int]) -> Iterator[Front]:
    """A door before `upstream` on a free port."""
    front = Front(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, unquote(self.path), headers)
            front.asked.append(asked)
            if local := front.local.get(self.path.partition("?")[0]):
                status, answer = local(body)
                self._send(asked, status, {"Content-Type": "application/json"}, answer)
                return
            fault = front.take_fault(asked)
            if fault is not None and fault.cut is None:
                self._send(asked, fault.status, dict(fault.headers), fault.body)
                return
            upstream = HTTPConnection(*front.upstream, timeout=60)
            try:
                upstream.request(self.command, self.path, body or None, dict(self.headers.items()))
                found = upstream.getresponse()
                kept = {name: value for name, value in found.getheaders() if name.lower() not in _HOP}
                body = found.read()
                front.then(asked)
                self._send(asked, found.status, kept, body, fault.cut if fault else None)
            finally:
                upstream.close()

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle

        def _send(
            self, asked: Asked, status: int, headers: dict[str, str], body: bytes, cut: int | None = None
        ) -> None:
            asked.status = status
            self.send_response_only(status)
            if "content-length" not in {name.lower() for name in headers}:
                headers["Content-Length"] = str(len(body))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            asked.sent = len(body if cut is None else body[:cut])
            self.wfile.write(body[: asked.sent])
            if cut is not None and cut < len(body):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None: ...  # a client that hangs up

    server = Server(("127.0.0.1", 0), Handler)
    front.port = server.server_address[1]
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield front
    finally:
        server.shutdown()
        server.server_close()


def refusing() -> str:
    """An endpoint at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def black_hole() -> Iterator[str]:
    """An endpoint that takes every connection and never answers."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(64)
        yield f"http://127.0.0.1:{hole.getsockname()[1]}"
