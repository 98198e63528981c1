"""The page The matrix inside the real Airflow, in a real browser: it is shown, its button fills what is missing, and it stays
usable with 24 versions on 60 months."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from skillsengine.scoring.wording import with_interval
from skillsengine.storage.catalog import Catalog
from tests.airflow.ui import matrix_filling as fill
from tests.e2e.browser import Browser, browsing
from tests.e2e.conftest import Platform, wait_for
from tests.pipeline.project import write_month
from tests.reporting.seeing import axe_problems, box_problems, errors_told, keep_picture, look_at

pytestmark = pytest.mark.nightly

NAME = "filled"
MONTHS = tuple(f"2026-0{month}" for month in range(1, 7))
LACKING = MONTHS[:3]
"""A version is trained on 04 and 05, and scored on 06."""


@pytest.fixture(scope="module")
def browser(platform: Platform) -> Iterator[Browser]:
    with browsing(platform.client.url) as browser:
        browser.driver.set_script_timeout(300)
        # Logged in, without the wait for Airflow's own page around ours: test_experiments_pages.py looks at ours in its frame.
        browser.open("/skillsengine/static/pages.css")
        token = httpx.get(f"{platform.client.url}/auth/token", trust_env=False).json()["access_token"]
        browser.driver.add_cookie({"name": "_token", "value": token, "path": "/"})
        yield browser


@pytest.fixture(scope="module")
def catalog(platform: Platform) -> Catalog:
    for key in MONTHS:
        write_month(platform.settings.project / "data" / "more" / f"{key}.jsonl", key)
    path = platform.write(NAME, "gate: {min_gold_skills: 1}\nevaluations: {baselines: [lexicon]}\n")
    path.write_text(path.read_text().replace("data/ads/", "data/more/"))
    wait_for("the DAGs", lambda: platform.client.dag(NAME) and platform.client.dag(f"{NAME}.evaluations"))
    assert platform.finish(NAME, platform.client.trigger(NAME))["state"] == "success"
    return Catalog.open(platform.settings.catalog_url)


def address(name: str) -> str:
    return f"/skillsengine/experiments/{name}/matrix"


def cells(browser: Browser) -> list[str]:
    """Classes of the first version's cells, in the order of the partitions."""
    found: list[str] = browser.run(
        "return [...document.querySelector('.matrix tbody tr').querySelectorAll('td')].map((c) => c.className)"
    )
    return found


def looks(browser: Browser, path: str, name: str) -> None:
    """Whole and readable, wide and narrow, light and dark."""
    for theme in ("light", "dark"):
        browser.choose_theme(theme)
        for width in (1280, 390):
            look_at(browser.driver, width, theme=theme)
            errors_told(browser.driver)
            browser.open(path)
            browser.find("#matrix")
            assert browser.run("return getComputedStyle(document.documentElement).colorScheme") == theme
            keep_picture(browser.driver, f"matrix-{name}-{theme}-{width}")
            # The first column covers what is scrolled below it, as it should.
            browser.run("document.getElementById('matrix').scrollTo(0, 0)")
            assert box_problems(browser.driver) == [], (theme, width)
            assert axe_problems(browser.driver) == [], (theme, width)
            assert [text for text in errors_told(browser.driver) if "/skillsengine/" in text] == []
    look_at(browser.driver, 1280)


def test_the_button_fills_what_is_missing_while_one_looks(
    platform: Platform, browser: Browser, catalog: Catalog
) -> None:
    looks(browser, address(NAME), "lacking")
    browser.open(address(NAME))
    browser.find("#fill-title", "3 cells are missing")
    assert cells(browser)[:6] == ["lacking"] * 3 + ["trained"] * 2 + cells(browser)[5:6]
    browser.run("window.mark = 1")
    browser.click("#fill button.main", "Fill the 3 missing cells")
    created = browser.find("#fill-state [role='status']", "fills 3 cells")
    found = re.search(r"manual__matrix__\S+", created.text)
    assert found is not None and "made=" in browser.run("return location.search")
    assert set(cells(browser)[:3]) <= {"queued", "running"}
    row = platform.finish(f"{NAME}.evaluations", found.group())
    assert row["state"] == "success" and row["conf"] == {"cells": [f"1@{key}" for key in LACKING]}
    wait_for("the cells", lambda: all(re.fullmatch(r"s\d", css) for css in cells(browser)[:3]), 60)
    browser.find("#fill-title", "Nothing is missing")
    assert browser.run("return window.mark") == 1, "the same page"
    version = catalog.resolve(NAME, "1")
    for place, key in enumerate(LACKING):
        (scored,) = catalog.cells(NAME, adapter_digest=version.adapter_digest, partition=key)
        text = browser.run("return document.querySelectorAll('.matrix tbody tr td')[arguments[0]].textContent", place)
        said = f"f1 {with_interval(scored.metrics)}, on {scored.metrics['rows']} ads with"
        assert said in text, "the catalog's"
    assert [each for each in catalog.cells(NAME, partition=LACKING[0]) if each.kind == "lexicon"]
    link = browser.run("return document.querySelector('.matrix td a').getAttribute('href')")
    assert link == f"/skillsengine/experiments/{NAME}/errors?version=1&partition={LACKING[0]}"
    looks(browser, address(NAME), "filled")


def test_a_large_matrix_scrolls_in_its_box_and_is_walked_by_keys(platform: Platform, browser: Browser) -> None:
    platform.add("broad", fill.BASELINES)
    filled = SimpleNamespace(catalog=Catalog.open(platform.settings.catalog_url))
    fill.whole(filled, platform.settings.project, "broad", 24, fill.months("2026-10", 60), holes=10)  # type: ignore[arg-type]
    looks(browser, address("broad"), "broad")
    browser.open(address("broad"))
    browser.find("#matrix")
    wide, before = browser.run(
        "return [document.documentElement.scrollWidth, document.getElementById('matrix').scrollLeft]"
    )
    assert wide <= 1280 and before > 500, "the newest months first, the page no wider than the window"
    browser.run("document.getElementById('matrix').scrollTo(700, 200)")
    kept = browser.run(
        """const box = document.getElementById('matrix').getBoundingClientRect();
        const head = document.querySelector('.matrix thead').getBoundingClientRect();
        const first = document.querySelector('.matrix tbody th').getBoundingClientRect();
        return [head.top - box.top, first.left - box.left]""",
    )
    assert max(map(abs, kept)) <= 2, "head and first column stay"
    at = "return document.activeElement.closest('td').cellIndex + ',' + document.activeElement.closest('tr').rowIndex"
    browser.run("document.querySelector('.matrix [tabindex=\"0\"]').focus()")
    column, row = map(int, browser.run(at).split(","))
    keys = browser.driver.switch_to.active_element
    keys.send_keys(Keys.ARROW_LEFT)
    browser.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert browser.run(at) == f"{column - 1},{row + 1}"
    told = browser.run("return document.activeElement.querySelector('.vh').textContent")
    assert browser.find(".tip").text == told and "broad@23" in told
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait_for("it to go", lambda: not browser.shown(".tip"), 10)
    browser.click("[data-all]", "Tick none")
    wait_for("nothing to fill", lambda: not browser.find("#fill button.main").is_enabled(), 30)
    browser.click(".matrix tbody input")
    lacks = browser.run("return document.querySelector('.matrix tbody tr').querySelectorAll('td.lacking').length")
    browser.find("#fill button.main", f"Fill the {lacks} missing")
