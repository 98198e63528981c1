"""A real server on loopback, asked as its clients ask it."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from skillsengine.serving.extract import Extraction, Extractor
from skillsengine.serving.http import MAX_TEXTS, Limits
from skillsengine.serving.texts import MAX_TEXT
from tests.serving.conftest import LONG, SHORT, held, serving

TEXTS = [*SHORT, LONG]


@pytest.fixture(scope="module")
def client(extractor: Extractor, version: Path) -> Iterator[httpx.Client]:
    with serving(extractor, version) as client:
        yield client


def told(found: list[Extraction]) -> dict[str, Any]:
    results = [{"skills": each.skills, "parsed": each.parsed} for each in found]
    return {"model": "job-skills", "version": 7, "results": results}


def until(true: Callable[[], bool]) -> None:
    """Wait; a machine with other work on it may take its time."""
    for _ in range(6000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to this")


def test_one_text_and_several_have_the_answers_of_extract(client: httpx.Client, extractor: Extractor) -> None:
    assert client.post("/extract", json={"text": SHORT[0]}).json() == told(extractor.extract(SHORT[:1]))
    assert client.post("/extract", json={"texts": TEXTS}).json() == told(extractor.extract(TEXTS))
    assert client.post("/extract", json={"text": ""}).json() == told([Extraction([], "", True)])


def test_who_else_asks_changes_no_answer(client: httpx.Client, extractor: Extractor) -> None:
    wanted = [TEXTS[start : start + 1 + start % 3] for start in range(len(TEXTS))] * 3
    with ThreadPoolExecutor(9) as pool:
        found = list(pool.map(lambda texts: client.post("/extract", json={"texts": texts}).json(), wanted))
    alone = {text: extractor.extract(text) for text in TEXTS}
    assert found == [told([alone[text] for text in texts]) for texts in wanted]


NO_OBJECT = 'the body is no JSON object: send {"text": "..."}'


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{}", 422, "give either `text`, a string, or `texts`, a list of strings"),
        (b'{"text": "a", "texts": ["b"]}', 422, "give either `text`"),
        (b'{"text": 7}', 422, "text: Input should be a valid string"),
        (b'{"texts": "a"}', 422, "texts: Input should be a valid list"),
        (b'{"texts": []}', 422, "texts: List should have at least 1 item"),
        (b'{"texts": ["a", null]}', 422, "texts.1: Input should be a valid string"),
        (b'{"txt": "a"}', 422, "txt: Extra inputs are not permitted"),
        (json.dumps({"texts": ["a"] * (MAX_TEXTS + 1)}).encode(), 422, "texts: List should have at most 256 items"),
        (
            json.dumps({"text": "a" * (MAX_TEXT + 1)}).encode(),
            422,
            "text: String should have at most 100000 characters",
        ),
        (b"", 422, NO_OBJECT),
        (b"[1]", 422, NO_OBJECT),
        (b'"A welder."', 422, NO_OBJECT),
        (b"A welder.", 422, NO_OBJECT),
        (b'{"text": "\xe9"}', 400, "error parsing the body"),
        (b"[" * 100_000, 400, "error parsing the body"),
        (b'{"text": "' + b"a" * 1_000_000 + b'"}', 413, "the body has more than 1,000,000 bytes: send fewer texts"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_a_body_of_another_shape(client: httpx.Client, body: bytes, status: int, detail: str) -> None:
    said = client.post("/extract", content=body, headers={"Content-Type": "application/json"})
    assert said.status_code == status
    assert detail in said.json()["detail"] and len(said.json()["detail"]) < 400


def test_a_form_is_told_to_be_json(client: httpx.Client) -> None:
    assert NO_OBJECT in client.post("/extract", data={"text": "A welder."}).json()["detail"]


def test_a_body_that_does_not_tell_its_length_is_counted(client: httpx.Client) -> None:
    said = client.post("/extract", content=(b"a" * 10_000 for _ in range(101)))
    assert said.status_code == 413


def test_half_a_character(client: httpx.Client, extractor: Extractor) -> None:
    said = client.post("/extract", content=b'{"text": "SQL \\ud83d"}', headers={"Content-Type": "application/json"})
    assert said.json() == told([extractor.extract("SQL \ud83d")])


def test_health(client: httpx.Client) -> None:
    said = client.get("/healthz")
    assert said.status_code == 200
    assert {**said.json(), "answered": 0} == {
        "ready": True,
        "model": "job-skills",
        "version": 7,
        "waiting": 0,
        "answered": 0,
    }


def test_the_pages_need_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "job-skills@7" in page.text and "@" not in page.text.replace("job-skills@7", "")
    address = str(client.base_url).rstrip("/")
    assert set(re.findall(r"https?://[^/\s]+", page.text)) == {address}
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/extract", "/healthz"}
    assert set(described["paths"]["/extract"]["post"]["responses"]) == {
        "200", "401", "408", "413", "422", "429", "503", "504",
    }  # fmt: skip
    assert client.get("/redoc").status_code == 404


def test_a_token(extractor: Extractor, version: Path) -> None:
    with serving(extractor, version, token="a secret of sixteen") as client:
        for headers in ({}, {"Authorization": "Bearer another"}, {"Authorization": "Basic a secret of sixteen"}):
            said = client.post("/extract", json={"text": SHORT[0]}, headers=headers)
            assert (said.status_code, said.headers["WWW-Authenticate"]) == (401, "Bearer")
        good = {"Authorization": "Bearer a secret of sixteen"}
        assert client.post("/extract", json={"text": SHORT[0]}, headers=good).json() == told(
            extractor.extract(SHORT[:1])
        )
        assert client.get("/healthz").status_code == 200
        assert "Authorization: Bearer TOKEN" in client.get("/docs").text


def test_a_full_server_says_when_to_come_again(extractor: Extractor, version: Path) -> None:
    slow, model = held(extractor)
    with serving(slow, version, Limits(requests=2)) as client, ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(client.post, "/extract", json={"text": SHORT[0]}) for _ in range(2)]
        until(lambda: client.get("/healthz").json()["waiting"] == 2)
        said = client.post("/extract", json={"text": SHORT[1]})
        assert said.status_code == 429 and int(said.headers["Retry-After"]) >= 1
        model.released.set()
        assert [each.result().status_code for each in asked] == [200, 200]
        assert client.post("/extract", json={"text": SHORT[1]}).status_code == 200


def test_work_that_nobody_waits_for_is_dropped(extractor: Extractor, version: Path) -> None:
    """By a client that hangs up, and by one that has waited for too long."""
    slow, model = held(extractor)
    with serving(slow, version, Limits(seconds=1.5)) as client:
        body = json.dumps({"texts": TEXTS}).encode()
        head = f"POST /extract HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as hung_up:
            hung_up.sendall(head.encode() + body)
            until(lambda: client.get("/healthz").json()["waiting"] == 1)
        until(lambda: client.get("/healthz").json()["waiting"] == 0)
        said = client.post("/extract", json={"texts": TEXTS})
        assert said.status_code == 504 and "no answer within 1.5 s: send fewer" in said.json()["detail"]
        assert client.get("/healthz").json()["waiting"] == 0
        model.released.set()
        until(lambda: client.post("/extract", json={"text": SHORT[2]}).status_code == 200)
        # Of 18 texts only the batch that was at work already.
        assert client.get("/healthz").json()["answered"] < len(TEXTS)


def test_a_body_that_does_not_come(extractor: Extractor, version: Path) -> None:
    with serving(extractor, version, Limits(seconds=0.3)) as client:
        head = b"POST /extract HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as slow:
            slow.sendall(head)
            slow.settimeout(60)
            assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_a_model_that_fails_fails_those_who_wait_and_no_others(extractor: Extractor, version: Path) -> None:
    failing, model = held(extractor, MemoryError("no memory"))
    model.released.set()
    with serving(failing, version) as client:
        said = client.post("/extract", json={"text": SHORT[0]})
        assert said.status_code == 503 and "the model failed (MemoryError)" in said.json()["detail"]
        assert client.post("/extract", json={"text": SHORT[0]}).json() == told(extractor.extract(SHORT[:1]))


def test_what_is_open_is_answered_before_the_end(extractor: Extractor, version: Path) -> None:
    slow, model = held(extractor)
    with serving(slow, version) as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, "/extract", json={"texts": TEXTS})
        until(lambda: client.get("/healthz").json()["waiting"] == 1)
        client.server.should_exit = True  # type: ignore[attr-defined]  # what SIGTERM does
        until(lambda: _refused(client))
        threading.Timer(0.1, model.released.set).start()
        assert asked.result().json() == told(extractor.extract(TEXTS))


def _refused(client: httpx.Client) -> bool:
    try:
        httpx.get(client.base_url.join("/healthz"))
    except httpx.ConnectError:
        return True
    return False
