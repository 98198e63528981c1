"""What no client's library sends: raw bytes to a real server, which refuses them and goes on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from skillsengine.serving.extract import Extractor
from skillsengine.serving.http import Limits
from tests.serving.conftest import serving
from tests.serving.test_http import until

BODY = json.dumps({"text": "A welder."}).encode()
HEAD = b"POST /extract HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def client(extractor: Extractor, version: Path) -> Iterator[httpx.Client]:
    with serving(extractor, version) as client:
        yield client


def connected(client: httpx.Client) -> socket.socket:
    found = socket.create_connection((client.base_url.host, client.base_url.port or 0))
    found.settimeout(60)
    return found


def said(client: httpx.Client, raw: bytes) -> bytes:
    """All that the server answers until it ends the connection."""
    with connected(client) as stream:
        stream.sendall(raw)
        return b"".join(iter(lambda: stream.recv(65_536), b""))


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\0" * 1000, 400),
        (b"GET /\r\n\r\n", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n" + BODY, 400),
        (HEAD + b"Content-Length: 1e3\r\n\r\n" + BODY, 400),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 22\r\n\r\n" + BODY, 400),
        # The pieces count, as in front of a proxy that goes by the standard: nothing is left over to be taken for a request.
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 422),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n" + BODY, 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n" + BODY, 400),
        (HEAD + b"X: a\0b\r\n\r\n", 400),
        (HEAD + b"X Y: a\r\n\r\n", 400),
        (HEAD + b"Authorization: Bearer \xff\xfe\r\nContent-Length: 0\r\n\r\n", 422),
        (HEAD + b"Content-Length: 99999999999999\r\n\r\n", 413),
        (HEAD.replace(b"POST", b"TRACE") + b"\r\n", 405),
    ],
    ids=lambda value: "" if isinstance(value, int) else value[-40:].decode("latin-1").strip().replace("\r\n", " "),
)
def test_a_head_that_is_none_is_refused_and_the_server_goes_on(client: httpx.Client, raw: bytes, status: int) -> None:
    answer = said(client, raw)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    assert b"Traceback" not in answer and len(answer) < 2000
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("start", [HEAD + b"X: ", b"GET /"], ids=["header", "path"])
def test_a_head_without_end_is_cut_off(client: httpx.Client, start: bytes) -> None:
    with connected(client) as stream, pytest.raises((BrokenPipeError, ConnectionResetError)):
        stream.sendall(start)
        for _ in range(1000):  # 64 MB
            stream.sendall(b"a" * 65_536)
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc/passwd",
        "/docs/../../version.json",
        "/%2e%2e/version.json",
        "//etc/passwd",
        "/docs%00.json",
        "/extract;a=b",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
def test_no_path_leads_anywhere(client: httpx.Client, path: str) -> None:
    answer = said(client, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ")), answer[:200]
    assert b"root:" not in answer and b'"base"' not in answer


def test_who_opens_connections_and_says_nothing_keeps_nobody_out(extractor: Extractor, version: Path) -> None:
    """More than are served at once: some silent, some that stop within a head, some within their second one."""
    with serving(extractor, version, Limits(requests=2, seconds=3.0)) as client, ExitStack() as stack:
        silent = [stack.enter_context(connected(client)) for _ in range(12)]
        for number, stream in enumerate(silent):
            if number % 3:
                stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + (b"\r\nGET /h" if number % 3 == 1 else b"X: "))
        until(lambda: _answered(client))
        for stream in silent:
            while stream.recv(65_536):  # closed by the server, in the end
                pass


def _answered(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
