"""The list of all experiments: what it tells, what it finds, and in how many queries."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow.ui import listing
from tests.airflow.ui.filling import NOW, AirflowTables, Filled, spec_of, verdict
from tests.airflow.ui.visiting import counting

SOON = datetime.now(UTC) + timedelta(days=2, hours=1)


def rows(page: str) -> list[str]:
    """The text of each row of the list, white space squeezed."""
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    return [text_of(row) for row in body.split("<tr")[1:]]


def text_of(markup: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", f"<tr{markup}"))).strip()


def names(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="[^"]*/experiments/([^"]+)">', page)


def test_a_row_tells_run_champion_next_run_owner_and_minutes(
    visitor: Any, airflow: AirflowTables, project: Path
) -> None:
    airflow.experiment(project, "skills", owners="ann, bob", description="Finds skills.", next_dagrun_create_after=SOON)
    filled, spec = Filled(project), spec_of(project, "skills")
    filled.now = datetime.now(UTC) - timedelta(hours=3, minutes=30)
    steps = {"format[2026-06]": ("done", 60.0), "profile": ("cached", 5.0), "finetune": ("done", 600.0)}
    filled.run("skills", "r1", spec=spec, steps=steps)
    filled.version("skills", 0.61)
    filled.version("skills", 0.725, champion=True, verdict=verdict(2))
    (row,) = rows(visitor("ann").html("/experiments"))
    assert row.startswith(
        "skills Finds skills. run r1 in Airflow: ✓ succeeded 3 h ago · 2026-06 0.725 0.675 to 0.775 skills@2 · 2026-06"
    )
    assert "F1 of 2 versions, skills@1 to skills@2: from 0.610 to 0.725" in row
    assert row.endswith("in 2 d ann, bob 10 GPU"), "format has run on a worker, and training on its GPU"


def test_without_a_gpu_worker_minutes_are_told_and_old_runs_do_not_count(
    visitor: Any, airflow: AirflowTables, project: Path
) -> None:
    airflow.experiment(project, "small", "resources: {device: cpu}\n", is_paused=True)
    filled, spec = Filled(project), spec_of(project, "small")
    for days in (31, 29):
        filled.now = datetime.now(UTC) - timedelta(days=days)
        filled.run("small", f"r{days}", spec=spec, steps={"finetune": ("failed", 120.0)}, state="failed")
    (row,) = rows(visitor("ann").html("/experiments"))
    assert row == "small run r29 in Airflow: ✕ failed 29 d ago · 2026-06 none paused ann 2.0 worker"


def test_on_several_gpus_a_minute_of_training_is_several(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    airflow.experiment(project, "wide", "resources: {gpus: 4}\n")
    filled = Filled(project)
    filled.now = datetime.now(UTC)
    steps = {"finetune": ("done", 60.0), "evaluate[adapter]": ("done", 60.0), "evaluate[lexicon]": ("done", 600.0)}
    filled.run("wide", "r", spec=spec_of(project, "wide"), steps=steps)
    assert rows(visitor("ann").html("/experiments"))[0].endswith("5.0 GPU")


def test_a_spec_problem_shows_its_caret_and_comes_first(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    message = "experiments/bad.yaml:2:1: trian: unknown key\n    2 | trian: 1\n      | ^^^^^\n   did you mean `train`?"
    airflow.experiment(project, "bad")
    airflow.experiment(project, "good")
    airflow.import_error("bad", message, has_good=True)
    airflow.import_error("new", message.replace("bad", "new"))
    airflow.import_error("_env", "experiments/: SKILLSENGINE_ENV names no file")
    page = visitor("ann").html("/experiments")
    assert names(page) == ["new", "bad", "good"] or names(page) == ["bad", "new", "good"]
    assert f'<pre tabindex="0">{html.escape(message, quote=False)}</pre>' in html.unescape(page).replace("&#39;", "'")
    assert "The last good DAG stays" in page and "It has no DAG yet." in page
    assert page.index("SKILLSENGINE_ENV names no file") < page.index("<tbody>"), "it belongs to no experiment"
    assert set(names(visitor("ann").html("/experiments?state=problem"))) == {"bad", "new"}


def test_search_filter_and_sort_by_the_query_string(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    filled = Filled(project)
    for at, (name, owner, f1) in enumerate((("alpha", "ann", 0.5), ("beta", "bob", 0.7), ("gamma", "ann", None))):
        airflow.experiment(project, name, owners=owner, description=f"The {name} one.")
        filled.now = datetime.now(UTC) - timedelta(days=at)
        filled.run(name, "r", spec=spec_of(project, name), state="failed" if at else "success")
        if f1:
            filled.version(name, f1, champion=True)
    ann = visitor("ann")
    for query, expected in (
        ("", ["alpha", "beta", "gamma"]),
        ("?reverse=1", ["gamma", "beta", "alpha"]),
        ("?sort=f1", ["beta", "alpha", "gamma"]),
        ("?sort=name&reverse=1", ["gamma", "beta", "alpha"]),
        ("?sort=owner", ["alpha", "gamma", "beta"]),
        ("?q=BETA+one", ["beta"]),
        ("?q=beta+two", []),
        ("?owner=ann", ["alpha", "gamma"]),
        ("?state=failed", ["beta", "gamma"]),
        ("?state=never", []),
    ):
        page = ann.html(f"/experiments{query}")
        assert (names(page) if "<tbody>" in page else []) == expected, query
    page = ann.html("/experiments?sort=f1&q=a")
    assert 'aria-sort="descending"' in page and 'href="?q=a&amp;sort=f1&amp;reverse=1"' in page
    assert ann.get("/experiments?sort=nothing").status_code == 422
    assert ann.get("/experiments?page=0").status_code == 422


def test_a_run_that_only_airflow_knows_is_the_last_one(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    airflow.experiment(project, "skills")
    filled = Filled(project)
    filled.run("skills", "first", spec=spec_of(project, "skills"))
    filled.run("skills", "killed", spec=spec_of(project, "skills"), state=None)
    airflow.run("skills", "killed", "failed", NOW)
    ann = visitor("ann")
    assert "✕ failed" in rows(ann.html("/experiments"))[0], "its worker could not write the end into the catalog"
    airflow.run("skills", "waits", "queued", NOW + timedelta(hours=2))
    page = ann.html("/experiments")
    assert "… queued" in rows(page)[0] and 'href="/dags/skills/runs/waits" target="_top"' in page


def test_the_list_takes_the_same_queries_for_one_experiment_and_for_many(
    visitor: Any, airflow: AirflowTables, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    filled, ann = Filled(project), visitor("ann")
    counts = []
    for group in (["a"], [f"b{n}" for n in range(2)]):
        for name in group:
            airflow.experiment(project, name)
            filled.run(name, "r", spec=spec_of(project, name), steps={"finetune": ("done", 1.0)})
            filled.version(name, 0.5, champion=True)
        ann.html("/experiments")
        with counting() as told:
            ann.html("/experiments")
        counts.append(len(told))
    assert counts[0] == counts[1] <= 14, counts
    page = ann.html("/experiments")
    assert len(names(page)) == 2 and "3 experiments, 1 to 2 shown" in text_of(page)
    second = ann.html("/experiments?page=2")
    assert len(names(second)) == 1 and not set(names(second)) & set(names(page))
    assert names(ann.html("/experiments?page=99")) == names(second), "the last one"


def test_an_empty_installation_says_how_to_begin(visitor: Any) -> None:
    assert "drop a spec into the folder <code>experiments/</code>" in visitor("ann").html("/experiments")
