"""What asks a server, and the run in Airflow that answers where there is none: the answers of `extract`, and plain words."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skillsengine.serving.client import Served, Server, ServerError
from skillsengine.serving.extract import Extractor
from skillsengine.settings import load_settings
from skillsengine.storage.catalog import Catalog
from tests.serving.conftest import LONG, SHORT, serving

TEXTS = [SHORT[0], SHORT[6], LONG]


def test_the_answers_of_extract(extractor: Extractor, version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = version.parent / "token"
    token.write_text("a secret of sixteen".replace(" ", "-"))
    monkeypatch.setenv("SKILLSENGINE_SERVE_TOKEN_FILE", str(token))
    with serving(extractor, version, token=token.read_text()) as client:
        monkeypatch.setenv("SKILLSENGINE_SERVE_URL", f"{client.base_url}")
        server = Server.of(load_settings(version.parent))
        assert server is not None and server.look() == Served("job-skills@7", True, 0)
        for text in TEXTS:
            told = server.extract(text)
            found = extractor.extract(text)
            assert (told.version, told.skills, told.parsed) == ("job-skills@7", found.skills, found.parsed)
        with pytest.raises(ServerError, match="asks for another token: SKILLSENGINE_SERVE_TOKEN_FILE names the file"):
            Server(server.url).extract(SHORT[0])
        with pytest.raises(ServerError, match=r"says \(422\): text: String should have at most 100000 characters"):
            server.extract("a" * 100_001)
    with pytest.raises(ServerError, match=r"does not answer .* See that `skillsengine serve` runs there"):
        server.look()


def test_a_run_in_airflow_has_them_too(extractor: Extractor, version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from skillsengine.airflow import trying
    from tests.pipeline.project import tiny_experiment

    monkeypatch.setattr(trying, "die_with_parent", lambda parent: None)
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(version.parent))
    catalog = Catalog.open(load_settings().catalog_url)
    row = catalog.allocate_version(
        "tiny", "d" * 64, experiment="tiny", partition="all", run_id=None, spec={"data": {"text": "t", "id": "id"}}
    )
    catalog.publish_version("tiny", row.number, "d" * 64, version, {}, {})
    dag = trying.build_try(tiny_experiment().model_dump_json(), project="/nowhere")
    for text in TEXTS:
        asked = {"text": text, "version": 1}
        context = {"params": asked, "dag_run": SimpleNamespace(conf=asked), "ti": SimpleNamespace()}
        told = dag.get_task("extract").execute(context)
        found = extractor.extract(text)
        assert (told["version"], told["skills"], told["parsed"]) == ("tiny@1", found.skills, found.parsed)


@contextmanager
def answering(status: int, body: bytes, times: int = 1) -> Iterator[str]:
    """The address of a program that always says the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            try:
                for _ in range(times):
                    self.wfile.write(body)
            except OSError:
                pass  # the client has had enough

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "times", "text"),
    [
        (200, b"<html>", 1, "answers, and is no `skillsengine serve`: mend SKILLSENGINE_SERVE_URL"),
        (200, b"[1]", 1, "is no `skillsengine serve`"),
        (200, b'{"model": "x"}', 1, "is no `skillsengine serve`"),
        (200, b"[" * 1000, 500, "is no `skillsengine serve`"),
        (200, b"a" * 100_000, 12, "sends over 1,000,000 bytes, which is no answer"),
        (429, b'{"detail": "come again"}', 1, r"says \(429\): come again\."),
        (307, b"{}", 1, r"says \(307\)"),
    ],
)
def test_another_program_is_told_apart(status: int, body: bytes, times: int, text: str) -> None:
    with answering(status, body, times) as url, pytest.raises(ServerError, match=text):
        Server(url).look()


def test_one_that_ends_says_so() -> None:
    told = json.dumps({"ready": False, "model": "m", "version": 1, "waiting": 3, "answered": 9}).encode()
    with answering(503, told) as url:
        assert Server(url).look() == Served("m@1", False, 3)


def test_what_is_set_wrongly(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Server.of(load_settings(version.parent)) is None
    for url in ("file:///etc/passwd", "127.0.0.1:8090", "http://", "http://ann:hunter2@host"):
        with pytest.raises(ServerError, match="write http://host:port") as caught:
            Server(url)
        assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("SKILLSENGINE_SERVE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SKILLSENGINE_SERVE_TOKEN_FILE", str(version / "none"))
    with pytest.raises(ServerError, match=r"^SKILLSENGINE_SERVE_TOKEN_FILE: .*none: cannot be read"):
        Server.of(load_settings(version.parent))
