"""The report of a version on the pages: who gets it, and what the browser lets it do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.airflow.ui.filling import AirflowTables, Filled, spec_of

REPORT = "/experiments/ours/report"
PAGE = "<!doctype html><script>alert(1)</script>a report"


@pytest.fixture
def kept(airflow: AirflowTables, project: Path) -> Path:
    """Version 1 of the blue team, 2 and the champion 3 of the red one, under one model. 1 and 2 have a report."""
    filled = Filled(project)
    for name, team in (("ours", "red"), ("theirs", "blue")):
        airflow.experiment(project, name, "register: {model: shared}\n", team=team)
    for name in ("theirs", "ours", "ours"):
        run = filled.run(name, f"run-{len(filled.catalog.versions())}", spec=spec_of(project, name))
        filled.version(name, 0.5, run=run, model="shared", champion=True)
    folder = project / ".skillsengine" / "store" / "reports" / "shared"
    folder.mkdir(parents=True)
    for number in (1, 2):
        (folder / f"{number}.html").write_text(PAGE)
    return folder


def test_it_is_sent_as_it_is_and_trusted_with_nothing(visitor: Any, kept: Path) -> None:
    answer = visitor("red").get(f"{REPORT}?version=2")
    assert (answer.status_code, answer.text) == (200, PAGE)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts allow-downloads; default-src 'none'; ")
    assert "allow-same-origin" not in policy and "frame-ancestors 'self'" in policy
    assert answer.headers["cache-control"] == "no-store" and answer.headers["x-content-type-options"] == "nosniff"
    other = visitor("red").get("/experiments/ours").headers["content-security-policy"]
    assert "unsafe" not in other, "of this file alone"


def test_where_there_is_none_it_says_so(visitor: Any, kept: Path) -> None:
    answer = visitor("red").get(REPORT)
    assert answer.status_code == 404, "the champion has none"
    assert "no report of shared@3 in the store" in answer.text and "skillsengine report shared@3" in answer.text
    (kept / "3.html").write_text("x" * 2_000_001)
    assert "too large to be one" in visitor("red").get(REPORT).text
    (kept / "3.html").write_text(PAGE)
    assert visitor("red").get(REPORT).text == PAGE


def test_another_team_s_is_not_there(visitor: Any, kept: Path) -> None:
    assert visitor(None).get(REPORT).status_code == 401
    assert visitor("red").get(f"{REPORT}?version=1").status_code == 404
    assert visitor("blue").get(f"{REPORT}?version=2").status_code == 404
    assert visitor("blue").get("/experiments/theirs/report?version=1").text == PAGE
    for name in ("..", "ours%2f..", "OURS"):
        assert visitor("ann").get(f"/experiments/{name}/report").status_code == 404
    assert visitor("ann").get(f"{REPORT}?version=../1").status_code == 422


def test_the_experiment_s_page_leads_to_it(visitor: Any, kept: Path) -> None:
    page = visitor("red").html("/experiments/ours?version=2")
    assert 'href="/skillsengine/experiments/ours/report?version=2"' in page
    assert 'href="/skillsengine/experiments/ours/try?version=2"' in page
    assert "/report?version" not in visitor("red").html("/experiments/ours?version=3")
