"""Servers on loopback: one that answers as a real Airflow 3.3.2 did, and one that never answers.

`airflow_answers.json` was recorded from the embedded Airflow with the specs `good` (well), `new` (does not compile) and `gone`
(deleted). Left out were signed tokens and most of a DAG's details; the project's folder became /srv/skills.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answers = dict[str, tuple[int, Any]]
EXECUTOR = "/api/v2/config/section/core/option/executor"


def recorded() -> Answers:
    """Path with query -> (status, JSON)."""
    text = (Path(__file__).parent / "airflow_answers.json").read_text(encoding="utf-8")
    return {path: (status, body) for path, (status, body) in json.loads(text).items()}


@contextmanager
def answering(answers: Answers) -> Iterator[str]:
    """Yields the server's address. What is not among the answers is 404, as with Airflow."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            token = (201, {"access_token": "t"})
            status, body = answers.get(
                self.path, token if self.path == "/auth/token" else (404, {"detail": "Not Found"})
            )
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silent() -> Iterator[str]:
    """Yields the address of a server that accepts every connection and never answers."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    held.append(listening.accept()[0])
                except OSError:
                    return  # closed

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    for connection in held:
        connection.close()
