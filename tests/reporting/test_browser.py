"""The report in a real browser, from a file: drawn, readable, whole on a wide and on a narrow screen, and on paper."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from skillsengine.reporting.report import make_report, write_report
from tests.e2e.browser import browsing
from tests.reporting.past import Past, metrics
from tests.reporting.seeing import axe_problems, box_problems, errors_told, look_at, pictures

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model with five versions and twelve months."""
    made = Past(tmp_path_factory.mktemp("browser") / "project", {"description": "Finds the skills of job ads. " * 6})
    for number in range(1, 6):
        made.version(number, 0.4 + number / 20, f"2026-{number + 2:02}")
    for number in range(1, 6):
        row = made.catalog.resolve("tiny", str(number))
        for month in range(number + 3, 13):
            made.cell(row, f"2026-{month:02}", metrics(0.4 + number / 20 - month / 100, f"2026-{month:02}"))
    path = made.settings.project / "report.html"
    write_report(path, make_report(made.catalog.resolve("tiny", "5"), made.catalog, made.store, made.settings))
    return path


@pytest.fixture(scope="module")
def driver(page: Path) -> Iterator[webdriver.Chrome]:
    with browsing(page.as_uri()) as browser:
        browser.driver.set_script_timeout(300)
        yield browser.driver


def opened(driver: webdriver.Chrome, page: Path) -> None:
    errors_told(driver)
    driver.get(page.as_uri())


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_whole_and_readable(driver: webdriver.Chrome, page: Path, theme: str, width: int) -> None:
    look_at(driver, width, theme=theme)
    opened(driver, page)
    assert errors_told(driver) == []
    assert box_problems(driver) == []
    drawn = pictures(driver)
    assert len(drawn) == 7 and min(drawn.values()) > 8, drawn
    assert axe_problems(driver) == []
    driver.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert box_problems(driver) == []
    assert axe_problems(driver) == []


def test_the_theme_may_change_while_it_is_open(driver: webdriver.Chrome, page: Path) -> None:
    look_at(driver, 1280)
    opened(driver, page)
    ink = "return getComputedStyle(document.body).color"
    light, before = (
        driver.execute_script(ink),
        driver.execute_script("return document.querySelector('canvas').toDataURL()"),
    )
    driver.execute_script("document.documentElement.dataset.theme = 'dark'")
    assert driver.execute_script(ink) != light
    look_at(driver, 1280, theme="dark")
    driver.execute_script("document.documentElement.dataset.theme = 'light'")
    assert driver.execute_script(ink) == light, "the page's own choice wins over the system's"
    assert driver.execute_script("return document.querySelector('canvas').toDataURL()") == before, "drawn anew"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_paper_it_is_light_with_all_pictures(driver: webdriver.Chrome, page: Path, theme: str) -> None:
    look_at(driver, 720, theme=theme, media="print")
    opened(driver, page)
    assert box_problems(driver) == []
    assert min(pictures(driver).values()) > 8
    assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert driver.execute_script("return getComputedStyle(document.body).color") == "rgb(30, 35, 41)"
    paper = base64.b64decode(driver.print_page())
    assert paper.startswith(b"%PDF") and len(paper) > 60_000
    assert errors_told(driver) == []


def test_without_scripts_the_tables_are_there(driver: webdriver.Chrome, page: Path) -> None:
    look_at(driver, 1280)
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(page.as_uri())
        shown = [each.is_displayed() for each in driver.find_elements("css selector", "canvas")]
        assert len(shown) == 7 and not any(shown)
        for summary in driver.find_elements("css selector", "figure summary"):
            summary.click()
        tables = driver.find_elements("css selector", "figure table")
        assert len(tables) == 7 and all(each.is_displayed() for each in tables)
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
