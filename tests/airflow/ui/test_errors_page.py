"""The page *Errors*: the catalog's numbers, the artifact's errors, what may be asked for, what is said where there is none."""

from __future__ import annotations

import csv
import html
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.ui.answered import begin, evaluation, many
from tests.airflow.ui.filling import AirflowTables
from tests.airflow.ui.test_all_experiments import text_of
from tests.airflow.ui.test_security import SCRIPT, foreign_markup
from tests.reporting.past import ADS, Past, metrics

PAGE = "/experiments/tiny/errors"


@pytest.fixture
def past(airflow: AirflowTables, project: Path) -> Past:
    return begin(airflow, project)


def ads_of(page: str) -> list[str]:
    return re.findall(r'<h3>(\S+) <span class="dim num">', page)


def choices(page: str, name: str) -> list[str]:
    select = page[page.index(f'<select name="{name}">') :]
    return re.findall(r"<option[^>]*>([^<]*)</option>", select[: select.index("</select>")])


def test_the_numbers_are_the_catalog_s_and_the_skills_are_marked(visitor: Any, past: Past) -> None:
    page = visitor("ann").html(f"{PAGE}?version=1&partition=2026-04")
    (cell,) = past.catalog.cells("tiny", past.catalog.resolve("tiny", "1").adapter_digest, "2026-04")
    told = cell.metrics
    assert (
        f"F1 {told['f1']:.3f} ({told['f1_low']:.3f} to {told['f1_high']:.3f}) on {told['labelled_rows']} labelled ads. "
        f"Missed {told['missed']} of {told['gold_skills']} labelled skills, invented {told['invented']} of "
        f"{told['predicted_skills']} extracted ones; {told['boundary']} of both are one skill with other borders."
    ) in page
    assert "2 Excel 1 juggling" in text_of(page) and "1 Excel reports → Excel" in text_of(page)
    assert ads_of(page) == ["nurse", "clerk"]
    assert (
        'A nurse with <mark class="missed"><span class="vh">missed: </span>wound care</mark>, <mark class="found"><span '
        'class="vh">found: </span>patience</mark> and basic <mark class="invented">'
    ) in page
    assert '<mark class="boundary" title="labelled “Excel reports”, extracted “Excel”">' in page
    assert "Not in the ad word for word: invented: juggling" in text_of(page)
    assert 'aria-label="Marks"' in page and "labelled, not extracted" in page


def test_only_what_is_there_can_be_chosen(visitor: Any, past: Past) -> None:
    ann = visitor("ann")
    page = ann.html(PAGE)
    assert "Errors of tiny@2 on 2026-04" in page, "the champion, on what its own run tested on"
    assert choices(page, "version") == ["tiny@2 (champion, latest)", "tiny@1"]
    assert choices(page, "partition") == ["2026-05 (no labels)", "2026-04"]
    assert choices(ann.html(f"{PAGE}?version=1&partition="), "partition") == [
        "2026-05 (no labels)",
        "2026-04",
        "2026-03",
    ]
    assert "Errors of tiny@2 on 2026-04" in ann.html(f"{PAGE}?version=&partition=&kind=&q=&page=")
    assert ann.get(f"{PAGE}?version=3").status_code == 404
    assert ann.get(f"{PAGE}?version=x").status_code == ann.get(f"{PAGE}?kind=worse").status_code == 422


FILTERS: dict[str, list[str]] = {
    "": ["nurse", "clerk"],
    "&kind=boundary": ["clerk"],
    "&q=BASIC+nurse": ["nurse"],
    "&q=clerk": ["clerk"],
    "&q=nothing": [],
    "&skill=EXCEL": ["nurse", "clerk"],
    "&skill=excel&kind=missed": [],
    "&skill=Excel+reports&kind=boundary": ["clerk"],
    "&slice=length%3Dshort": ["nurse", "clerk"],
    "&slice=length%3Dlong": [],
    "&page=7": ["nurse", "clerk"],
}


def test_filters(visitor: Any, past: Past) -> None:
    for asked, shown in FILTERS.items():
        page = visitor("ann").html(f"{PAGE}?version=1&partition=2026-03{asked}")
        assert ads_of(page) == shown, asked
        count = f"{len(shown)} ad{'' if len(shown) == 1 else 's'}</p>"
        assert (count in page) if shown else ("No ad fits." in page and "Show all" in page), asked


def test_pages_of_ads_and_files_of_all(visitor: Any, past: Past) -> None:
    ads, errors = many(23)
    past.version(3, 0.1, "2026-06", ads=ads, errors=errors, more={"missed": 23, "invented": 23, "boundary": 0})
    ann, asked = visitor("ann"), f"{PAGE}?version=3"
    first, last = ann.html(f"{asked}&kind=missed"), ann.html(f"{asked}&kind=missed&page=3")
    assert "23 ads, 1 to 10 shown" in first and ads_of(first) == list(ads)[:10]
    assert "23 ads, 21 to 23 shown" in last and ads_of(last) == list(ads)[20:]
    address = html.unescape(str(re.search(r'rel="next" href="([^"]+)"', first)[1]))  # type: ignore[index]
    assert ads_of(ann.html(PAGE + address.partition("#")[0])) == list(ads)[10:20]
    assert "and 8 others" in first
    answer = ann.get("/experiments/tiny/errors.csv?version=3&kind=invented&q=number&page=2")
    assert answer.headers["content-disposition"] == 'attachment; filename="tiny-errors.csv"'
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["ad", "kind", "skill", "extracted as"]
    assert rows[1:] == [[name, "invented", answer[0], ""] for name, (_, _, answer) in ads.items()]
    told = ann.get("/experiments/tiny/errors.json?version=1&partition=2026-03").json()
    assert ["clerk", "boundary", "Excel reports", "Excel"] in told["rows"] and len(told["rows"]) == 2 + 3 + 1


def test_what_there_is_instead_of_errors(visitor: Any, past: Past, airflow: AirflowTables, project: Path) -> None:
    ann = visitor("ann")
    page = text_of(ann.html(f"{PAGE}?version=2&partition=2026-05"))
    assert "The 3 ads of 2026-05 that were scored have no labels" in page
    assert "With labels it was scored on 2026-04 ." in page and "skills verbatim 0.900" in page
    page = text_of(ann.html(f"{PAGE}?version=2&partition=2026-02"))
    assert "tiny@2 has no score on 2026-02 : it was trained on it" in page.replace("2026-02:", "2026-02 :")
    page = text_of(ann.html(f"{PAGE}?version=2&partition=2026-03"))
    assert "tiny@2 has no score on 2026-03. It was scored on 2026-05 , 2026-04" in page
    assert ann.get("/experiments/tiny/errors.csv?version=2&partition=2026-05").status_code == 404
    airflow.experiment(project, "fresh")
    assert "Nothing is registered yet." in ann.html("/experiments/fresh/errors")


def test_what_the_store_has_lost_is_said_in_its_place(visitor: Any, past: Past) -> None:
    ann, asked = visitor("ann"), f"{PAGE}?version=1&partition=2026-03"
    (cell,) = past.catalog.cells("tiny", past.catalog.resolve("tiny", "1").adapter_digest, "2026-03")
    shutil.rmtree(past.store.path_of("format", cell.data_digest))
    page = ann.html(asked)
    assert page.count("The ad's text is no longer in the store.") == len(ads_of(page)) == 2
    assert "nothing can be looked for in their texts" in ann.html(f"{asked}&q=nurse")
    shutil.rmtree(evaluation(past, past.catalog.resolve("tiny", "1"), "2026-03"))
    page = ann.html(asked)
    assert "Tiny@1 on 2026-03: its evaluation is no longer in the store. Score it again:" in html.unescape(page)
    assert ann.get("/experiments/tiny/errors.csv?version=1&partition=2026-03").status_code == 404


def test_another_team_s_ads_are_not_there(visitor: Any, past: Past, airflow: AirflowTables, project: Path) -> None:
    """Blue has scored red's version on ads of its own."""
    row = past.catalog.resolve("tiny", "1")
    secret = past.evaluated("secret", {"secret": ("A secret ad.", ["secret"], [])}, [])
    past.catalog.put_cell(
        subject=row.adapter_digest,
        kind="adapter",
        experiment="theirs",
        partition="2026-09",
        data_digest="d",
        artifact_digest=secret.digest,
        stage_version=4,
        metrics=metrics(0.2, "2026-09"),
        adapter_digest=row.adapter_digest,
    )
    airflow.experiment(project, "theirs", team="blue")
    red = visitor("red")
    assert choices(red.html(f"{PAGE}?version=1"), "partition") == ["2026-05 (no labels)", "2026-04", "2026-03"]
    assert "tiny@1 has no score on 2026-09" in red.html(f"{PAGE}?version=1&partition=2026-09")
    assert red.get("/experiments/tiny/errors.csv?version=1&partition=2026-09").status_code == 404
    for address in ("/experiments/theirs/errors", "/experiments/theirs/errors.csv"):
        assert red.get(address).status_code == 404
    assert visitor("blue").get(PAGE).status_code == 404 and visitor(None).get(PAGE).status_code == 401


def test_nothing_in_ads_labels_or_addresses_becomes_markup(visitor: Any, past: Past) -> None:
    ads = {SCRIPT: (f"An ad with {SCRIPT}.", [SCRIPT, f"x{SCRIPT}"], [f"={SCRIPT}"])}
    errors = [
        {
            "id": SCRIPT,
            "key": f"k-{SCRIPT}",
            "missed": [SCRIPT],
            "invented": [f"={SCRIPT}"],
            "boundary": [[f"x{SCRIPT}", SCRIPT]],
        }
    ]
    past.version(3, 0.1, f"2026-06{SCRIPT}", ads=ads, errors=errors, more={"slices": {f"x={SCRIPT}": {"ads": 1}}})
    ann = visitor("ann")
    for asked in (
        {"version": 3},
        {"version": 3, "q": SCRIPT[:40], "skill": SCRIPT, "slice": SCRIPT},
        {"partition": SCRIPT},
    ):
        page = ann.get(PAGE, params=asked).text
        assert foreign_markup(page) == [], asked
        assert "alert(1)" in page and "{{7*7}}" in page
    told = ann.get("/experiments/tiny/errors.csv?version=3").text
    assert f"'={SCRIPT}".replace('"', '""') in told, "no formula"


def test_no_path_gets_through_a_partition(visitor: Any, past: Past) -> None:
    ann = visitor("ann")
    for partition in ("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%00", "/etc/passwd", "a" * 200):
        answer = ann.get(f"{PAGE}?version=1&partition={partition}")
        assert answer.status_code == 200 and "root:" not in answer.text and "has no score on" in answer.text
    assert ann.get(f"{PAGE}?partition={'a' * 201}").status_code == 422


def test_the_texts_are_those_of_the_ads(visitor: Any, past: Past) -> None:
    page = visitor("ann").html(f"{PAGE}?version=1&partition=2026-03")
    marks = re.compile(r'<span class="vh">[^<]*</span>|</?mark[^>]*>')
    texts = [html.unescape(marks.sub("", each)) for each in re.findall(r"</h3>\s*<p>(.*?)</p>", page, re.DOTALL)]
    assert [text.strip() for text in texts] == [ADS[name][0] for name in ("nurse", "clerk")]
