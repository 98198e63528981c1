"""`matrix` and `backfill`, on a project with a version and a month more than it was scored on."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.run import Run
from skillsengine.storage.catalog import Catalog
from tests.cli.conftest import Command
from tests.pipeline.project import make_project, tiny_experiment, write_month
from tests.pipeline.whole import run_whole

SPEC = """name: tiny
schedule: none
data: {source: "data/ads/{partition}.jsonl", window: 2}
base: {model: base}
lora: {r: 4, alpha: 8}
train: {epochs: 1, per_device_batch_size: 4, learning_rate: 0.01}
evaluate: {max_new_tokens: 8}
tracking: {mode: disabled}
resources: {device: cpu}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = make_project(
        tmp_path_factory.mktemp("matrix") / "project", ("2026-01", "2026-02", "2026-03", "2026-04", "2026-06")
    )
    (settings.experiments / "tiny.yaml").write_text(SPEC)
    return run_whole(tiny_experiment(), settings, "r1", partition="2026-03")


@pytest.fixture
def project(done: Run) -> Path:
    return done.settings.project


def test_missing_then_filled_then_nothing(command: Command, done: Run) -> None:
    catalog = Catalog.open(done.settings.catalog_url)
    dry = command("backfill", "tiny", "--dry-run")
    assert dry.code == 0, dry.err
    assert re.search(r"tiny@1 +2  2026-04, 2026-06", dry.out)
    assert re.search(r"base +2  2026-04, 2026-06\n *lexicon +2  2026-04, 2026-06", dry.out)
    assert (
        "2 of 5 cells are missing, and 4 of 6 of baselines; "
        "2 are of ads that the version was trained on, and stay empty.\n" in dry.out
    )
    assert re.search(
        r"Time: about \d+ s, by what cells took: one of a version \d+ s \(median of 1\), the base", dry.out
    )
    listed = command("backfill", "tiny", "--dry-run", "--json").out
    assert json.loads(listed) == ["1@2026-04", "1@2026-06"], "as Airflow's form takes them"
    assert len(catalog.list_runs("tiny")) == 1, "nothing was started"

    filled = command("backfill", "tiny")
    assert filled.code == 0, filled.err
    assert re.search(r"1/6  tiny@1 on 2026-04: F1 0\.\d+ \(0\.\d+ to \d\.\d+\), 8 ads", filled.out)
    assert "3/6  base on 2026-04: F1 " in filled.out and "6/6  lexicon of tiny@1 on 2026-06: F1 " in filled.out
    assert "6 cells filled, 0 were there" in filled.out
    [run, _] = catalog.list_runs("tiny")
    assert (run.kind, run.partition, run.state, run.note) == (
        "evaluations",
        None,
        "success",
        "6 cells filled, 0 were there",
    )

    again = command("backfill", "tiny")
    assert again.code == 0
    assert again.out.startswith(
        "nothing is missing: all 3 cells and 6 of baselines are there, 2 more are of ads that the version was"
    )
    assert command("backfill", "tiny", "--airflow").out == again.out, "no Airflow is asked for"
    assert len(catalog.list_runs("tiny")) == 2, "no run was started"


def test_the_matrix_is_a_table(command: Command) -> None:
    said = command("matrix", "tiny")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert "tiny@1" in lines[1] and "base" in said.out and "lexicon" in said.out
    assert "until 2026-02" in said.out
    rows = {line.split()[0]: line for line in lines if re.match(r"2026-", line)}
    assert "trained on" in rows["2026-01"] and "no data" in rows["2026-05"]
    assert re.search(r"0\.\d{3} ±0\.\d{3}", rows["2026-03"])


def test_the_matrix_as_json_and_by_another_metric(command: Command) -> None:
    found = json.loads(command("matrix", "tiny", "--json", "--from", "2026-03").out)
    assert [part["key"] for part in found["partitions"]] == ["2026-03", "2026-04", "2026-05", "2026-06"]
    assert {cell["state"] for cell in found["cells"]} <= {"scored", "missing"}
    assert command("matrix", "tiny", "--metric", "parse_rate").code == 0


def test_drift_is_marked_and_told(command: Command, done: Run) -> None:
    [cell] = done.catalog.cells("tiny", done.plan.adapter.digest, "2026-03")
    assert cell.metrics["drift"]["ads"] == 8, "a run measures it"
    far = {"unseen_skills": {"share": 0.41, "distinct": 0.5, "chance": 0.2}, "top_skills": {"js": 0.1, "chance": 0.4}}
    done.catalog.add_to_cell(cell.id, "drift", far)
    said = command("matrix", "tiny")
    assert re.search(r"2026-03 +~0\.\d{3}", said.out), said.out
    assert "tiny@1 on 2026-03: unseen skills 41% (threshold 30%)\n" in said.out
    cells = {c["partition"]: c for c in json.loads(command("matrix", "tiny", "--json").out)["cells"]}
    assert cells["2026-03"]["drifted"] == ["unseen_skills"] and cells["2026-03"]["metrics"]["drift"] == far
    assert "drifted" not in cells["2026-01"]


def test_the_matrix_as_a_picture(command: Command, tmp_path: Path) -> None:
    picture = tmp_path / "matrix.png"
    said = command("matrix", "tiny", "--png", str(picture))
    assert said.code == 0, said.err
    assert picture.read_bytes().startswith(b"\x89PNG") and f"drawn into {picture}" in said.out
    wrong = command("matrix", "tiny", "--png", str(tmp_path / "nowhere" / "matrix.png"))
    assert wrong.code == 1 and "cannot be written" in wrong.err and "Name a file such as matrix.png" in wrong.err


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (("matrix", "tinny"), "tinny: no spec in .*experiments has this name; there are tiny. Did you mean `tiny`?"),
        (("matrix", "tiny", "--metric", "f2"), "--metric f2: there is no such score; there are f1, precision"),
        (("backfill", "tiny", "--versions", "3"), "tiny@3 does not exist: tiny has the versions 1 and the aliases"),
        (("backfill", "tiny", "--from", "2026-06", "--to", "2026-01"), "--from 2026-06 is after --to 2026-01"),
        (("backfill", "tiny", "--to", "2999-01"), "--to 2999-01: this month is not over yet"),
        (("backfill", "tiny", "--from", "2026-6"), "`2026-6` is no partition: a month is written as YYYY-MM"),
    ],
)
def test_mistakes_are_told_plainly(command: Command, asked: tuple[str, ...], text: str) -> None:
    said = command(*asked)
    assert said.code == 1
    assert re.search(text, said.err), said.err
    assert "Traceback" not in said.err


class Airflow:
    """A server that answers as Airflow does, and what it was asked to run. (The real one: tests/e2e.)"""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.dag: dict[str, Any] | None = {"dag_id": "tiny.evaluations", "is_paused": False}
        self.state = "success"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, body: Any) -> None:
                data = json.dumps(body).encode()
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                if self.path == "/auth/token":
                    return self.answer({"access_token": "t"})
                self.answer({"state": outer.state} if "/dagRuns/" in self.path else outer.dag)

            def do_POST(self) -> None:
                outer.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.answer({"dag_run_id": f"run-{len(outer.asked)}"})

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    found = Airflow()
    monkeypatch.setenv("SKILLSENGINE_AIRFLOW_URL", f"http://127.0.0.1:{found.server.server_port}")
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def more(done: Run) -> Iterator[None]:
    """Two months that nothing was scored on."""
    folder = done.settings.project / "data" / "ads"
    for key in ("2026-07", "2026-08"):
        write_month(folder / f"{key}.jsonl", key)
    yield
    for key in ("2026-07", "2026-08"):
        (folder / f"{key}.jsonl").unlink()


RANGE = ("--from", "2026-07", "--to", "2026-08")


def test_airflow_fills_them_in_runs_of_bounded_length(
    command: Command, more: None, airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skillsengine.pipeline.filling.MOST_CELLS", 1)
    said = command("backfill", "tiny", "--airflow", *RANGE)
    assert said.code == 0, said.err
    assert [run["conf"] for run in airflow.asked] == [{"cells": ["1@2026-07"]}, {"cells": ["1@2026-08"]}]
    assert re.search(r"Airflow fills them: http://127.0.0.1:\d+/dags/tiny.evaluations/runs/run-1\n", said.out)
    assert "the run ended as success" in said.out
    dry = command("backfill", "tiny", "--airflow", "--dry-run", *RANGE)
    assert dry.code == 0 and len(airflow.asked) == 2
    assert "They are filled by 2 runs, of at most" in dry.out


@pytest.mark.parametrize(
    ("dag", "state", "text"),
    [
        (None, "", r"Airflow at http://127.0.0.1:\d+ has no DAG `tiny.evaluations`. A new spec is there after a few"),
        (
            {"is_paused": True},
            "",
            "`tiny.evaluations` is paused in Airflow, so a run would only wait. Let it go on: skill",
        ),
        (
            {"is_paused": False},
            "failed",
            r"the run ended as failed\nThe log: http.*/runs/run-1\nWhat was finished is kept",
        ),
    ],
)
def test_what_airflow_does_not_fill_is_told(
    command: Command, more: None, airflow: Airflow, dag: dict[str, Any] | None, state: str, text: str
) -> None:
    airflow.dag, airflow.state = dag, state
    said = command("backfill", "tiny", "--airflow", *RANGE)
    assert said.code == 1 and re.search(text, said.err), said.err


def test_without_an_airflow_it_says_so(command: Command, more: None) -> None:
    said = command("backfill", "tiny", "--airflow", *RANGE)
    assert said.code == 1 and "no Airflow is known here: the embedded one does not run (`make up`)" in said.err
    said = command("backfill", "tiny", "--airflow", "--set", "evaluate.max_rows=2")
    assert said.code == 1 and "--set is for a fill in this process: a run of Airflow takes the spec as" in said.err
