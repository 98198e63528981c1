"""The report of a version: whole in one file, true to the catalog, and safe whatever an ad or a spec says."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.reporting.figures.plain import Missing
from skillsengine.reporting.report import (
    MOST_BYTES,
    ReportError,
    gather,
    keep_report,
    make_report,
    render,
    report_name,
    write_report,
)
from tests.reporting.past import RECORDS, Past, metrics

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{7331*7}}{%x%}<!--"


class Page(HTMLParser):
    """What a browser would make of it: elements with their attributes, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img", "link", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def text(self) -> str:
        return " ".join(" ".join(d for tag, d in self.texts if tag not in ("script", "style")).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    def blocks(self) -> dict[str, Any]:
        """Id of a chart -> its data."""
        data = [json.loads(d) for tag, d in self.texts if tag == "script" and d.lstrip().startswith('{"kind"')]
        ids = [a["id"] for tag, a in self.elements if tag == "figure"]
        return dict(zip(map(str, ids), data, strict=True))


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    made = Past(tmp_path_factory.mktemp("report") / "project", {"description": "Finds skills."})
    made.version(1, 0.5)
    made.version(2, 0.6, "2026-04")
    return made


@pytest.fixture(scope="module")
def page(past: Past) -> Page:
    return Page(html_of(past))


def html_of(past: Past, ref: str = "champion") -> str:
    return make_report(past.catalog.resolve("tiny", ref), past.catalog, past.store, past.settings)


def test_its_numbers_are_those_of_the_catalog(past: Past, page: Page) -> None:
    told = past.catalog.resolve("tiny", "2").metrics["adapter"]
    text = page.text()
    assert f"F1 on 2026-04 {told['f1']:.3f} 95% interval {told['f1_low']:.3f} to {told['f1_high']:.3f}" in text
    for name in ("precision", "recall"):
        assert f"{name} {told[name]:.3f} {told[f'{name}_low']:.3f} to {told[f'{name}_high']:.3f}" in text
    assert "promoted F1 +0.500 (+0.200 to +0.700, p = 0.001) against the untuned base" in text
    assert "missed 2 of 5 labelled skills, invented 3 of 6 extracted; 1 of both" in text
    charts = page.blocks()
    assert charts["chart-subjects"]["rows"][0] == {"name": "adapter", "value": 0.6, "low": 0.5, "high": 0.7}
    assert charts["chart-versions"]["rows"][1]["value"] == 0.6 and charts["chart-versions"]["marked"] == 1
    assert charts["chart-token-lengths"]["mark"]["x"] == 48
    loss, validation = charts["chart-loss"]["series"]
    assert loss["points"] == [[r["step"], r["loss"]] for r in RECORDS if "loss" in r]
    assert validation["points"] == [[3, 1.3]]
    assert charts["chart-throughput"]["series"][0]["points"] == [[1, 91.0], [2, 92.0], [3, 93.0]]


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    loads = [
        (tag, name, value)
        for tag, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "srcset", "data", "poster", "action") or (name == "href" and tag != "a")
    ]
    assert loads == []
    assert all(str(a["href"]).startswith(("#", "data:")) for tag, a in page.elements if tag == "a")
    styles = "".join(text for tag, text in page.texts if tag == "style")
    assert not re.search(r"url\(|@import", styles)
    [policy] = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'; ") and "unsafe" not in str(policy) and "http" not in str(policy)


def test_the_policy_lets_its_own_scripts_run_and_its_styles_apply(page: Page) -> None:
    """Elements only: an attribute with a style or a handler would be ignored by the browser."""
    import base64
    import hashlib

    [policy] = [str(a["content"]) for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    own = [text for tag, text in page.texts if tag == "style" or (tag == "script" and not text.startswith('{"kind"'))]
    assert len(own) == 4
    for text in own:
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert not [name for _, a in page.elements for name in a if name == "style" or name.startswith("on")]


def test_each_picture_has_a_table_and_its_files(page: Page) -> None:
    figures = page.count("figure")
    assert figures >= 6 and page.count("canvas") == figures
    files = [str(a["download"]) for tag, a in page.elements if tag == "a" and "download" in a]
    assert {"loss.csv", "loss.json", "matrix.csv", "scores.json", "errors.csv", "origin.json"} <= set(files)
    assert all(a.get("aria-label") for tag, a in page.elements if tag == "canvas")


def test_errors_are_marked_in_the_ads(past: Past) -> None:
    html = html_of(past)
    assert '<mark class="missed"><span class="vh">missed: </span>wound care</mark>' in html
    assert '<mark class="found"><span class="vh">found: </span>patience</mark>' in html
    assert (
        'title="labelled “Excel reports”, extracted “Excel”"><span class="vh">boundary: </span>Excel reports</mark>'
        in html
    )
    assert '<mark class="invented"><span class="vh">invented: </span>juggling</mark>' in html, "it stands in no ad"
    assert "2 of the 2 ads with an error" in Page(html).text()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Past:
    """Every text that comes from a spec, an ad, a model or a run is an attack."""
    made = Past(
        tmp_path_factory.mktemp("hostile") / "project", {"description": HOSTILE, "owner": HOSTILE, "tags": [HOSTILE]}
    )
    slices = {f"source={HOSTILE}": {"ads": 2, "gold_skills": 3, "f1": 0.5, "f1_low": 0.1, "f1_high": 0.9}}
    slices |= {"source=b": slices[f"source={HOSTILE}"]}
    made.version(
        ads={HOSTILE: (f"We want {HOSTILE} and tact.", [HOSTILE, "tact"], [HOSTILE, f"x{HOSTILE}"])},
        errors=[
            {"id": HOSTILE, "key": f"k-{HOSTILE}", "missed": ["tact"], "invented": [f"x{HOSTILE}"], "boundary": []}
        ],
        more={"slices": slices},
        reason=HOSTILE,
    )
    return made


def test_no_text_becomes_markup(hostile: Past, page: Page) -> None:
    html = html_of(hostile)
    found = Page(html)
    assert found.count("img") == 0 and "alert(1)" in found.text()
    assert {tag for tag, _ in found.elements} == {tag for tag, _ in page.elements}
    scripts = [text for tag, text in found.texts if tag == "script"]
    assert len(scripts) == found.count("script") == found.count("figure") + 2, (
        "a block that ends early makes two of one"
    )
    assert "{{7331*7}}" in found.text() and "51317" not in found.text()
    named = found.blocks()["chart-slices"]["rows"]
    assert any(HOSTILE in row["name"] for row in named), "the data is whole"


@settings(max_examples=12)
@given(st.text(min_size=1, max_size=60))
def test_any_text_comes_out_as_it_went_in(hostile: Past, page: Page, text: str) -> None:
    """Beside the fixed attack: what an ad, its id and its skills say is text and JSON, and nothing else."""
    from skillsengine.reporting.figures.marks import mark_skills
    from skillsengine.reporting.figures.plain import script_json
    from skillsengine.reporting.render import environment

    segments, _ = mark_skills(text, [text], [text])
    assert "".join(segment.text for segment in segments) == text
    template = environment().from_string(
        '{% import "errors.html" as e %}<p>{{ e.text(ad) }}</p><script type="application/json">{{ data }}</script>'
    )
    shown = template.render(ad={"segments": segments, "cut": False}, data=script_json({"text": text}))
    found = Page(shown)
    assert {tag for tag, _ in found.elements} <= {"p", "mark", "span", "script"}
    [block] = [data for tag, data in found.texts if tag == "script"]
    assert json.loads(block) == {"text": text}


def test_what_is_gone_is_told_in_its_place(past: Past, tmp_path: Path) -> None:
    row = past.catalog.resolve("tiny", "1")
    emptied = Past(tmp_path / "project")
    report = gather(row, past.catalog, emptied.store, past.settings)
    assert isinstance(report.training, Missing) and "is no longer in the store" in report.training.why
    assert isinstance(report.lengths, Missing) and isinstance(report.errors, Missing)
    assert "Score it again: `skillsengine backfill tiny --versions 1`" in report.errors.why
    assert "is no longer in the store" in Page(render(report)).text()


def test_a_month_without_labels_has_a_report(tmp_path: Path) -> None:
    made = Past(tmp_path / "project")
    row = made.version()
    bare = {name: value for name, value in row.metrics["adapter"].items() if "f1" not in name and name != "slices"}
    row.metrics = {"adapter": {**bare, "labelled": False, "labelled_rows": 0}}
    text = Page(render(gather(row, made.catalog, made.store, made.settings))).text()
    assert "no labels on 2026-03 100% of the answers to 3 ads are a whole list; 90% of the extracted" in text


@pytest.mark.nightly
def test_a_large_past_stays_below_the_limit(tmp_path: Path) -> None:
    """30 versions x 80 months, a training of 20,000 logged steps, 300 long ads with errors."""
    made = Past(tmp_path / "project")
    text = "word " * 1200
    ads = {f"ad-{n}": (f"{text}tact {n}", ["tact"], []) for n in range(300)}
    errors = [{"id": n, "key": f"k-{n}", "missed": ["tact"], "invented": [], "boundary": []} for n in ads]
    records = [{"step": n, "epoch": n / 1e4, "loss": 1.0 + 1 / n, "learning_rate": 1e-4} for n in range(1, 20_001)]
    row = made.version(ads=ads, errors=errors, records=records)
    months = [f"{2020 + n // 12}-{n % 12 + 1:02}" for n in range(80)]
    for number in range(2, 31):
        adapter = f"{number:064x}"
        made.catalog.allocate_version("tiny", adapter, experiment="tiny", partition=None, run_id=None, spec=made.spec)
        other = made.catalog.publish_version(
            "tiny", number, f"{number:064x}", "x", {"adapter": metrics(0.5, "2026-03")}, {}
        )
        if number in (2, 30):
            for month in months:
                made.cell(other, month, metrics(0.4, month))
    html = html_of(made, "1")
    assert len(html.encode()) < MOST_BYTES
    found = Page(html)
    assert "Shown are 25 of 30 versions and the newest 60 of 80 partitions" in found.text()
    assert len(found.blocks()["chart-loss"]["series"][0]["points"]) <= 402
    assert "12 of the 300 ads with an error" in found.text()
    assert row.name in found.text()


def test_it_is_written_whole_or_not_at_all(past: Past, tmp_path: Path) -> None:
    version = past.catalog.resolve("tiny", "1")
    assert keep_report(past.store, version, "<p>1") == str(past.settings.store_root / "reports" / "tiny" / "1.html")
    assert past.store.read_named(report_name(version), 99) == b"<p>1"
    write_report(tmp_path / "a.html", "x")
    write_report(tmp_path / "a.html", "y")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.html", "y")]
    with pytest.raises(ReportError, match=r"b\.html: cannot be written: No such file .* in a folder that exists\."):
        write_report(tmp_path / "none" / "b.html", "x")
