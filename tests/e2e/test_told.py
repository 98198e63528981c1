"""What Airflow's own pages tell of a run: logs that read well, links, the note, the asset event; and the report it left."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from skillsengine.storage.catalog import Catalog
from tests.e2e.browser import Browser
from tests.e2e.conftest import Platform, ask, wait_for
from tests.reporting.seeing import errors_told, pictures
from tests.reporting.seeing import look_at as size

pytestmark = pytest.mark.nightly

NAME = "told"
TASKS = ("format", "profile", "finetune", "evaluate", "register", "gate", "promote", "report")
_DEBRIS = re.compile(r"\r|\x1b|%\||it/s|s/it|Warning|\[INFO\]|wandb:")


@pytest.fixture(scope="module")
def run_id(platform: Platform) -> str:
    platform.add(NAME, "gate: {min_gold_skills: 1}\n")
    run_id = platform.client.trigger(NAME)
    assert platform.finish(NAME, run_id, 1200)["state"] == "success"
    return run_id


def log_of(platform: Platform, run_id: str, task: str) -> list[dict[str, Any]]:
    """All lines, Airflow's own too."""
    folder = platform.settings.home / "airflow" / "logs" / f"dag_id={NAME}" / f"run_id={run_id}" / f"task_id={task}"
    return [json.loads(line) for line in (folder / "attempt=1.log").read_text("utf-8").splitlines()]


def test_every_line_of_every_log_is_airflow_s_or_ours(platform: Platform, run_id: str) -> None:
    for task in TASKS:
        for line in log_of(platform, run_id, task):
            text, logger = str(line["event"]), str(line.get("logger", ""))
            assert logger == "task" or logger.startswith("skillsengine."), (task, logger, text)
            assert line["level"] == "info" and not _DEBRIS.search(text), (task, text)


def test_a_log_ends_with_a_small_table(platform: Platform, run_id: str) -> None:
    said = {
        task: [str(line["event"]) for line in log_of(platform, run_id, task) if line.get("logger") != "task"]
        for task in TASKS
    }
    assert any(line.split() == ["2026-01", "2026-02", "2026-03"] for line in said["format"])
    assert "  rows               8        8        8" in said["format"]
    assert any(line.split() == ["base", "lexicon", "adapter"] for line in said["evaluate"])
    assert any(
        re.fullmatch(r"  f1 +\d\.\d{3} ±\d\.\d{3}(  +\d\.\d{3} ±\d\.\d{3}){2}", line) for line in said["evaluate"]
    )
    assert said["register"][-1].split() == ["version", f"{NAME}@1"]


def test_tasks_lead_to_what_they_made(platform: Platform, browser: Browser, run_id: str) -> None:
    found = {
        task: ask(platform, "GET", f"dags/{NAME}/dagRuns/{run_id}/taskInstances/{task}/links")["extra_links"]
        for task in ("finetune", "register", "report")
    }
    version, report = found["report"]["Version"], found["report"]["Report"]
    assert (version, report) == (
        f"/skillsengine/experiments/{NAME}?version=1#version",
        f"/skillsengine/experiments/{NAME}/report?version=1",
    )
    assert found["register"]["Version"] == version and found["register"]["Report"] is None
    assert set(found["finetune"].values()) == {None}, "it has made no version, and W&B is off"
    size(browser.driver, 1280)
    browser.open(f"/dags/{NAME}/runs/{run_id}/tasks/report/details")
    link = browser.find(f"a[href$='{report}']", "Report")
    browser.driver.get(str(link.get_attribute("href")))
    browser.find("h1", f"{NAME}@1")
    wait_for("the report's pictures", lambda: all(pictures(browser.driver).values()) and pictures(browser.driver))
    assert browser.driver.execute_script("return self.origin") == "null", "it has no part in who is logged in"
    # Chromium's own remark on how `pictures` looks.
    assert [text for text in errors_told(browser.driver) if "willReadFrequently" not in text] == []
    browser.open(version)
    browser.find("#version a", "its report")


def test_the_note_and_the_asset_event_tell_the_outcome(platform: Platform, run_id: str) -> None:
    row = Catalog.open(platform.settings.catalog_url).resolve(NAME, "1")
    run = platform.client.run(NAME, run_id)
    assert run is not None and run["note"].startswith(f"{NAME}@1 · 2026-03 · F1: adapter ") and "\n" not in run["note"]
    (event,) = [event for event in platform.client.asset_events() if event["source_dag_id"] == NAME]
    scores = {name: row.metrics["adapter"][name] for name in ("f1", "f1_low", "f1_high")}
    assert event["extra"] == {"version": f"{NAME}@1", "partition": "2026-03", **scores}
