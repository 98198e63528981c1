"""The button of the page The matrix: who may press it, what it starts, and that nothing is filled twice."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.airflow.ui import matrix_filling as fill
from tests.airflow.ui.filling import AirflowTables, Filled
from tests.airflow.ui.matrix_reading import PAGE, SAME, press, runs, table
from tests.airflow.ui.test_all_experiments import text_of


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
