"""The page The matrix: its numbers, what it marks, who may fill what is missing, and that nothing is filled twice."""

from __future__ import annotations

import csv
import io
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from skillsengine.reporting.figures.grid import scale, shade
from tests.airflow.ui import matrix_filling as fill
from tests.airflow.ui.filling import AirflowTables, Filled, spec_of
from tests.airflow.ui.test_all_experiments import text_of
from tests.airflow.ui.visiting import Visitor, counting
from tests.reporting.past import metrics

PAGE = "/experiments/skills/matrix"
SAME = {"sec-fetch-site": "same-origin"}
KEYS = fill.months("2026-05", 5)
"""2026-01 to 2026-05; the tests' own time is later than 2026-06."""


@pytest.fixture
def filled(airflow: AirflowTables, project: Path) -> Filled:
    """skills@1, trained on January, and skills@2, trained on January and February, which has drifted in April."""
    airflow.experiment(project, "skills", fill.BASELINES)
    fill.serialize(airflow, project, "skills")
    filled = Filled(project)
    fill.looked(filled, project, "skills", [key for key in KEYS if key != "2026-03"])
    first = fill.version(filled, "skills", KEYS[:1])
    second = fill.version(filled, "skills", KEYS[:2])
    fill.cell(filled, "skills", "2026-04", metrics(0.5, "2026-04", seconds=3.0, drift=fill.drift(0.5)), of=second)
    unlabelled = {"rows": 3, "labelled_rows": 0, "parse_rate": 0.75, "verbatim_rate": 1.0, "skills_per_ad": 2.0}
    fill.cell(filled, "skills", "2026-05", unlabelled, of=second)
    fill.cell(filled, "skills", "2026-04", metrics(0.25, "2026-04", "lexicon", seconds=0.5), kind="lexicon")
    filled.catalog.set_alias("skills", "champion", first.number, "better")
    return filled


def table(page: str) -> dict[str, list[tuple[str, str]]]:
    """Head of each row of the matrix -> (class, text) of its cells."""
    rows = {}
    for row in re.findall(r"<tr>(<th scope=\"row\">.*?)</tr>", page, re.DOTALL):
        head, rest = row.split("</th>", 1)
        cells = re.findall(r"<td(?: class=\"([^\"]*)\")?>(.*?)</td>", rest, re.DOTALL)
        rows[text_of(head).removeprefix("Fill what is missing of ")] = [(css, text_of(inner)) for css, inner in cells]
    return rows


def columns(page: str) -> list[str]:
    return re.findall(r'<span class="vh">(20[^<]*)</span></th>', page)


def press(visitor: Visitor, *versions: int, page: str | None = None, **more: str) -> httpx.Response:
    """As the page's form does."""
    page = page or visitor.html(PAGE)
    (token,) = re.findall(r'name="forgery_token" value="([^"]+)"', page)[:1] or ["none"]
    form = {"forgery_token": token, "version": [str(number) for number in versions], "from": "", "to": ""} | more
    return visitor.client.post(f"{visitor.pages}{PAGE}/fill", data=form, headers=SAME)


def runs(airflow: AirflowTables) -> list[Any]:
    from airflow.models.dagrun import DagRun

    airflow.session.expire_all()
    return list(airflow.session.query(DagRun).order_by(DagRun.id))


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


def test_the_button_starts_the_run_that_the_command_line_would(
    visitor: Any, filled: Filled, airflow: AirflowTables, project: Path
) -> None:
    rita = visitor("rita")
    page = rita.html(PAGE)
    said = text_of(page)
    assert "3 cells are missing" in said and "Fill the 3 missing cells" in said
    assert "About 10 s, by what cells took: one of a version 3.0 s, the lexicon 0.5 s." in said
    assert re.findall(r'name="version" value="(\d+)"', page) == ["1"], "the other one lacks nothing"
    answer = press(rita, 1)
    assert answer.status_code == 303, answer.text
    (run,) = runs(airflow)
    assert (run.dag_id, run.run_type, run.triggering_user_name) == ("skills.evaluations", "manual", "rita")
    assert run.conf == {"cells": ["1@2026-02", "1@2026-04", "1@2026-05"]} and run.state == "queued"
    assert run.note == "3 missing cells, asked for on the matrix page by rita"
    assert parse_qs(urlsplit(answer.headers["location"]).query) == {"made": [run.run_id]}
    page = rita.client.get(answer.headers["location"]).text
    said = text_of(page)
    assert f"Created: {run.run_id} fills 3 cells." in said and "Nothing is missing" in said
    assert f'href="/dags/skills.evaluations/runs/{run.run_id}" target="_top"' in page and 'id="fill"' not in page
    assert [css for css, _ in table(page)["skills@1 champion until 2026-01"]].count("queued") == 3


def test_a_second_click_creates_nothing(visitor: Any, filled: Filled, airflow: AirflowTables) -> None:
    rita = visitor("rita")
    page = rita.html(PAGE)
    press(rita, 1, page=page)
    answer = press(rita, 1, page=page)
    (run,) = runs(airflow)
    assert parse_qs(urlsplit(answer.headers["location"]).query) == {"already": [run.run_id]}
    said = text_of(rita.client.get(answer.headers["location"]).text)
    assert f"Nothing was created: {run.run_id} is at it already." in said
    # What a run was not asked for can still be filled meanwhile.
    run.conf = {"cells": ["1@2026-02"]}
    airflow.session.commit()
    assert press(rita, 1, page=page).status_code == 303
    assert [each.conf for each in runs(airflow)][1] == {"cells": ["1@2026-04", "1@2026-05"]}


def test_two_clicks_at_the_same_moment(
    visitor: Any, filled: Filled, airflow: AirflowTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skillsengine.airflow.ui import matrix_known

    both, real = threading.Barrier(2, timeout=60), matrix_known.fills

    def seen(*args: Any) -> Any:
        found = real(*args)
        both.wait()  # both have looked before either creates
        return found

    rita = visitor("rita")
    page = rita.html(PAGE)
    monkeypatch.setattr(matrix_known, "fills", seen)
    answers: list[httpx.Response] = []
    clicks = [threading.Thread(target=lambda: answers.append(press(rita, 1, page=page))) for _ in range(2)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    (run,) = runs(airflow)
    told = sorted((parse_qs(urlsplit(answer.headers["location"]).query) for answer in answers), key=str)
    assert told == [{"already": [run.run_id]}, {"made": [run.run_id]}]


def test_a_range_is_filled_and_nothing_else(visitor: Any, filled: Filled, airflow: AirflowTables) -> None:
    rita = visitor("rita")
    back = "?metric=recall&from=2026-04&to=2026-05"
    answer = press(rita, 1, 2, **{"from": "2026-04", "to": "2026-05"}, back=f"{back}&made=x&evil=1")
    (run,) = runs(airflow)
    assert run.conf == {"cells": ["1@2026-04", "1@2026-05"]}
    assert answer.headers["location"] == f"/skillsengine{PAGE}{back}&made={run.run_id}"
    told = rita.get(f"{PAGE}/missing.json?version=1&from=2026-01&to=2026-02").json()
    assert (told["missing"], told["refused"]) == (1, "")
    assert rita.get(f"{PAGE}/missing.json").json()["missing"] == 0, "of no version"
    assert press(rita).status_code == 422
    assert press(rita, 1, **{"from": "2019-01"}).status_code == 422


def test_more_than_one_run_can_hold(
    visitor: Any, filled: Filled, airflow: AirflowTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skillsengine.pipeline.filling.MOST_CELLS", 2)
    rita = visitor("rita")
    assert "In 2 runs, of at most" in text_of(rita.html(PAGE))
    answer = press(rita, 1)
    assert [run.conf["cells"] for run in runs(airflow)] == [["1@2026-02", "1@2026-04"], ["1@2026-05"]]
    said = text_of(rita.client.get(answer.headers["location"]).text)
    assert "fills 2 cells" in said and "fills 1 cell." in said


def test_a_source_that_is_not_dated(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    path = project / "experiments" / "skills.yaml"
    airflow.experiment(project, "skills")
    path.write_text("name: skills\nschedule: none\ndata: {source: data/ads}\n")
    airflow.clear()
    from skillsengine.airflow.dagfile import good_file
    from skillsengine.spec.load import load_spec

    loaded = load_spec(path)
    code = good_file(
        source="experiments/skills.yaml", text=loaded.text, experiment=loaded.experiment, project=str(project)
    )
    airflow.dag("skills", code=code)
    airflow.dag("skills.evaluations", tags=("skillsengine", "evaluations"))
    fill.serialize(airflow, project, "skills")
    filled = Filled(project)
    fill.version(filled, "skills", ["all"])
    ann = visitor("ann")
    page = ann.html(PAGE)
    assert "1 cell is missing" in text_of(page)
    assert press(ann, 1, page=page).status_code == 303
    (run,) = runs(airflow)
    assert run.conf == {"versions": ["1"]}
    assert (
        "Nothing is missing" in text_of(ann.html(PAGE)) and "already=" in press(ann, 1, page=page).headers["location"]
    )


def test_who_may_not_start_runs_has_no_button(visitor: Any, filled: Filled, airflow: AirflowTables) -> None:
    red = visitor("red")
    page = red.html(PAGE)
    assert 'id="fill"' not in page and "<input" not in page
    assert "You may not start runs of skills.evaluations: who may finds a button here" in text_of(page)
    token = re.findall(r'name="forgery_token" value="([^"]+)"', visitor("rita").html(PAGE))[0]
    stolen = f'name="forgery_token" value="{token}"'
    assert press(red, 1, page=stolen).status_code == 403 and not runs(airflow)


def test_a_reader_s_own_token_starts_nothing(visitor: Any, filled: Filled, airflow: AirflowTables) -> None:
    from fastapi import Request, Response

    from skillsengine.airflow.ui import forgery

    red = visitor("red")
    red.client.cookies.set(forgery.COOKIE, "browser", domain="airflow.test")
    request = Request({"type": "http", "headers": [(b"cookie", f"{forgery.COOKIE}=browser".encode())]})
    own = next(user for user in _users() if user.username == "red")
    token = forgery.token_for(request, Response(), str(own.get_id()))
    answer = press(red, 1, page=f'name="forgery_token" value="{token}"')
    assert answer.status_code == 403 and "You may not start runs of skills.evaluations, so you cannot" in answer.text
    assert not runs(airflow)


def _users() -> Any:
    from airflow.api_fastapi.app import get_auth_manager

    return get_auth_manager().get_users()


def test_what_may_be_forged_starts_nothing(visitor: Any, filled: Filled, airflow: AirflowTables) -> None:
    rita = visitor("rita")
    page = rita.html(PAGE)
    assert press(rita, 1, page="no token").status_code == 403
    (token,) = re.findall(r'name="forgery_token" value="([^"]+)"', page)
    form = {"forgery_token": token, "version": "1"}
    answer = rita.client.post(f"{rita.pages}{PAGE}/fill", data=form, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403 and not runs(airflow)
    assert rita.get(f"{PAGE}/fill").status_code == 405
    nobody = visitor(None)
    for path in ("", ".csv", ".json", "/live.json", "/missing.json"):
        assert nobody.get(PAGE + path).status_code == 401, path
        assert visitor("blue").get(PAGE + path).status_code == 404, path
    assert nobody.client.post(f"{nobody.pages}{PAGE}/fill", data=form, headers=SAME).status_code == 401
    assert press(visitor("blue"), 1, page=page).status_code == 403, "the page was made for somebody else"


def test_a_paused_dag_and_none(visitor: Any, filled: Filled, airflow: AirflowTables) -> None:
    from airflow.models.dag import DagModel

    rita = visitor("rita")
    page = rita.html(PAGE)
    dag = airflow.session.get(DagModel, "skills.evaluations")
    dag.is_paused = True
    airflow.session.commit()
    paused = "The DAG skills.evaluations is paused in Airflow, so a run would only wait."
    assert paused in text_of(rita.html(PAGE))
    answer = press(rita, 1, page=page)
    assert answer.status_code == 409 and paused in answer.text
    dag.is_paused, dag.is_stale = False, True
    airflow.session.commit()
    assert "Airflow does not have the DAG skills.evaluations" in text_of(rita.html(PAGE))
    assert press(rita, 1, page=page).status_code == 409 and not runs(airflow)


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
