"""A Hub on loopback: it answers as the real one does for a good, a gated, a missing and a failing repository."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve(model: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve the folder `model` as `org/tiny`; yields the endpoint and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            asked.append(path)
            if "/org/gated/" in path:
                self._error(403, "GatedRepo", "Access to model org/gated is restricted.")
            elif "/org/failing/" in path:
                self._error(400, "Broken", "The Hub is ill.")
            elif not ("/org/tiny/" in path or path.startswith("/org/tiny")):
                self._error(404, "RepoNotFound", "Repository not found")
            elif "/revision/" in path and not path.endswith(("/main", COMMIT)):
                self._error(404, "RevisionNotFound", "Invalid rev id")
            elif "/revision/" in path:
                files = [{"rfilename": file.name} for file in sorted(model.iterdir())]
                self._json({"id": "org/tiny", "modelId": "org/tiny", "sha": COMMIT, "siblings": files, "tags": []})
            elif "/tree/" in path:
                self._json([self._entry(file) for file in sorted(model.iterdir())])
            else:
                self._file(model / path.rpartition("/")[2])

        do_HEAD = do_GET

        def _entry(self, file: Path) -> dict[str, Any]:
            return {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _oid(file)}

        def _json(self, data: Any) -> None:
            self._send(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

        def _file(self, file: Path) -> None:
            self._send(200, file.read_bytes(), {"ETag": f'"{_oid(file)}"', "X-Repo-Commit": COMMIT})

        def _error(self, status: int, code: str, message: str) -> None:
            self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


def _oid(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()
