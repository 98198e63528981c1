"""`matrix` and `backfill`, on a project with a version and a month more than it was scored on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from skillsengine.pipeline.run import Run
from skillsengine.storage.catalog import Catalog
from tests.cli.conftest import Command
from tests.pipeline.project import make_project, tiny_experiment
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
    assert "2 of 5 cells are missing; 2 are of partitions that the version was trained on, and stay empty." in dry.out
    assert re.search(r"Time: about \d+ s, by the \d+ s that a cell took \(median of 1\)", dry.out)
    listed = command("backfill", "tiny", "--dry-run", "--json").out
    assert json.loads(listed) == ["1@2026-04", "1@2026-06"], "as Airflow's form takes them"
    assert len(catalog.list_runs("tiny")) == 1, "nothing was started"

    filled = command("backfill", "tiny")
    assert filled.code == 0, filled.err
    assert re.search(r"1/2  tiny@1 on 2026-04: F1 0\.\d+ \(0\.\d+ to \d\.\d+\), 8 ads", filled.out)
    assert "2 cells filled, 0 were there" in filled.out
    [run, _] = catalog.list_runs("tiny")
    assert (run.kind, run.partition, run.state, run.note) == (
        "evaluations",
        None,
        "success",
        "2 cells filled, 0 were there",
    )

    again = command("backfill", "tiny")
    assert again.code == 0
    assert again.out.startswith(
        "nothing is missing: all 3 cells are there, 2 more are of partitions that the version was"
    )
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
