"""The REST client against a server that behaves as badly as Airflow on SQLite now and then does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from skillsengine.airflow import client as module
from skillsengine.airflow.client import AirflowClient, AirflowError


class Server:
    """Answers with what it was told to, in turn; the last answer stays."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], list[tuple[int, Any]]] = {
            ("GET", "/auth/token"): [(201, {"access_token": "t"})]
        }
        self.asked: list[tuple[str, str, Any, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                path = self.path
                outer.asked.append((self.command, path, body, self.headers.get("Authorization")))
                queue = outer.answers.get((self.command, path)) or outer.answers[self.command, path.partition("?")[0]]
                status, answer = queue.pop(0) if len(queue) > 1 else queue[0]
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "_WAITS", (0.0, 0.0, 0.0))
    made = Server()
    yield made
    made.close()


RUNS = "/api/v2/dags/d/dagRuns"


def test_a_trigger_is_repeated_under_the_same_id(server: Server) -> None:
    server.answers["POST", RUNS] = [(500, {"detail": "locked"}), (503, {}), (200, {"dag_run_id": "r"})]
    assert AirflowClient(server.url).trigger("d", run_id="r", conf={"limit": 1}, partition="2026-01") == "r"
    bodies = [body for method, _, body, _ in server.asked if method == "POST"]
    assert bodies == [{"dag_run_id": "r", "logical_date": None, "conf": {"limit": 1}, "partition_key": "2026-01"}] * 3


def test_a_trigger_that_got_through_although_it_was_told_otherwise(server: Server) -> None:
    server.answers["POST", RUNS] = [(500, {}), (409, {"detail": "already exists"})]
    assert AirflowClient(server.url).trigger("d", run_id="r") == "r"


def test_a_run_id_that_was_there_before_is_an_error(server: Server) -> None:
    server.answers["POST", RUNS] = [(409, {"detail": "DAGRun already exists"})]
    with pytest.raises(AirflowError, match=r"POST /api/v2/dags/d/dagRuns: 409 DAGRun already exists"):
        AirflowClient(server.url).trigger("d", run_id="r")


def test_a_refusal_is_told_in_airflows_words_and_not_repeated(server: Server) -> None:
    server.answers["POST", RUNS] = [(400, {"detail": "Invalid input for param limit: 0 is less than 1"})]
    with pytest.raises(AirflowError, match="400 Invalid input for param limit"):
        AirflowClient(server.url).trigger("d", conf={"limit": 0})
    assert len([asked for asked in server.asked if asked[0] == "POST"]) == 1


def test_an_old_token_is_renewed(server: Server) -> None:
    server.answers["GET", "/auth/token"] = [(201, {"access_token": "old"}), (201, {"access_token": "new"})]
    server.answers["GET", "/api/v2/dags/d"] = [(401, {}), (200, {"dag_id": "d"})]
    assert AirflowClient(server.url).dag("d") == {"dag_id": "d"}
    assert [token for _, path, _, token in server.asked if path.endswith("/d")] == ["Bearer old", "Bearer new"]


def test_an_airflow_with_passwords_is_told_apart(server: Server) -> None:
    server.answers["GET", "/auth/token"] = [(403, {})]
    with pytest.raises(AirflowError, match=r"gives no token without a password \(403\)"):
        AirflowClient(server.url).dag("d")
    server.answers["GET", "/api/v2/dags/d"] = [(200, {"dag_id": "d"})]
    assert AirflowClient(server.url, token="mine").dag("d")


def test_a_login_in_the_address_is_used_and_never_shown(server: Server) -> None:
    url = server.url.replace("http://", "http://ann:p%40ss@")
    server.answers["POST", "/auth/token"] = [(201, {"access_token": "hers"}), (401, {})]
    server.answers["GET", "/api/v2/dags/d"] = [(200, {"dag_id": "d"})]
    client = AirflowClient(url + "/")
    assert client.dag("d") and client.url == server.url
    assert server.asked[0][:3] == ("POST", "/auth/token", {"username": "ann", "password": "p@ss"})
    assert server.asked[1][3] == "Bearer hers"
    with pytest.raises(AirflowError) as caught:
        AirflowClient(url).dag("d")
    assert str(caught.value) == (
        f"Airflow at {server.url} gives no token for the user `ann` (401). Mend the login in SKILLSENGINE_AIRFLOW_URL."
    )


def test_what_is_not_there_is_none(server: Server) -> None:
    server.answers["GET", "/api/v2/dags/d"] = [(404, {"detail": "not found"})]
    server.answers["GET", f"{RUNS}/r"] = [(404, {})]
    client = AirflowClient(server.url)
    assert client.dag("d") is None and client.run("d", "r") is None


def test_all_pages(server: Server) -> None:
    pages = [[{"n": n} for n in range(100)], [{"n": n} for n in range(100, 130)]]
    for offset, page in zip((0, 100), pages, strict=True):
        server.answers["GET", f"/api/v2/importErrors?limit=100&offset={offset}"] = [
            (200, {"import_errors": page, "total_entries": 130})
        ]
    assert len(AirflowClient(server.url).import_errors()) == 130


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (
            "0001-01-01",
            "2738-11-28",
            "these are 1000000 days, and one takes at most 36525. Begin at the spec's start_date",
        ),
        ("2026-02-01", "2026-01-31", "it ends before it begins"),
        ("2026-02-30", "2026-03-31", r"day is out of range for month\. Write the days as 2026-01-31"),
    ],
)
def test_a_backfill_that_is_none_asks_airflow_nothing(first: str, last: str, message: str, server: Server) -> None:
    with AirflowClient(server.url) as client, pytest.raises(AirflowError, match=message):
        client.backfill("job", first, last)
    assert server.asked == []


def test_a_backfill(server: Server) -> None:
    server.answers["POST", "/api/v2/backfills"] = [(200, {"id": 3})]
    with AirflowClient(server.url) as client:
        assert client.backfill("job", "2026-01-01", "2026-01-01") == 3
        assert client.backfill("job", "1926-01-01", "2025-12-31") == 3
    assert server.asked[-1][2]["to_date"] == "2025-12-31T00:00:00Z"


def test_a_long_note_is_cut(server: Server) -> None:
    server.answers["PATCH", f"{RUNS}/r"] = [(200, {})]
    AirflowClient(server.url).set_note("d", "r", "x" * 5000)
    (note,) = [body["note"] for method, _, body, _ in server.asked if method == "PATCH"]
    assert len(note) == 1000 and note.endswith("…")


def test_nobody_answers() -> None:
    client = AirflowClient("http://127.0.0.1:9")
    assert client.health() is None


def test_nobody_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITS", (0.0,))
    with pytest.raises(AirflowError, match=r"Airflow at http://127\.0\.0\.1:9: GET /api/v2/dags/d: no answer"):
        AirflowClient("http://127.0.0.1:9").dag("d")


def test_no_proxy_stands_between_a_machine_and_itself(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.answers["GET", "/api/v2/dags/d"] = [(200, {"dag_id": "d"})]
    assert AirflowClient(server.url).dag("d")
