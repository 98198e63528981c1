"""The Experiments pages inside the real Airflow, in a real browser: what they say equals the catalog, and how they look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow.embedded_state import read_state
from skillsengine.storage.catalog import Catalog
from tests.e2e.browser import Browser, browsing
from tests.e2e.conftest import Platform, wait_for

pytestmark = pytest.mark.nightly

NAME = "paged"
SIZES = ((1280, 900), (800, 900))
LIST = "/plugin/experiments"
ONE = f"{LIST}/skillsengine/experiments/{NAME}"
TAB = f"/dags/{NAME}/plugin/experiment"
_BOXES = """
const kinds = "h1, h2, p, a, button, input, select, dt, dd, th, td, summary, figcaption, canvas, svg";
const seen = [...document.querySelectorAll(kinds)]
  .filter((element) => element.checkVisibility() && !element.closest(".vh, .skip, pre") && !element.matches(".vh, .skip"))
  .map((element) => [element, element.getBoundingClientRect()])
  .filter(([, box]) => box.width > 1 && box.height > 1);
const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const told = wide > 0 ? [`the page is ${wide} px too wide`] : [];
const name = (element) => `${element.tagName} ${element.textContent.trim().slice(0, 40)}`;
for (const [element, box] of seen) {
  if (!element.closest(".scroll") && (box.left < -1 || box.right > innerWidth + 1)) told.push(`cut: ${name(element)}`);
  for (const [other, its] of seen) {
    if (element === other || element.contains(other) || other.contains(element)) continue;
    if (element.closest(".scroll") !== other.closest(".scroll")) continue;
    const across = Math.min(box.right, its.right) - Math.max(box.left, its.left);
    const down = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
    if (across > 2 && down > 2) told.push(`overlap: ${name(element)} / ${name(other)}`);
  }
}
return told.slice(0, 10);
"""


@pytest.fixture(scope="module")
def browser(platform: Platform) -> Iterator[Browser]:
    state = read_state(platform.settings)
    assert state is not None
    with browsing(state.url) as browser:
        yield browser


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


@contextmanager
def framed(browser: Browser, path: str) -> Iterator[None]:
    """Our page inside Airflow's frame."""
    browser.open(path)
    browser.driver.switch_to.frame(browser.find("iframe"))
    try:
        browser.find("h1")
        yield
    finally:
        browser.driver.switch_to.default_content()


def run(browser: Browser, script: str, *arguments: Any) -> Any:
    return browser.driver.execute_script(script, *arguments)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_pages_are_whole_in_both_themes_and_sizes(
    platform: Platform, browser: Browser, catalog: Catalog, theme: str
) -> None:
    browser.open("/")
    run(browser, "localStorage.setItem('theme', arguments[0])", theme)
    browser.driver.get_log("browser")
    for width, height in SIZES:
        browser.driver.set_window_size(width, height)
        for name, path in (("list", LIST), ("one", ONE), ("tab", TAB)):
            with framed(browser, path):
                wait_for("the charts", lambda: run(browser, _DRAWN))
                assert run(browser, "return document.documentElement.dataset.theme") == theme
                assert run(browser, "return getComputedStyle(document.documentElement).colorScheme") == theme
                assert run(browser, _BOXES) == [], (name, width)
                _picture(browser, f"{name}-{theme}-{width}")
    told = [entry["message"] for entry in browser.driver.get_log("browser") if "/skillsengine/" in str(entry)]
    # What Chromium thinks of the frame that Airflow makes for plugins.
    assert [text for text in told if "An iframe which has both" not in text] == [], "nothing in the console"


_DRAWN = """
const figures = [...document.querySelectorAll("figure.chart")].filter((figure) => figure.querySelector(".canvas"));
return figures.every((figure) => "drawn" in figure.dataset);
"""


_POINTS = "return JSON.parse(document.querySelector('#chart-live-loss script').textContent).series[0].points"


def _picture(browser: Browser, name: str) -> None:
    """Kept where SKILLSENGINE_PICTURES names a folder, as tall as the page is."""
    folder = os.environ.get("SKILLSENGINE_PICTURES")
    if folder:
        path = Path(folder) / f"{name}.png"
        browser.driver.find_element("css selector", "html").screenshot(str(path))


def test_numbers_on_the_pages_are_the_catalog_s(platform: Platform, browser: Browser, catalog: Catalog) -> None:
    champion = catalog.champions()[NAME]
    with framed(browser, LIST):
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


def test_a_link_leads_out_of_the_frame_to_airflow_s_own_page(browser: Browser, catalog: Catalog) -> None:
    with framed(browser, ONE):
        browser.click("#runs tbody a.out")
    newest = catalog.list_runs(NAME, limit=1)[0]
    wait_for("Airflow's page", lambda: f"/dags/{NAME}/runs/" in browser.driver.current_url)
    assert newest.run_id.partition("__")[0] in browser.driver.current_url


def test_the_list_narrows_while_one_types(browser: Browser, catalog: Catalog) -> None:
    with framed(browser, LIST):
        browser.write("q", "no such thing")
        browser.find("#results", "None of")
        browser.write("q", NAME)
        browser.find("#results tbody tr", NAME)
        assert "q=paged" in run(browser, "return location.search")


def test_a_figure_s_data_is_downloaded(browser: Browser, catalog: Catalog, tmp_path: Path) -> None:
    folder = {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": True}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    with framed(browser, ONE):
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
    with framed(browser, "/plugin/experiments/skillsengine/experiments/followed"):
        run(browser, "window.mark = 1")
        run_id = platform.client.trigger("followed")
        browser.find("#now [role='status']", "finetune")
        browser.find("#now #chart-live-loss")
        first = wait_for("a step", lambda: browser.find("[data-live-text]").text)
        wait_for("another step", lambda: browser.find("[data-live-text]").text not in (first, ""))
        points = run(browser, _POINTS)
        assert platform.finish("followed", run_id)["state"] == "success"
        browser.find("#runs tbody tr", "succeeded")
        assert not browser.shown("#now .live") or wait_for("its end", lambda: not browser.shown("#now .live"), 60)
        assert run(browser, "return window.mark") == 1, "the same page"
    row = catalog.get_run("followed", run_id)
    assert row is not None
    step = next(step for step in catalog.steps_of(row.id) if step.stage == "finetune")
    kept = {entry["step"]: entry["train/loss"] for entry in step.progress["history"] if "train/loss" in entry}
    assert all(kept.get(int(at), loss) == loss for at, loss in points) and len(points) > 1
