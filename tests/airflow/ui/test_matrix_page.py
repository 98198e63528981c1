"""The page The matrix: its numbers, what it marks, and that it stays one answer of few questions."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from skillsengine.reporting.figures.grid import scale, shade
from tests.airflow.ui import matrix_filling as fill
from tests.airflow.ui.filling import AirflowTables, Filled, spec_of
from tests.airflow.ui.matrix_reading import PAGE, columns, runs, table
from tests.airflow.ui.test_all_experiments import text_of
from tests.airflow.ui.visiting import counting
from tests.reporting.past import metrics


def test_numbers_and_marks_are_those_of_the_catalog(visitor: Any, filled: Filled) -> None:
    page = visitor("ann").html(PAGE)
    shown = columns(page)
    assert shown[:6] == ["2026-01", "2026-02", "2026-03, no data", "2026-04", "2026-05", "2026-06, no data"]
    assert shown[6] == "2026-07, unknown", "it was not over when the run looked"
    assert shown[-1].endswith(", unfinished"), "the month under way"
    rows = table(page)
    assert list(rows)[:3] == ["skills@2 latest until 2026-02", "skills@1 champion until 2026-01", "lexicon"], (
        "the newest first"
    )
    told = [css for css, _ in rows["skills@2 latest until 2026-02"]][:6]
    square = f"s{shade(0.5, *scale([0.25, 0.5]))}"
    assert told == ["trained", "trained", "hole", square, "none", "hole"]
    scored = filled.catalog.cells("skills", partition="2026-04")[0].metrics
    hint = f"f1 {scored['f1']:.3f} ({scored['f1_low']:.3f} to {scored['f1_high']:.3f}), on 3 ads with 5 gold skills"
    (text,) = [text for css, text in rows["skills@2 latest until 2026-02"] if css == square]
    assert text.startswith(".500 ~ skills@2 on 2026-04: ") and hint in text and "drift: length PSI 0.50" in text
    assert [css for css, _ in rows["skills@1 champion until 2026-01"]][:6] == [
        "trained", "lacking", "hole", "lacking", "lacking", "hole",
    ]  # fmt: skip
    assert rows["lexicon"][3][1].startswith(".250")
    assert rows["length, PSI above 0.25"][3] == (
        "drifted",
        ".50 ~ 2026-04: length PSI 0.50 (threshold 0.25), drifted",
    )
    assert "errors?version=2&amp;partition=2026-04" in page and page.count("errors?version=") == 1


def test_another_score_and_range_stand_in_the_address(visitor: Any, filled: Filled) -> None:
    ann = visitor("ann")
    page = ann.html(f"{PAGE}?metric=parse_rate&from=2026-04&to=2026-05")
    assert columns(page) == ["2026-04", "2026-05"]
    assert [text[:4] for _, text in table(page)["skills@2 latest until 2026-02"]] == ["1.00", ".750"]
    assert '<option value="parse_rate" selected>' in page
    for query, said in (
        ("metric=bleu", "there is no such score; there are f1, precision"),
        ("from=2019-01", "from: the matrix has no partition 2019-01; it goes from 2026-01 to"),
        ("from=2026-05&amp;to=2026-04".replace("&amp;", "&"), "from 2026-05 is after to 2026-04"),
    ):
        answer = ann.get(f"{PAGE}?{query}")
        assert answer.status_code == 422 and said in answer.text, query


def test_the_numbers_are_files(visitor: Any, filled: Filled) -> None:
    ann = visitor("ann")
    answer = ann.get(f"{PAGE}.csv?from=2026-04&to=2026-04")
    assert answer.headers["content-disposition"] == 'attachment; filename="skills-matrix.csv"'
    found = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["column"], row["state"], row["f1"]) for row in found] == [
        ("skills@1", "missing", ""),
        ("skills@2", "scored", "0.5"),
        ("lexicon", "scored", "0.25"),
    ]
    told = ann.get(f"{PAGE}.json?metric=recall").json()
    assert told["columns"][3] == "recall" and 0.51 in [row[3] for row in told["rows"]]


def test_what_goes_on_is_marked_and_gives_another_mark(
    visitor: Any, filled: Filled, airflow: AirflowTables, project: Path
) -> None:
    ann, catalog, spec = visitor("ann"), filled.catalog, spec_of(project, "skills")

    def mark() -> str:
        told = ann.get(f"{PAGE}/live.json").json()
        assert f'data-mark="{told["mark"]}"' in ann.html(PAGE), "the page is of the same moment"
        return str(told["mark"])

    def states() -> list[str]:
        return [css for css, _ in table(ann.html(PAGE))["skills@1 champion until 2026-01"]]

    seen = [mark()]
    airflow.run("skills.evaluations", "r1", "running", conf={"cells": ["1@2026-04", "1@2026-05"]})
    seen.append(mark())
    run = filled.run("skills", "r1", spec=spec, kind="evaluations", state=None)
    catalog.start_step(run, "evaluate[skills@1 on 2026-04]", "evaluate", "adapter", "d")
    seen.append(mark())
    assert states()[1:5] == ["lacking", "hole", "running", "queued"] and ann.get(f"{PAGE}/live.json").json()["running"]
    first = catalog.resolve("skills", "1")
    fill.cell(filled, "skills", "2026-04", metrics(0.4, "2026-04", seconds=3.0), of=first)
    catalog.finish_step(run, "evaluate[skills@1 on 2026-04]", "done", 3.0, {})
    seen.append(mark())
    square = f"s{shade(0.4, *scale([0.25, 0.4, 0.5]))}"
    assert states()[1:5] == ["lacking", "hole", square, "queued"]
    assert "2 cells, 1 of them there" in text_of(ann.html(PAGE))
    catalog.start_step(run, "evaluate[skills@1 on 2026-05]", "evaluate", "adapter", "e")
    catalog.finish_step(run, "evaluate[skills@1 on 2026-05]", "failed", 1.0, {}, "No memory is left.\nTraceback")
    (ended,) = runs(airflow)
    ended.state = "failed"
    airflow.session.commit()
    seen.append(mark())
    assert states()[1:5] == ["lacking", "hole", square, "failed"]
    assert "skills@1 on 2026-05: the last try failed: No memory is left." in text_of(ann.html(PAGE))
    assert not ann.get(f"{PAGE}/live.json").json()["running"] and len(set(seen)) == len(seen)


def test_versions_of_others_are_counted(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    filled = Filled(project)
    for name, team in (("skills", "red"), ("theirs", "blue")):
        airflow.experiment(project, name, f"register: {{model: shared}}\n{fill.BASELINES}", team=team)
        row = fill.version(filled, name, ["2026-01"], model="shared")
        fill.cell(filled, "skills", "2026-02", metrics(0.5, "2026-02"), of=row)
    told = text_of(visitor("red").html(PAGE))
    assert (
        "shared@1" in told and "shared@2" not in told and "1 more version was made by experiments that you may" in told
    )
    assert "shared@2" in text_of(visitor("ann").html(PAGE))


def test_nothing_that_people_write_becomes_markup(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    script = "<script>alert(1)</script>\"'"
    airflow.experiment(project, "skills", fill.BASELINES)
    filled = Filled(project)
    row = fill.version(filled, "skills", ["2026-01"])
    fill.cell(filled, "skills", "2026-02", metrics(0.5, script), of=row)
    fill.cell(filled, "skills", f"2026-03{script}", metrics(0.5, script), of=row)
    fill.cell(filled, "skills", "2026-05", metrics(0.5, "2026-05", rows=script), of=row)
    airflow.run("skills.evaluations", "r1", "running", conf={"cells": [f"1@{script}", "x", {"a": 1}], "versions": 3})
    airflow.run("skills.evaluations", "r2", "running", conf={"cells": 7, "versions": {script: 1}})
    airflow.run("skills.evaluations", "r3", "failed", conf={"cells": [f"1@{script}"]}, note=script)
    run = filled.run("skills", script, spec=spec_of(project, "skills"), kind="evaluations", state=None, note=script)
    filled.catalog.start_step(run, f"evaluate[skills@1 on {script}]", "evaluate", "adapter", "d")
    filled.catalog.start_step(run, "evaluate[skills@1 on 2026-03]", "evaluate", "adapter", "e")
    filled.catalog.finish_step(run, "evaluate[skills@1 on 2026-03]", "failed", 1.0, {}, script)
    ann = visitor("ann")
    for path in (PAGE, f"{PAGE}?made={script}&already={script}", f"{PAGE}?metric={script}", f"{PAGE}?from={script}"):
        page = ann.get(path).text
        assert "<script>alert" not in page, path
    assert "&lt;script&gt;alert(1)" in ann.html(PAGE)


def test_nothing_is_there_yet(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    airflow.experiment(project, "skills")
    Filled(project)
    assert "Nothing is registered yet, so there is nothing to score." in text_of(visitor("ann").html(PAGE))
    assert visitor("ann").get(f"{PAGE}.json").json()["rows"] == []


def test_it_takes_the_same_few_questions_however_large_it_is(
    visitor: Any, airflow: AirflowTables, project: Path
) -> None:
    filled, ann, asked = Filled(project), visitor("ann"), []
    for name, versions, count in (("small", 1, 8), ("larger", 3, 14)):
        airflow.experiment(project, name, fill.BASELINES)
        fill.whole(filled, project, name, versions, fill.months("2026-05", count))
        with counting() as told:
            page = ann.html(f"/experiments/{name}/matrix")
        asked.append(len(told))
        assert page.count('<th scope="row">') == versions + 2 + 1 + 5
    assert asked[0] == asked[1] <= 30, asked


def test_of_a_long_history_the_newest_part_is_shown(
    visitor: Any, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skillsengine.airflow.ui.matrix_known._USUAL", 3)
    ann = visitor("ann")
    page = ann.html(PAGE)
    assert len(columns(page)) == 3 and "<option>2026-01</option>" in page
    assert '<option value="" selected>' in page, "what is usual is not pinned"
    assert columns(ann.html(f"{PAGE}?from=2026-01&to=2026-02&drift=")) == ["2026-01", "2026-02"]
    assert len(columns(ann.html(f"{PAGE}?from=2026-01"))) > 4


def test_the_scores_that_are_offered(visitor: Any, filled: Filled) -> None:
    page = visitor("ann").html(PAGE)
    assert (
        '<option value="f1" selected>F1</option>' in page and '<option value="parse_rate">parse rate</option>' in page
    )
