"""The Experiments pages inside the real Airflow, in a real browser: what they say equals the catalog, and how they look."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillsengine.storage.catalog import Catalog
from tests.e2e.browser import Browser
from tests.e2e.conftest import Platform, wait_for
from tests.reporting.seeing import axe_problems, box_problems, errors_told, keep_picture, look_at, overlap_problems

pytestmark = pytest.mark.nightly

NAME = "paged"
LIST = "/plugin/experiments"
ONE = f"{LIST}/skillsengine/experiments/{NAME}"
PAGES = {
    "list": LIST,
    "one": ONE,
    "tab": f"/dags/{NAME}/plugin/experiment",
    "matrix": f"{ONE}/matrix",
    "compare": f"{ONE}/compare",
    "errors": f"{ONE}/errors",
    "try": f"{ONE}/try",
}


@pytest.fixture(scope="module")
def catalog(platform: Platform) -> Catalog:
    """After two runs of an experiment in the real Airflow, the second of which finds nothing to do."""
    platform.add(NAME, "owner: ann\ndescription: Finds skills.\ngate: {min_gold_skills: 1}\n")
    for conf in ({}, {"train.seed": 7}):
        run_id = platform.client.trigger(NAME, conf=conf)
        assert platform.finish(NAME, run_id)["state"] == "success"
    catalog = Catalog.open(platform.settings.catalog_url)
    catalog.set_alias(NAME, "champion", 2, "by hand: so tiny a model beats no baseline")
    return catalog


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800])
def test_every_page_is_whole_in_airflow_s_frame(browser: Browser, catalog: Catalog, theme: str, width: int) -> None:
    driver = browser.driver
    driver.set_script_timeout(300)
    look_at(driver, width)
    browser.open("/")
    browser.choose_theme(theme)
    for name, path in PAGES.items():
        errors_told(driver)
        with browser.framed(path):
            wait_for("the charts", lambda: browser.run(_DRAWN))
            assert browser.run("return document.documentElement.dataset.theme") == theme
            assert browser.run("return getComputedStyle(document.documentElement).colorScheme") == theme
            browser.run("document.getElementById('matrix')?.scrollTo(0, 0)")  # its first column covers what is below it
            assert box_problems(driver) == [], name
            assert overlap_problems(driver) == [], name
            assert axe_problems(driver) == [], name
            keep_picture(driver, f"{name}-{theme}-{width}")
        told = [text for text in errors_told(driver) if "/skillsengine/" in text]
        # What Chromium thinks of the frame that Airflow makes for plugins.
        assert [text for text in told if "An iframe which has both" not in text] == [], (name, "nothing in the console")
    look_at(driver, 1280)


_DRAWN = """
const figures = [...document.querySelectorAll("figure.chart")].filter((figure) => figure.querySelector(".canvas"));
return figures.every((figure) => "drawn" in figure.dataset);
"""


_POINTS = "return JSON.parse(document.querySelector('#chart-live-loss script').textContent).series[0].points"


def test_numbers_on_the_pages_are_the_catalog_s(platform: Platform, browser: Browser, catalog: Catalog) -> None:
    champion = catalog.champions()[NAME]
    with browser.framed(LIST):
        row = browser.find("tbody tr", NAME).text
        assert (
            f"{champion.f1:.3f} {champion.low:.3f} to {champion.high:.3f}" in row and f"{NAME}@{champion.number}" in row
        )
        assert "succeeded" in row and "ann" in row
        browser.find("a", NAME).click()
        browser.find("h2", f"Versions of {NAME}")
        shown = [row.text for row in browser.shown("#versions tbody tr")]
        rows = catalog.versions(NAME)
        assert len(shown) == len(rows) == 2
        for text, version in zip(shown, reversed(rows), strict=True):
            told = version.metrics["adapter"]
            assert f"{told['f1']:.3f} {told['f1_low']:.3f} to {told['f1_high']:.3f}" in text
            assert version.verdict is not None and version.verdict["reason"] in text
        runs = [row.text for row in browser.shown("#runs tbody tr")]
        assert any("cached" in text for text in runs), "format and profile of the second run"
    assert wait_for("the address", lambda: browser.driver.current_url.endswith(f"/skillsengine/experiments/{NAME}"))


def test_compare_and_errors_tell_the_catalog_s_scores(browser: Browser, catalog: Catalog) -> None:
    scored = []
    for number in ("1", "2"):
        version = catalog.resolve(NAME, number)
        assert version.partition is not None
        (cell,) = catalog.cells(NAME, version.adapter_digest, version.partition)
        scored.append(cell.metrics)
    with browser.framed(PAGES["compare"] + "?a=1&b=2"):
        row = browser.find("#scores tr", "F1").text
        for told in scored:
            assert f"{told['f1']:.3f} {told['f1_low']:.3f} to {told['f1_high']:.3f}" in row
    with browser.framed(PAGES["errors"] + "?version=2"):
        told, lead = scored[1], browser.find(".lead.num").text
        assert f"F1 {told['f1']:.3f} ({told['f1_low']:.3f} to {told['f1_high']:.3f}) on {told['labelled_rows']}" in lead
        assert f"Missed {told['missed']} of {told['gold_skills']} labelled skills" in lead
        assert f"invented {told['invented']} of {told['predicted_skills']} extracted ones" in lead


def test_a_link_leads_out_of_the_frame_to_airflow_s_own_page(browser: Browser, catalog: Catalog) -> None:
    with browser.framed(ONE):
        browser.click("#runs tbody a.out")
    newest = catalog.list_runs(NAME, limit=1)[0]
    wait_for("Airflow's page", lambda: f"/dags/{NAME}/runs/" in browser.driver.current_url)
    assert newest.run_id.partition("__")[0] in browser.driver.current_url


def test_the_list_narrows_while_one_types(browser: Browser, catalog: Catalog) -> None:
    with browser.framed(LIST):
        browser.write("q", "no such thing")
        browser.find("#results", "None of")
        browser.write("q", NAME)
        browser.find("#results tbody tr", NAME)
        assert "q=paged" in browser.run("return location.search")


def test_a_figure_s_data_is_downloaded(browser: Browser, catalog: Catalog, tmp_path: Path) -> None:
    folder = {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": True}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    with browser.framed(ONE):
        browser.click("#texts .numbers summary")
        browser.click("#texts .numbers a", "token-lengths.csv")
        file = tmp_path / "token-lengths.csv"
        wait_for("the file", file.exists, 30)
    assert file.read_text().startswith("tokens from,below,train")


def test_a_training_is_followed_without_loading_the_page(
    platform: Platform, browser: Browser, catalog: Catalog
) -> None:
    path = platform.write("followed")
    path.write_text(
        path.read_text().replace("epochs: 1,", "epochs: 300,").replace("learning_rate: 0.01", "learning_rate: 1e-4")
    )
    wait_for("its DAG", lambda: platform.client.dag("followed"))
    with browser.framed("/plugin/experiments/skillsengine/experiments/followed"):
        browser.run("window.mark = 1")
        run_id = platform.client.trigger("followed")
        browser.find("#now [role='status']", "finetune")
        browser.find("#now #chart-live-loss")
        first = wait_for("a step", lambda: browser.find("[data-live-text]").text)
        wait_for("another step", lambda: browser.find("[data-live-text]").text not in (first, ""))
        points = browser.run(_POINTS)
        assert platform.finish("followed", run_id)["state"] == "success"
        browser.find("#runs tbody tr", "succeeded")
        assert not browser.shown("#now .live") or wait_for("its end", lambda: not browser.shown("#now .live"), 60)
        assert browser.run("return window.mark") == 1, "the same page"
    row = catalog.get_run("followed", run_id)
    assert row is not None
    step = next(step for step in catalog.steps_of(row.id) if step.stage == "finetune")
    kept = {entry["step"]: entry["train/loss"] for entry in step.progress["history"] if "train/loss" in entry}
    assert all(kept.get(int(at), loss) == loss for at, loss in points) and len(points) > 1
