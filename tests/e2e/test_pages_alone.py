"""The pages in a real browser: whole and readable, wide and narrow; two of them narrowed while one types, used by keyboard and
without scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from tests.conftest import PROJECT
from tests.e2e.browser import Browser, browsing
from tests.e2e.conftest import free_port, wait_for
from tests.reporting.seeing import axe_problems, box_problems, errors_told, keep_picture, look_at

pytestmark = pytest.mark.nightly

LIST = "/skillsengine/experiments"
ONE = f"{LIST}/tiny"
PAGES = {
    "list": "",
    "one": "tiny",
    "matrix": "tiny/matrix",
    "compare": "tiny/compare?a=1&b=2&partition=2026-04",
    "compare-unlabelled": "tiny/compare?partition=2026-05&a=1&b=2",
    "compare-many": "tiny/compare?a=3&b=4",
    "errors": "tiny/errors?version=1&partition=2026-03",
    "errors-many": "tiny/errors?version=3",
    "errors-unlabelled": "tiny/errors?version=1&partition=2026-05",
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(where the pages are, the token of somebody who may read them)."""
    folder, port = tmp_path_factory.mktemp("pages"), free_port()
    named = {"AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SKILLSENGINE_", "AIRFLOW"))}
    (folder / "airflow").mkdir()
    command = [sys.executable, "-m", "tests.airflow.ui.serving", str(folder / "project"), str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=kept | named, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for("the pages", lambda: process.poll() is not None or _answers(f"{url}/skillsengine/static/pages.js"))
        assert process.poll() is None, (folder / "log").read_text()[-4000:]
        yield url, (folder / "project" / "token").read_text()
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def browser(address: tuple[str, str]) -> Iterator[Browser]:
    url, token = address
    with browsing(url) as browser:
        browser.driver.set_script_timeout(300)
        browser.open("/skillsengine/static/pages.js")
        browser.driver.add_cookie({"name": "_token", "value": token})
        yield browser


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_whole_and_readable(browser: Browser, theme: str, width: int) -> None:
    driver = browser.driver
    look_at(driver, width, theme=theme)
    browser.choose_theme(theme)
    for name, path in PAGES.items():
        errors_told(driver)
        browser.open(f"{LIST}/{path}")
        browser.find("h1")
        driver.execute_script(
            "document.getElementById('matrix')?.scrollTo(0, 0)"
        )  # its first column covers what is below
        assert driver.execute_script("return document.documentElement.dataset.theme") == theme
        for opened in (False, True):
            if opened:
                driver.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert box_problems(driver) == [], (name, opened)
        assert axe_problems(driver) == [], name
        assert errors_told(driver) == [], name
        keep_picture(driver, f"{name}-{theme}-{width}")


def heads(browser: Browser) -> list[str]:
    return [element.text.partition(" ")[0] for element in browser.shown(".ad h3")]


def test_errors_are_narrowed_while_one_types(browser: Browser) -> None:
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


def test_without_scripts_the_forms_ask(browser: Browser) -> None:
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


def test_the_keyboard_gets_everywhere(browser: Browser) -> None:
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


def test_a_file_of_all_disagreements_is_downloaded(browser: Browser, tmp_path: Path) -> None:
    folder = {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": True}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    browser.open(f"{ONE}/compare?a=3&b=4")
    browser.click("#ads .files a", "CSV")
    file = tmp_path / "tiny-disagreements.csv"
    wait_for("the file", file.exists, 60)
    assert file.read_text().startswith("ad,wrong: tiny@3,wrong: tiny@4") and len(file.read_text().splitlines()) == 24
