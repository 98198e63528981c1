"""The images' health check. tests/e2e/test_healthcheck.py asks a real Airflow."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT

_spec = importlib.util.spec_from_file_location("healthcheck", PROJECT / "docker" / "healthcheck.py")
assert _spec is not None
assert _spec.loader is not None
healthcheck: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(healthcheck)


@pytest.mark.parametrize(
    ("command", "roles"),
    [
        ("/usr/bin/tini -- airflow scheduler", ["scheduler"]),
        ("/sbin/docker-init -- /usr/bin/tini -- /opt/venv/bin/airflow api-server --port 8080", ["api-server"]),
        ("tini -- bash -c|airflow db migrate && exec airflow dag-processor", ["dag-processor"]),
        ("tini -- bash -c|airflow triggerer & airflow scheduler & wait", ["triggerer", "scheduler"]),
        ("tini -- airflow celery worker -q gpu", ["celery worker"]),
        ("tini -- airflow celery flower", []),
        ("tini -- airflow scheduler-of-mine", []),
        ("tini -- airflow db migrate", []),
        ("tini -- skillsengine run experiments/airflow-scheduler.yaml", []),
    ],
)
def test_the_command_tells_the_role(command: str, roles: list[str]) -> None:
    words, _, script = command.partition("|")
    assert healthcheck.roles_of([*words.split(), script]) == roles


def test_a_container_without_a_role_is_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(healthcheck, "process_one", lambda: ["tini", "--", "skillsengine", "run", "x.yaml"])
    assert healthcheck.main([]) == 0
    assert capsys.readouterr().out == "nothing to check: `tini -- skillsengine run x.yaml` starts no part of Airflow\n"


def test_process_one_can_be_read() -> None:
    assert healthcheck.process_one()


def test_an_unknown_role(capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck.main(["sheduler"]) == 2
    assert (
        "there is no role `sheduler`; the roles are api-server, scheduler, dag-processor, triggerer"
        in capsys.readouterr().out
    )


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """A server on loopback that answers every GET so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/api/v2/monitor/health" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def body(status: str) -> bytes:
    return json.dumps({"metadatabase": {"status": status}, "scheduler": {"status": None}}).encode()


@pytest.mark.parametrize(
    ("status", "answer", "code", "said"),
    [
        (200, body("healthy"), 0, "api-server: healthy"),
        (200, body("unhealthy"), 1, "the database is unhealthy"),
        (200, b"<html>", 1, "JSONDecodeError"),
        (200, b"[]", 1, "TypeError"),
        (200, b"{}", 1, "KeyError('metadatabase')"),
        (500, body("healthy"), 1, "HTTPError 500"),
    ],
)
def test_the_api_server(
    status: int,
    answer: bytes,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with answering(status, answer) as port:
        monkeypatch.setenv("AIRFLOW__API__PORT", str(port))
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # the host itself is never asked through a proxy
        assert healthcheck.main(["api-server"]) == code
    assert said in capsys.readouterr().out


def test_an_api_server_that_is_down(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(200, b"") as port:
        pass
    monkeypatch.setenv("AIRFLOW__API__PORT", str(port))
    assert healthcheck.main(["api-server"]) == 1
    assert f"http://127.0.0.1:{port}/api/v2/monitor/health: " in capsys.readouterr().out


def test_a_check_that_cannot_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert healthcheck.main(["celery", "worker"]) == 1
    assert "celery worker: " in capsys.readouterr().out
