"""Compare and Errors in the real Airflow and a real browser: whole and readable, narrowed while one types, used by keyboard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from skillsengine.airflow.embedded_state import read_state
from tests.airflow.ui.answered import many, two_versions
from tests.e2e.browser import Browser, browsing
from tests.e2e.conftest import Platform, wait_for
from tests.reporting.past import Past
from tests.reporting.seeing import axe_problems, box_problems, errors_told, look_at

pytestmark = pytest.mark.nightly

ONE = "/skillsengine/experiments/tiny"
PAGES = {
    "compare": "compare?a=1&b=2&partition=2026-04",
    "compare-unlabelled": "compare?partition=2026-05&a=1&b=2",
    "compare-many": "compare?a=3&b=4",
    "errors": "errors?version=1&partition=2026-03",
    "errors-many": "errors?version=3",
    "errors-unlabelled": "errors?version=1&partition=2026-05",
}
LONG = "Betriebs" + "wirtschafts" * 12 + "lehre"


@pytest.fixture(scope="module")
def past(platform: Platform) -> Past:
    """Of an experiment whose DAGs the real Airflow has: rows in its catalog and artifacts in its store."""
    platform.add("tiny")
    made = Past(platform.settings.project)
    two_versions(made)
    ads, errors = many(23)
    made.version(3, 0.1, "2026-06", ads=ads, errors=errors, more={"missed": 23, "invented": 23, "boundary": 0})
    # What has no place to break, and a text of many lines.
    long = {name: (f"{text}\n{LONG}\n" * 3, [*gold, LONG], [*gold, LONG]) for name, (text, gold, _) in ads.items()}
    made.spec = {**made.spec, "description": "\n".join(f"{LONG} {line}" for line in range(12))}
    made.version(4, 1.0, "2026-06", ads=long, errors=[])
    return made


@pytest.fixture(scope="module")
def browser(platform: Platform) -> Iterator[Browser]:
    state = read_state(platform.settings)
    assert state is not None
    with browsing(state.url) as browser:
        browser.driver.set_script_timeout(300)
        browser.open("/")
        wait_for("the log-in", lambda: browser.driver.get_cookie("_token") or browser.shown("nav"))
        yield browser


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_whole_and_readable(browser: Browser, past: Past, theme: str, width: int) -> None:
    driver = browser.driver
    look_at(driver, width, theme=theme)
    driver.execute_script("localStorage.setItem('theme', arguments[0])", theme)
    for name, path in PAGES.items():
        errors_told(driver)
        browser.open(f"{ONE}/{path}")
        browser.find("h1", "tiny")
        assert driver.execute_script("return document.documentElement.dataset.theme") == theme
        for opened in (False, True):
            if opened:
                driver.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            # The way to the content stands outside until somebody comes to it by keyboard.
            assert [problem for problem in box_problems(driver) if "a.skip" not in problem] == [], (name, opened)
            assert axe_problems(driver) == [], (name, opened)
        assert errors_told(driver) == [], name
        _picture(browser, f"{name}-{theme}-{width}")


def _picture(browser: Browser, name: str) -> None:
    """Kept where SKILLSENGINE_PICTURES names a folder."""
    folder = os.environ.get("SKILLSENGINE_PICTURES")
    if folder:
        browser.driver.find_element(By.CSS_SELECTOR, "html").screenshot(str(Path(folder) / f"{name}.png"))


def heads(browser: Browser) -> list[str]:
    return [element.text.partition(" ")[0] for element in browser.shown(".ad h3")]


def test_errors_are_narrowed_while_one_types(browser: Browser, past: Past) -> None:
    look_at(browser.driver, 1280)
    browser.open(f"{ONE}/errors?version=1&partition=2026-03")
    browser.find("#results", "2 ads")
    browser.driver.execute_script("window.mark = 1")
    browser.write("q", "excel reports")
    browser.find("#results .count", "1 ad")
    assert heads(browser) == ["clerk"]
    browser.driver.execute_script(
        "const kind = document.querySelector('[name=kind]'); kind.value = 'boundary';"
        "kind.dispatchEvent(new Event('input', {bubbles: true}));"
    )
    wait_for("the address", lambda: "kind=boundary" in browser.driver.current_url)
    assert "q=excel+reports" in browser.driver.current_url and "partition=2026-03" in browser.driver.current_url
    assert browser.driver.execute_script("return window.mark") == 1, "the same page"
    browser.driver.refresh()
    browser.find("#results .count", "1 ad")
    assert browser.value("q") == "excel reports" and browser.value("kind") == "boundary", "a link to it can be sent"


def test_without_scripts_the_forms_ask(browser: Browser, past: Past) -> None:
    driver = browser.driver
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(f"{ONE}/errors?version=1&partition=2026-03")
        browser.find("[name='q']").send_keys("nurse")
        browser.click("#ads button", "Show")
        wait_for("the answer", lambda: heads(browser) == ["nurse"])
        browser.open(f"{ONE}/compare")
        browser.find("select[name='a'] option[value='1']").click()
        browser.find("select[name='b'] option[value='2']").click()
        browser.click("main button", "Show")
        browser.find("h2", "tiny@2 against tiny@1")
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_keyboard_gets_everywhere(browser: Browser, past: Past) -> None:
    look_at(browser.driver, 1280)
    browser.open(f"{ONE}/compare?a=3&b=4")
    browser.find("h1", "tiny")
    reached: list[Any] = []
    for _ in range(80):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        element = browser.driver.switch_to.active_element
        told = (element.tag_name, element.get_attribute("name") or element.get_attribute("rel") or element.text)
        outline = element.value_of_css_property("outline-style")
        assert outline != "none" or element.tag_name == "body", f"nobody sees that {told} has the focus"
        reached.append(told)
    for wanted in (("select", "a"), ("select", "b"), ("select", "partition"), ("button", "Show"), ("a", "next")):
        assert wanted in reached, reached


def test_a_file_of_all_disagreements_is_downloaded(browser: Browser, past: Past, tmp_path: Path) -> None:
    folder = {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": True}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    # Inside of Airflow's frame, where people are.
    browser.open("/plugin/experiments/skillsengine/experiments/tiny/compare?a=3&b=4")
    browser.driver.switch_to.frame(browser.find("iframe"))
    try:
        browser.click("#ads .files a", "CSV")
        file = tmp_path / "tiny-disagreements.csv"
        wait_for("the file", file.exists, 30)
    finally:
        browser.driver.switch_to.default_content()
    assert file.read_text().startswith("ad,wrong: tiny@3,wrong: tiny@4") and len(file.read_text().splitlines()) == 24
