"""*Try it* inside the real Airflow, in a real browser: by a run, by a server, and how it looks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.browser import Browser, browsing
from tests.e2e.conftest import Platform, free_port, started, wait_for
from tests.reporting.seeing import axe_problems, box_problems, errors_told, keep_picture, look_at
from tests.serving.taught import TAUGHT, teach

pytestmark = pytest.mark.nightly

NAME = "tried"
TRY = f"/skillsengine/experiments/{NAME}/try"
FRAMED = f"/plugin/experiments{TRY}"
AD, SKILLS = next(iter(TAUGHT.items()))
HOSTILE = "We look for a nurse.\nSpanish is welcome, <b>TIG welding</b> is not needed. <script>alert(1)</script>"
_MARKED = "return [...document.querySelectorAll('.adtext mark')].map((mark) => mark.lastChild.textContent)"
LONG = 400.0
"""Seconds: a worker loads the libraries first, on a machine that may have other work."""


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Platform]:
    """An Airflow of its own, whose API server is told of a server that is not there yet; two versions are registered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKILLSENGINE_SERVE_URL", f"http://127.0.0.1:{port}")
        with started(tmp_path_factory.mktemp("tried")) as platform:
            # A base that knows some answers by heart, and adapters that leave it nearly as it is.
            teach(shutil.copytree(platform.settings.project / "base", platform.settings.project / "taught"))
            path = platform.write(NAME, "gate: {min_gold_skills: 1}\n")
            spec = (
                path.read_text()
                .replace("model: base", "model: taught")
                .replace("max_new_tokens: 8", "max_new_tokens: 40")
            )
            path.write_text(spec.replace("learning_rate: 0.01", "learning_rate: 1e-7"))
            wait_for("its DAGs", lambda: platform.client.dag(NAME) and platform.client.dag(f"{NAME}.try"))
            for conf in ({}, {"train.seed": 7}):
                run_id = platform.client.trigger(NAME, conf=conf)
                assert platform.finish(NAME, run_id, 1200)["state"] == "success"
            yield platform


@pytest.fixture(scope="module")
def browser(tried: Platform) -> Iterator[Browser]:
    with browsing(tried.client.url) as browser:
        yield browser


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "skillsengine", *words]


@pytest.fixture(scope="module")
def expected(tried: Platform) -> dict[int, dict[str, Any]]:
    """The answers of `skillsengine extract`."""
    file = tried.settings.project / "ad.txt"
    file.write_text(AD)
    found = {}
    for number in (1, 2):
        asked = command("extract", f"{NAME}@{number}", str(file))
        said = subprocess.run(asked, cwd=tried.settings.project, capture_output=True, text=True, check=True).stdout
        found[number] = {key: json.loads(said)[key] for key in ("version", "skills", "parsed")}
        assert found[number]["skills"] == SKILLS
    return found


@contextmanager
def serving(platform: Platform, version: int, port: int) -> Iterator[None]:
    asked = command("serve", f"{NAME}@{version}", "--port", str(port))
    with subprocess.Popen(asked, cwd=platform.settings.project, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            wait_for("the server", lambda: server.stdout and "serving" in server.stdout.readline(), LONG)
            yield
        finally:
            server.terminate()
            server.wait(60)


@contextmanager
def page(browser: Browser) -> Iterator[None]:
    """Inside Airflow's frame, and loaded once: whatever a test sees came without loading it again."""
    look_at(browser.driver, 1280)
    with browser.framed(FRAMED):
        browser.find("#try")
        browser.run("window.mark = 1")
        yield
        assert browser.run("return window.mark") == 1, "the same page"


def paste(browser: Browser, version: int, text: str = AD) -> None:
    browser.run(
        "document.getElementById('text').value = arguments[0]; document.getElementById('version').value = arguments[1];",
        text,
        str(version),
    )
    browser.click("#try button.main")


def found_by(browser: Browser, version: int) -> None:
    wait_for(f"{NAME}@{version}", lambda: heading(browser).endswith(f"found by {NAME}@{version}"), LONG)


def heading(browser: Browser) -> str:
    """Of the answer. Asked in one step: the page's script puts another answer in its place."""
    return str(browser.run("return document.querySelector('#answer h2')?.textContent ?? ''"))


def answer(browser: Browser) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(browser.find("#as-json").text)
    return told


def test_a_run_answers_as_extract_does(tried: Platform, browser: Browser, expected: dict[int, dict[str, Any]]) -> None:
    with page(browser):
        assert "The server cannot be asked" in browser.find("#about").text
        for number in (1, 2):
            paste(browser, number)
            found_by(browser, number)
            assert answer(browser) == expected[number]
            assert "Answered by a run in Airflow in" in browser.find("#answer .lead").text
            assert browser.run(_MARKED) == SKILLS
        browser.click("[data-copy]")
        assert browser.find("[data-copied]").text in ("copied", "marked: copy it with Ctrl-C")
        link = browser.run("return location.href")
    assert "?version=2&run=try__" in link
    browser.driver.get(link)
    assert answer(browser) == expected[2], "a link that can be sent"


def test_a_run_that_waits_says_for_what_and_goes_on(tried: Platform, browser: Browser) -> None:
    tried.client.set_paused(f"{NAME}.try", True)
    with page(browser):
        paste(browser, 1, HOSTILE)
        browser.find("#answer", f"The DAG {NAME}.try is paused in Airflow")
        told = "return document.querySelector('[data-try-told]')?.textContent ?? ''"
        first = browser.run(told)
        wait_for("the time to go on", lambda: browser.run(told) not in ("", first))
        keep_picture(browser.driver, "try-waiting")
        tried.client.set_paused(f"{NAME}.try", False)
        found_by(browser, 1)
        assert browser.run("return document.querySelector('.adtext').innerText.includes('<b>TIG welding</b>')")


def test_a_run_that_fails_says_why(tried: Platform, browser: Browser) -> None:
    folder = (tried.settings.home / "store" / "versions" / NAME / "1").resolve()
    folder.rename(folder.with_name("away"))
    try:
        with page(browser):
            paste(browser, 1)
            wait_for("its failure", lambda: heading(browser) == "It failed", LONG)
            assert "is neither at" in browser.find("#answer .said").text
            keep_picture(browser.driver, "try-failed")
            log = browser.find("#answer a.out").get_attribute("href")
    finally:
        folder.with_name("away").rename(folder)
    assert f"/dags/{NAME}.try/runs/try__" in str(log)
    browser.driver.get(str(log))
    browser.find("body", "is neither at")


def test_a_server_answers_at_once_and_a_run_for_what_it_does_not_serve(
    tried: Platform, browser: Browser, port: int, expected: dict[int, dict[str, Any]]
) -> None:
    runs = len(tried.client.runs(f"{NAME}.try"))
    with serving(tried, 2, port):
        with page(browser):
            assert f"serves {NAME}@2 and answers at once" in browser.find("#about").text
            paste(browser, 2)
            found_by(browser, 2)
            assert answer(browser) == expected[2]
            assert f"Answered by http://127.0.0.1:{port} in" in browser.find("#answer .lead").text
        assert len(tried.client.runs(f"{NAME}.try")) == runs
        with page(browser):
            paste(browser, 1)
            found_by(browser, 1)
            assert answer(browser) == expected[1]
        assert len(tried.client.runs(f"{NAME}.try")) == runs + 1
        with page(browser):
            paste(browser, 2, "a" * 20_001)
            assert "20,000 are taken here" in browser.find("#answer .said").text
            keep_picture(browser.driver, "try-refused")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_whole_in_both_themes_and_sizes(
    tried: Platform, browser: Browser, expected: dict[int, dict[str, Any]], theme: str
) -> None:
    done = next(each for each in reversed(tried.client.runs(f"{NAME}.try")) if each["state"] == "success")
    browser.open("/")
    browser.choose_theme(theme)
    for width in (1280, 390):
        look_at(browser.driver, width, theme=theme)
        for name, query in (("form", ""), ("answer", f"?run={done['dag_run_id']}")):
            browser.driver.get_log("browser")
            browser.open(f"{TRY}{query}")
            browser.find("#try")
            assert browser.run("return document.documentElement.dataset.theme") == theme
            assert box_problems(browser.driver) == [], (name, width)
            assert axe_problems(browser.driver) == [], (name, width)
            assert errors_told(browser.driver) == []
            keep_picture(browser.driver, f"try-{name}-{theme}-{width}")
    browser.run("localStorage.removeItem('theme')")
