"""The page *Compare*: what two versions differ in, whether a difference is one, and the ads where they answer differently."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow.ui import compare_view
from skillsengine.reporting.figures.difference import difference
from skillsengine.storage.artifact import Artifact
from tests.airflow.ui.answered import begin, evaluation, many
from tests.airflow.ui.filling import AirflowTables
from tests.airflow.ui.test_all_experiments import text_of
from tests.airflow.ui.test_errors_page import choices
from tests.airflow.ui.test_one_experiment import part
from tests.airflow.ui.test_security import SCRIPT, foreign_markup
from tests.reporting.past import Past, metrics

PAGE = "/experiments/tiny/compare"


@pytest.fixture
def past(airflow: AirflowTables, project: Path) -> Past:
    return begin(airflow, project)


def cells(past: Past, partition: str) -> list[Artifact]:
    rows = [past.catalog.resolve("tiny", number) for number in "12"]
    return [past.store.get("evaluate", evaluation(past, row, partition).name) for row in rows]  # type: ignore[misc]


def test_the_scores_are_the_catalog_s_and_the_difference_is_the_gate_s(visitor: Any, past: Past) -> None:
    told = part(visitor("ann").html(f"{PAGE}?a=1&b=2&partition=2026-04"), "scores")
    ours, theirs = reversed(cells(past, "2026-04"))
    for metric, label in (("precision", "precision"), ("recall", "recall"), ("f1", "F1")):
        found = difference(ours, theirs, "tiny@2", "tiny@1", metric)
        assert found is not None and not found.is_one, "of three ads nobody knows"
        sides = []
        for number in "12":
            row = past.catalog.resolve("tiny", number)
            (cell,) = past.catalog.cells("tiny", row.adapter_digest, "2026-04")
            m = cell.metrics
            sides.append(f"{m[metric]:.3f} {m[f'{metric}_low']:.3f} to {m[f'{metric}_high']:.3f}")
        apart = f"{found.value:+.3f} {found.low:+.3f} to {found.high:+.3f}, p = {found.p_value:.3f} no difference seen"
        assert f"{label} {' '.join(sides)} {apart}" in told
    f1 = difference(ours, theirs, "tiny@2", "tiny@1")
    assert f1 and f"F1: {f1.text}, on the 3 labelled ads that both were scored on, with 5 skills." in told
    assert "fuzzy F1 0.500 0.600 not compared" in told, "no difference without saying whether it is one"


def test_a_difference_that_is_one_and_the_gate_s_words(visitor: Any, past: Past) -> None:
    ads, errors = many(30)
    row = past.version(3, 0.1, "2026-06", ads=ads, errors=errors)
    right = {name: (text, gold, gold) for name, (text, gold, _) in ads.items()}
    last = past.version(4, 1.0, "2026-06", ads=right, errors=[])
    verdict = {**(last.verdict or {}), "opponent": "tiny@3", "verdict": "promote", "reason": "tiny@4 beats tiny@3"}
    past.catalog.set_verdict("tiny", 4, verdict)
    ann = visitor("ann")
    page = ann.html(f"{PAGE}?a={row.number}&b={last.number}")
    assert "tiny@4 is better" in part(page, "scores") and "tiny@4 is better by 1.000" in text_of(page)
    assert '<span class="chip good">tiny@4 is better</span>' in page
    assert "tiny@4 beats tiny@3" in part(page, "gate")
    page = ann.html(f"{PAGE}?a={last.number}&b={row.number}")
    assert '<span class="chip bad">tiny@4 is better</span>' in page and "tiny@4 beats tiny@3" in page
    assert 'id="gate"' not in ann.html(f"{PAGE}?a=1&b=2"), "they never met"
    assert "30 ads, 1 to 10 shown" in page
    assert re.findall(r'<h3>(\S+) <span class="dim">tiny@4 all right, tiny@3 2 wrong', page) == list(ads)[:10]
    last_page = ann.html(f"{PAGE}?a={last.number}&b={row.number}&page=99")
    assert "30 ads, 21 to 30 shown" in last_page and "Page 3 of 3" in last_page


def test_the_champion_against_the_newest_and_only_what_is_there(visitor: Any, past: Past) -> None:
    ann, catalog = visitor("ann"), past.catalog
    assert "tiny@2 against tiny@1" in ann.html(PAGE), "the champion is the newest: the newest two"
    catalog.set_alias("tiny", "champion", 1, reason="by hand")
    page = ann.html(f"{PAGE}?a=&b=&partition=&better=&page=")
    assert "tiny@2 against tiny@1" in page and choices(page, "a") == ["tiny@2 (latest)", "tiny@1 (champion)"]
    assert "tiny@1 against tiny@2" in ann.html(f"{PAGE}?a=2") and "tiny@1 against tiny@2" in ann.html(f"{PAGE}?b=1")
    assert choices(page, "partition") == ["2026-05 (no labels)", "2026-04"]
    assert "Scores on 2026-04" in page, "with labels before without"
    assert "Left out: tiny@1 was scored on 2026-03, and tiny@2 was not." in text_of(page)
    assert "They were not both scored on 2026-03. Both were scored on" in text_of(ann.html(f"{PAGE}?partition=2026-03"))
    assert "A and B are one version, tiny@1." in text_of(ann.html(f"{PAGE}?a=1&b=1"))
    assert ann.get(f"{PAGE}?a=3").status_code == ann.get(f"{PAGE}?b=9").status_code == 404
    assert ann.get(f"{PAGE}?a=x").status_code == 422


def test_what_one_was_trained_on_is_left_out(visitor: Any, past: Past) -> None:
    """2026-02 is in the window of both, and somebody has a cell of it."""
    for number in "12":
        past.cell(past.catalog.resolve("tiny", number), "2026-02", metrics(0.9, "2026-02"))
    page = visitor("ann").html(PAGE)
    assert choices(page, "partition") == ["2026-05 (no labels)", "2026-04"]
    assert "tiny@1 was trained on 2026-02. tiny@2 was trained on 2026-02." in text_of(page)


def test_none_in_common_leads_to_the_matrix(visitor: Any, past: Past, airflow: AirflowTables, project: Path) -> None:
    past.version(3, 0.5, "2026-07")
    page = visitor("ann").html(f"{PAGE}?a=1&b=3")
    assert "There is no partition that both were scored on" in page
    assert '<a href="/skillsengine/experiments/tiny/matrix">The matrix</a>' in page and 'id="scores"' not in page
    airflow.experiment(project, "fresh")
    assert "Nothing is registered yet." in visitor("ann").html("/experiments/fresh/compare")


def test_the_specs_field_by_field(visitor: Any, past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = visitor("ann")
    told = part(ann.html(PAGE), "spec")
    assert 'owner "skillsengine" "bob" how Airflow runs it' in told and "train.epochs 1.0 7.0 finetune" in told
    row = past.catalog.resolve("tiny", "2")
    past.spec = json.loads(json.dumps(row.spec))
    past.spec["prompt"]["template"] = "Read this.\n" + past.spec["prompt"]["template"]
    past.spec["lora"]["target_modules"] = ["q_proj", "lm_head"]
    past.spec["description"] = "token: hf_abcdefghijkl"
    past.version(3, 0.5, "2026-07")
    page = ann.html(f"{PAGE}?a=2&b=3")
    assert "<ins>+Read this.</ins>" in page and "<ins>+ &#34;lm_head&#34;</ins>" in page
    assert "<del>− &#34;k_proj&#34;</del>" in page and "hf_abc" not in page
    past.version(4, 0.5, "2026-08")
    assert "Nothing: they differ in their data." in part(ann.html(f"{PAGE}?a=3&b=4"), "spec")
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    real = SimpleAuthManager.is_authorized_dag
    monkeypatch.setattr(
        SimpleAuthManager,
        "is_authorized_dag",
        lambda self, **asked: asked.get("access_entity") is not DagAccessEntity.CODE and real(self, **asked),
    )
    page = ann.html(PAGE)
    assert "You may not read the code of the DAGs that made them" in page and "bob" not in page


def test_the_ads_begin_where_one_is_right(visitor: Any, past: Past) -> None:
    ann = visitor("ann")
    page = ann.html(f"{PAGE}?a=1&b=2&partition=2026-04")
    heads = [text_of(f">{each}") for each in re.findall(r"<h3>(.*?)</h3>", page, re.DOTALL)]
    assert heads == [
        "nurse tiny@1 2 wrong, tiny@2 all right",
        "cook tiny@1 all right, tiny@2 1 wrong",
        "clerk tiny@1 3 wrong, tiny@2 1 wrong",
    ]
    told = part(page, "ads")
    assert "They answer 3 of 3 ads differently." in told
    assert "all 3 tiny@1 is better 1 tiny@2 is better 2 as many wrong 0" in told
    assert "Only tiny@1 only tiny@1, not labelled: Excel A✗ Only tiny@2 only tiny@2, labelled: wound care B✓" in told
    assert "only tiny@1, not labelled: juggling A✗ (not in the text)" in told
    assert "both, labelled: Knife skills ✓ only tiny@2, not labelled: wanted B✗ ." in told, "in another spelling"
    assert "Monthly tiny@1, not labelled, tiny@2, labelled: Excel A✗B✓ only tiny@2, labelled: reports B✓" in told
    page = ann.html(f"{PAGE}?a=1&b=2&partition=2026-04&better=a")
    assert re.findall(r"<h3>(\S+)", page) == ["cook"] and "1 ad</p>" in page
    assert "There is no such ad." in ann.html(f"{PAGE}?a=1&b=2&partition=2026-04&better=equal")
    answer = ann.get("/experiments/tiny/compare.csv?a=1&b=2&partition=2026-04&better=b")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0][1:3] == ["wrong: tiny@1", "wrong: tiny@2"] and [row[0] for row in rows[1:]] == ["nurse", "clerk"]
    assert rows[1][3:] == ["wound care; patience", "patience; Excel", "wound care; patience"]
    told = ann.get("/experiments/tiny/compare.json?a=1&b=2&partition=2026-05").json()
    assert [row[0] for row in told["rows"]] == ["clerk", "nurse", "cook"], "those that differ in more skills first"


def test_without_labels_nobody_is_right(visitor: Any, past: Past) -> None:
    page = visitor("ann").html(f"{PAGE}?a=1&b=2&partition=2026-05")
    told = part(page, "scores")
    assert "Whether their scores differ is not told: there is no ad with labels that both were scored on." in told
    assert "skills verbatim 0.900 0.900 not compared" in told
    told = part(page, "ads")
    assert "only tiny@2: wound care B" in told and "✓" not in told and "wrong" not in told.partition("nurse")[2]


def test_what_the_store_has_lost_is_said_in_its_place(visitor: Any, past: Past) -> None:
    ann, asked = visitor("ann"), f"{PAGE}?a=1&b=2&partition=2026-04"
    assert 'id="ads"' in ann.html(asked), "worked out, and kept"
    row = past.catalog.resolve("tiny", "2")
    (cell,) = past.catalog.cells("tiny", row.adapter_digest, "2026-04")
    for key in ("2026-03", "2026-04"):
        folder = past.store.path_of("format", past.catalog.cells("tiny", partition=key)[0].data_digest)
        shutil.rmtree(folder, ignore_errors=True)
    assert ann.html(asked).count("The ad's text is no longer in the store.") == 3
    shutil.rmtree(past.store.path_of("evaluate", cell.artifact_digest))
    page = html.unescape(ann.html(asked))
    assert "The evaluation of tiny@2 on 2026-04 is no longer in the store. Score it again:" in page
    assert 'id="ads"' not in page and "0.500 0.400 to 0.600" in part(page, "scores"), "what the catalog knows stays"
    assert ann.get("/experiments/tiny/compare.csv?a=1&b=2&partition=2026-04").status_code == 404


def test_of_too_many_ads_no_difference_is_told(visitor: Any, past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skillsengine.reporting.figures.side_by_side.MOST_ADS", 2)
    compare_view._worked_out.cache_clear()
    told = part(visitor("ann").html(f"{PAGE}?a=1&b=2&partition=2026-04"), "scores")
    assert "both were scored on 3 labelled ads, and whether scores differ is worked out here of at most 2." in told
    assert "F1 0.500 0.400 to 0.600 0.600 0.500 to 0.700 not compared" in told


def test_other_teams_versions_and_cells_are_not_there(
    visitor: Any, past: Past, airflow: AirflowTables, project: Path
) -> None:
    airflow.experiment(project, "theirs", "register: {model: tiny}\n", team="blue")
    row = past.catalog.allocate_version(
        "tiny", "f" * 64, experiment="theirs", partition="2026-04", run_id=None, spec={"name": "theirs"}
    )
    past.catalog.publish_version("tiny", row.number, "f" * 64, "/v", {}, {"format": {}})
    red = visitor("red")
    page = red.html(PAGE)
    assert choices(page, "b") == ["tiny@2 (champion)", "tiny@1"]
    assert "1 more version was made by experiments that you may not read" in page
    assert red.get(f"{PAGE}?a=1&b=3").status_code == red.get("/experiments/tiny/compare.csv?a=3").status_code == 404
    assert red.get("/experiments/theirs/compare").status_code == 404
    assert visitor("blue").get(PAGE).status_code == 404 and visitor(None).get(PAGE).status_code == 401


def test_nothing_that_people_write_becomes_markup_or_a_path(visitor: Any, past: Past) -> None:
    ads = {SCRIPT: (f"An ad with {SCRIPT}.", [SCRIPT], [f"={SCRIPT}"])}
    past.spec = json.loads(json.dumps(past.spec)) | {"owner": SCRIPT, "description": f"{SCRIPT}\n{SCRIPT}"}
    key = f"2026-06{SCRIPT}"
    past.version(3, 0.1, key, ads=ads, errors=[])
    answered = {SCRIPT: (ads[SCRIPT][0], [SCRIPT], [SCRIPT])}
    past.version(4, 0.1, key, ads=answered, errors=[], reason=SCRIPT)
    past.catalog.set_verdict(
        "tiny", 4, {**(past.catalog.resolve("tiny", "4").verdict or {}), "opponent": "tiny@3", "reason": SCRIPT}
    )
    ann = visitor("ann")
    for asked in ({"a": 3, "b": 4}, {"a": 1, "b": 4}, {"partition": SCRIPT}):
        page = ann.get(PAGE, params=asked).text
        assert foreign_markup(page) == [], asked
        assert "alert(1)" in page and "{{7*7}}" in page
    for partition in ("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%00", "/etc/passwd"):
        answer = ann.get(f"{PAGE}?a=1&b=2&partition={partition}")
        assert answer.status_code == 200 and "root:" not in answer.text and "not both scored on" in answer.text
