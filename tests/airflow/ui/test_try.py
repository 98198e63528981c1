"""The page *Try it*: who may ask what, the run in Airflow that answers, the server that does, and what people paste."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from skillsengine.airflow.trying import build_try
from skillsengine.airflow.ui.shield import MOST_BYTES
from tests.airflow.ui.filling import AirflowTables, Filled, spec_of
from tests.airflow.ui.visiting import Visitor

SAME = {"sec-fetch-site": "same-origin"}
AD = "We look for a <b>welder</b> with TIG welding,\r\nand first aid. <script>alert(1)</script>"
TRY = "/experiments/ours/try"


@pytest.fixture
def both(airflow: AirflowTables, project: Path) -> Filled:
    """`ours` of the red team with two versions, and `theirs` of the blue one, under one model; both can be tried."""
    filled = Filled(project)
    for name, team in (("ours", "red"), ("theirs", "blue")):
        airflow.experiment(project, name, "register: {model: shared}\n", team=team)
        serialize(airflow, name, project, team)
        run = filled.run(name, f"{name}-run", spec=spec_of(project, name))
        filled.version(name, 0.5, run=run, model="shared")
    filled.version("ours", 0.6, model="shared", champion=True)
    return filled


def serialize(airflow: AirflowTables, name: str, project: Path, team: str) -> None:
    """The DAG, as the DAG processor leaves it for the API server."""
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    airflow.dag(f"{name}.try", team=team, tags=("skillsengine", "try"))
    dag = build_try(json.dumps(spec_of(project, name)), project=str(project))
    SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name=team, session=airflow.session)
    airflow.session.commit()


def ask(visitor: Visitor, version: int = 3, text: str = AD, path: str = TRY, **more: str) -> httpx.Response:
    """As the page's form does."""
    page = visitor.html(TRY)
    (token,) = re.findall(r'name="forgery_token" value="([^"]+)"', page) or ["none"]
    form = {"forgery_token": token, "version": str(version), "text": text} | more
    # As a browser sends it, a form with a file among its fields or not.
    fields = {name: (None, value) for name, value in form.items()}
    return visitor.client.post(f"{visitor.pages}{path}", files=fields, headers=SAME)


def asked_run(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    (run_id,) = parse_qs(urlsplit(answer.headers["location"]).query)["run"]
    return run_id


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_only_what_one_may_read_can_be_chosen(visitor: Any, both: Filled) -> None:
    page = visitor("rita").html(TRY)
    assert re.findall(r'<option value="(\d)"', page) == ["3", "1"]
    assert '<option value="3" selected>shared@3 · champion</option>' in page
    assert "stays in Airflow's database" in words(page).replace("&#39;", "'")
    assert '<option value="1" selected>' in visitor("rita").html(f"{TRY}?version=1")
    assert visitor("rita").get(f"{TRY}?version=2").status_code == 404
    assert re.findall(r'<option value="(\d)"', visitor("ann").html(TRY)) == ["3", "2", "1"]
    shown = visitor("red").html(TRY)
    assert "You may read this experiment, and not start its runs" in words(shown) and "<form" not in shown


def test_who_may_not_ask_starts_nothing(visitor: Any, both: Filled, airflow: AirflowTables) -> None:
    nobody, rita, red, blue = visitor(None), visitor("rita"), visitor("red"), visitor("blue")
    assert (
        nobody.client.post(f"{nobody.pages}{TRY}", data={"version": "1", "text": "x"}, headers=SAME).status_code == 401
    )
    assert nobody.get(TRY).status_code == 401 and blue.get(TRY).status_code == 404
    bare = rita.client.post(f"{rita.pages}{TRY}", data={"version": "1", "text": "x"}, headers=SAME)
    assert bare.status_code == 403 and "has no token of these pages" in bare.text
    theirs = ask(rita, path="/experiments/theirs/try")
    assert theirs.status_code == 404 and "There is no such experiment" in theirs.text
    assert ask(rita, version=2).status_code == 404, "a version that another team made"
    token = re.findall(r'value="([^"]+)"', visitor("rita").html(TRY))[0]
    red.get(TRY)
    foreign = red.client.post(
        f"{red.pages}{TRY}", data={"version": "1", "text": "x", "forgery_token": token}, headers=SAME
    )
    assert foreign.status_code == 403
    assert runs(airflow) == []


def test_a_reader_with_a_token_of_their_own_is_refused_too(
    visitor: Any, both: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skillsengine.airflow.ui.access import Access

    rita = visitor("rita")
    token = re.findall(r'value="([^"]+)"', rita.html(TRY))[0]
    # Any other DAG they may start: the right that counts is the one on the DAG that answers.
    monkeypatch.setattr(Access, "may_trigger", lambda self, dag_id: dag_id != "ours.try")
    answer = rita.client.post(
        f"{rita.pages}{TRY}", data={"version": "1", "text": "x", "forgery_token": token}, headers=SAME
    )
    assert answer.status_code == 403 and "You may read ours, and not start runs of ours.try" in words(answer.text)


def test_what_is_no_text_is_refused_in_plain_words(visitor: Any, both: Filled, airflow: AirflowTables) -> None:
    rita = visitor("rita")
    for text, status, said in (
        ("", 422, "There is no text. Paste an ad first."),
        (" \r\n ", 422, "There is no text."),
        (
            "a" * 20_001,
            422,
            "The text has 20,001 characters, and 20,000 are taken here. `skillsengine extract shared@3",
        ),
        ("a" * (MOST_BYTES + 1), 413, "larger than 64 KB"),
    ):
        answer = ask(rita, text=text)
        assert answer.status_code == status and said in answer.text, text[:3]
    assert ask(rita, text="语" * 20_000).status_code == 303, "as many characters as may be, whatever they are"
    assert len(runs(airflow)) == 1
    assert ask(rita, version=0).status_code == ask(rita, by="somebody").status_code == 422


def runs(airflow: AirflowTables) -> list[Any]:
    from airflow.models.dagrun import DagRun

    airflow.session.expire_all()
    return list(airflow.session.query(DagRun).filter(DagRun.run_id.like("try%")))


def test_a_run_answers_and_the_page_tells_how_far_it_is(visitor: Any, both: Filled, airflow: AirflowTables) -> None:
    rita = visitor("rita")
    run_id = asked_run(ask(rita))
    (run,) = runs(airflow)
    text = AD.replace("\r\n", "\n")
    assert (run.dag_id, run.run_id, run.conf) == ("ours.try", run_id, {"text": text, "version": 3})
    assert run.triggering_user_name == "rita" and run.state == "queued"

    def told() -> dict[str, Any]:
        return dict(rita.get(f"{TRY}/{run_id}.json").json())

    assert re.fullmatch(r"Waits for a worker: \d\.\d s", told()["told"]) and not told()["hint"]
    page = rita.html(f"{TRY}?run={run_id}")
    assert f'data-try="/skillsengine{TRY}/{run_id}.json"' in page and f"/dags/ours.try/runs/{run_id}" in page
    assert '<option value="3" selected>' in page and "&lt;b&gt;welder" in page
    run.queued_at -= timedelta(seconds=30)
    airflow.session.commit()
    assert "The scheduler has not taken it yet" in told()["hint"]
    task = task_of(airflow, run)
    assert "It waits for a slot of the queue gpu (pool default_pool)" in told()["hint"]
    task.state = "queued"
    airflow.session.commit()
    assert "none listens to that queue: `skillsengine doctor` tells which workers there are" in told()["hint"]
    task.state, task.start_date = "running", datetime.now(UTC)
    airflow.session.commit()
    assert told()["state"] == "running" and told()["told"].startswith("Loads the version and reads the text: ")
    leave(airflow, run, "return_value", RESULT)
    task.state, run.state, run.end_date = "success", "success", run.queued_at + timedelta(seconds=61)
    airflow.session.commit()
    assert told() == {"state": "done", "told": "", "hint": "", "over": True}
    page = rita.html(f"{TRY}?run={run_id}")
    assert "data-try=" not in page
    assert page.count('<mark class="found"><span class="vh">found: </span>TIG welding</mark>') == 1
    assert (
        "2 skills, found by shared@3" in page and '<li><mark class="found">&lt;i&gt;MIG&lt;/i&gt;</mark></li>' in page
    )
    said = words(page)
    assert "Answered by a run in Airflow in 1.2 s, after 3.4 s of loading; 61 s in all, with the wait." in said
    assert "<script>alert" not in page and "<b>welder" not in page and "<i>MIG" not in page
    shown = re.search(r'<pre id="as-json"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert shown is not None
    import html

    assert json.loads(html.unescape(shown[1])) == {key: RESULT[key] for key in ("version", "skills", "parsed")}
    assert visitor("red").get(f"{TRY}?run={run_id}").status_code == 200, "who reads the runs reads their answers"
    assert visitor("blue").get(f"{TRY}/{run_id}.json").status_code == 404


RESULT = {
    "version": "shared@3",
    "skills": ["TIG welding", "<i>MIG</i>"],
    "parsed": True,
    "loading_seconds": 3.4,
    "seconds": 1.2,
}


def task_of(airflow: AirflowTables, run: Any) -> Any:
    """What the scheduler makes of the run."""
    from airflow.models.serialized_dag import SerializedDagModel

    dag = SerializedDagModel.get_dag(run.dag_id, session=airflow.session)
    run.dag = dag
    run.verify_integrity(dag_version_id=run.created_dag_version_id, session=airflow.session)
    run.state = "running"
    airflow.session.commit()
    (task,) = run.get_task_instances(session=airflow.session)
    return task


def leave(airflow: AirflowTables, run: Any, key: str, value: Any) -> None:
    """As the execution API keeps what a task leaves."""
    from airflow.models.xcom import XComModel

    XComModel.set(
        key=key, value=value, task_id="extract", dag_id=run.dag_id, run_id=run.run_id, session=airflow.session
    )


def test_a_failed_run_says_why(visitor: Any, both: Filled, airflow: AirflowTables) -> None:
    rita = visitor("rita")
    run_id = asked_run(ask(rita))
    (run,) = runs(airflow)
    task = task_of(airflow, run)
    task.state = run.state = "failed"
    airflow.session.commit()
    assert "It was ended before it began." in rita.html(f"{TRY}?run={run_id}")
    task.start_date = datetime.now(UTC)
    airflow.session.commit()
    assert "Its process was ended before it could say why" in rita.html(f"{TRY}?run={run_id}")
    leave(airflow, run, "error", "the base <b>is not</b> there")
    airflow.session.commit()
    page = rita.html(f"{TRY}?run={run_id}")
    assert "the base &lt;b&gt;is not&lt;/b&gt; there" in page
    assert f"/dags/ours.try/runs/{run_id}/tasks/extract" in page
    assert rita.get(f"{TRY}/{run_id}.json").json()["over"] is True


def test_a_paused_or_missing_dag_is_told(visitor: Any, both: Filled, airflow: AirflowTables) -> None:
    from airflow.models.dag import DagModel

    rita = visitor("rita")
    model = airflow.session.get(DagModel, "ours.try")
    model.is_paused = True
    airflow.session.commit()
    run_id = asked_run(ask(rita))
    assert "The DAG ours.try is paused in Airflow" in rita.get(f"{TRY}/{run_id}.json").json()["hint"]
    model.is_stale = True
    airflow.session.commit()
    answer = ask(rita)
    assert answer.status_code == 409 and "Airflow does not have the DAG ours.try." in answer.text
    for path in (f"{TRY}?run=none", f"{TRY}/none.json", f"{TRY}/..%2f..%2fx.json"):
        assert rita.get(path).status_code == 404, path


class Served:
    """A program that answers as `skillsengine serve` does."""

    def __init__(self) -> None:
        self.version, self.status, self.asked = 3, 200, []  # type: ignore[var-annotated]


@contextmanager
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, {"ready": True, "waiting": 0, "answered": 1})

        def do_POST(self) -> None:
            served.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            result = {"skills": RESULT["skills"], "parsed": False}
            self._say(served.status, {"results": [result], "detail": "the model failed (MemoryError)"})

        def _say(self, status: int, told: dict[str, Any]) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"model": "shared", "version": served.version} | told).encode())

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv("SKILLSENGINE_SERVE_URL", f"http://127.0.0.1:{http.server_port}")
    try:
        yield served
    finally:
        http.shutdown()
        http.server_close()


def test_a_server_answers_at_once(
    visitor: Any, both: Filled, airflow: AirflowTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    rita = visitor("rita")
    with server(monkeypatch) as served:
        page = rita.html(TRY)
        assert "shared@3 · champion · served" in page and "serves shared@3 and answers at once" in words(page)
        answer = ask(rita)
        assert answer.status_code == 200 and served.asked == [{"text": AD.replace("\r\n", "\n")}]
        assert "2 skills, found by shared@3" in answer.text and "was no whole list" in answer.text
        assert re.search(r"Answered by http://127\.0\.0\.1:\d+ in 0\.\d s\.", words(answer.text))
        assert runs(airflow) == [] and "&lt;i&gt;MIG" in answer.text and "<i>MIG" not in answer.text
        asked_run(ask(rita, version=1))
        assert len(runs(airflow)) == len(served.asked) == 1, "a version that it does not serve"
        served.status = 503
        answer = ask(rita)
        assert "says (503): the model failed (MemoryError)." in words(answer.text)
        assert 'name="by" value="airflow"' in answer.text and "&lt;b&gt;welder" in answer.text
        asked_run(ask(rita, by="airflow"))
        served.status, served.version = 200, 1
        assert "serves shared@1 and answers at once" in words(rita.html(TRY))
    page = words(rita.html(TRY))
    assert "The server cannot be asked:" in page and "See that `skillsengine serve` runs there" in page
    asked_run(ask(rita))
    monkeypatch.setenv("SKILLSENGINE_SERVE_URL", "http://ann:hunter2@host")
    page = rita.html(TRY)
    assert "write http://host:port" in page and "hunter2" not in page


def test_a_server_that_many_wait_for_is_asked_by_no_more(
    visitor: Any, both: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skillsengine.airflow.ui import try_it

    monkeypatch.setattr(try_it, "_waiting", threading.BoundedSemaphore(1))
    with server(monkeypatch) as served, try_it._waiting:
        assert "others are waiting for http://127.0.0.1" in ask(visitor("rita")).text and served.asked == []


def test_an_experiment_without_a_version_says_so(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    airflow.experiment(project, "ours")
    Filled(project)
    page = visitor("rita").html(TRY)
    assert "No version of ours is published yet" in page and "<form" not in page
