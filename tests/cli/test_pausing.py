"""`skillsengine pause` and `unpause`, against a server that answers as Airflow does. (The real one: tests/e2e.)"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command

TAGS = {"a": ["skillsengine", "retrain"], "a.evaluations": ["skillsengine"], "b": ["skillsengine"], "theirs": ["etl"]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bool]]:
    """DAG -> whether it is paused, as a server keeps it."""
    state = dict.fromkeys(TAGS, False)

    class Handler(BaseHTTPRequestHandler):
        def answer(self, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            if self.path == "/auth/token":
                return self.answer({"access_token": "t"})
            dags = [
                {"dag_id": name, "is_paused": is_paused, "tags": [{"name": tag} for tag in TAGS[name]]}
                for name, is_paused in state.items()
            ]
            return self.answer({"dags": dags, "total_entries": len(dags)})

        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state[self.path.rpartition("/")[2]] = body["is_paused"]
            self.answer({})

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SKILLSENGINE_AIRFLOW_URL", f"http://127.0.0.1:{server.server_port}")
    yield state
    server.shutdown()
    server.server_close()


def test_both_dags_of_an_experiment_and_back(command: Command, paused: dict[str, bool]) -> None:
    said = command("pause", "a")
    assert (said.code, said.out) == (
        0,
        "paused a\npaused a.evaluations\n"
        "Tasks that run now run to their end; what comes after them waits. To let them go on:\n"
        "  skillsengine unpause a\n",
    )
    assert [name for name, is_paused in paused.items() if is_paused] == ["a", "a.evaluations"]
    assert command("unpause", "a").out.startswith("unpaused a\nunpaused a.evaluations\n")
    assert not any(paused.values())


def test_all_of_ours_and_what_undoes_it(command: Command, paused: dict[str, bool]) -> None:
    paused["b"] = True
    said = command("pause", "--all")
    assert "b was paused already\n" in said.out and said.out.endswith("  skillsengine unpause a\n"), said.out
    assert paused == {"a": True, "a.evaluations": True, "b": True, "theirs": False}
    assert command("pause", "--all").out.count("already") == 3


def test_one_dag_alone(command: Command, paused: dict[str, bool]) -> None:
    assert command("pause", "a.evaluations", "b").out.endswith("  skillsengine unpause a.evaluations b\n")
    assert not paused["a"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("pause",), "say which experiments, or --all for every DAG of skillsengine."),
        (("pause", "a", "--all"), "say which experiments, or --all"),
        (("pause", "bb"), "Airflow has no experiment `bb`: did you mean `b`?"),
        (("unpause", "theirs"), "Airflow has no experiment `theirs`: it has a, a.evaluations, b."),
    ],
)
def test_mistakes(command: Command, paused: dict[str, bool], words: tuple[str, ...], text: str) -> None:
    said = command(*words)
    assert said.code == 1 and text in said.err
    assert not any(paused.values())


def test_no_airflow_at_all(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKILLSENGINE_AIRFLOW_URL", raising=False)
    said = command("pause", "--all")
    assert said.code == 1
    assert "no Airflow is known here: the embedded one does not run (`make up`)" in said.err
    monkeypatch.setenv("SKILLSENGINE_AIRFLOW_URL", "http://ann:hunter2@127.0.0.1:9")
    monkeypatch.setattr("skillsengine.airflow.client._WAITS", ())
    said = command("pause", "--all")
    assert said.code == 1 and "Airflow at http://127.0.0.1:9: GET /api/v2/dags: no answer" in said.err
    assert "hunter2" not in said.err


@pytest.mark.parametrize("name", ["pause", "unpause"])
def test_they_teach_by_an_example(command: Command, name: str) -> None:
    assert f"skillsengine {name} " in command(name, "--help").out
