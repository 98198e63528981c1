"""The past filled in Airflow's UI, by its command line and by ours: each on a fresh project of the same seed, all with the same
cells in the end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from skillsengine.airflow import embedded
from skillsengine.airflow.client import AirflowClient
from skillsengine.airflow.embedded_config import environment
from skillsengine.settings import load_settings
from skillsengine.spec.load import load_spec
from skillsengine.storage.catalog import Catalog
from tests.e2e.browser import browsing
from tests.e2e.conftest import SPEC, Platform, free_port, wait_for
from tests.pipeline.project import make_project, write_copies
from tests.pipeline.whole import run_whole

pytestmark = pytest.mark.nightly

NAME, SCORES = "past", "past.evaluations"
FIRST, LAST = "2026-01-01", "2026-06-01"
MONTHS = ("2026-01", "2026-03", "2026-04")
"""And 2026-02 with the ads that 2026-06 repeats with another word at their end; there is no May."""
_OF_THE_MACHINE = ("seconds", "tokens_per_second")

Fill = Callable[[Platform, int], None]


@contextmanager
def project(folder: Path) -> Iterator[tuple[Platform, int]]:
    """(an Airflow of its own with two versions and their matrix to fill, its port)."""
    settings = make_project(folder / "project", MONTHS)
    write_copies(settings.project / "data" / "ads" / "2026-02.jsonl", "a", "soon")
    write_copies(settings.project / "data" / "ads" / "2026-06.jsonl", "b", "now")
    text = SPEC.format(name=NAME).replace("schedule: none", f"schedule: partition\nstart_date: {FIRST}\npaused: true")
    text = text.replace("window: 2", "window: 2, wait: 1s") + "evaluations: {versions: ['1', '2']}\n"
    path = settings.experiments / f"{NAME}.yaml"
    path.write_text(text, encoding="utf-8")
    for month in ("2026-03", "2026-04"):
        run_whole(load_spec(path).experiment, settings, f"train-{month}", partition=month, trigger="backfill")
    port = free_port()
    address = embedded.up(load_settings(settings.project), port)
    try:
        with AirflowClient(address.url) as client:
            platform = Platform(settings, client, 0.0)
            wait_for("the DAG", lambda: client.dag(SCORES))
            client.set_paused(SCORES, False)
            yield platform, port
    finally:
        embedded.down(settings)


def by_the_page(platform: Platform, port: int) -> None:
    with browsing(platform.client.url) as browser:
        browser.open(f"/dags/{SCORES}")
        browser.click("[aria-label='Trigger Dag']")
        browser.click("[role='dialog'] label", "Backfill")
        for place, day in enumerate((FIRST, LAST)):
            boxes = wait_for("the dates", lambda: browser.shown("[data-testid='datetime-input']"))
            boxes[place].click()
            field = browser.find("input[placeholder='YYYY/MM/DD']")
            field.send_keys(day.replace("-", "/"), Keys.TAB)
            boxes[place].click()
            wait_for("the field's end", lambda: not browser.shown("input[placeholder='YYYY/MM/DD']"))
        browser.find("[role='dialog']", "6 runs will be triggered.")
        browser.click("[role='dialog'] button", "Run Backfill")
        finished(platform, 6)


def by_its_commands(platform: Platform, port: int) -> None:
    words = ["backfill", "create", "--dag-id", SCORES, "--from-date", FIRST, "--to-date", LAST]
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *words],
        env=environment(platform.settings, port, os.environ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    finished(platform, 6)


def by_ours(platform: Platform, port: int) -> None:
    said = ours(platform)
    assert f"Airflow fills them: {platform.client.url}/dags/{SCORES}/runs/" in said
    assert "could not be scored" in said
    runs = [run for run in platform.client.runs(SCORES) if run["run_type"] == "manual"]
    assert [run["state"] for run in runs] == ["success"]


def ours(platform: Platform) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "skillsengine", "backfill", NAME, "--airflow"],
        cwd=platform.settings.project,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def finished(platform: Platform, count: int) -> list[dict[str, Any]]:
    """The runs of the newest backfill, when all are over; that of May, which has no data, has failed."""

    def over() -> list[dict[str, Any]]:
        runs = [run for run in platform.client.runs(SCORES) if run["run_type"] == "backfill"][-count:]
        return runs if len(runs) == count and all(run["state"] in ("success", "failed") for run in runs) else []

    runs = wait_for("the backfill", over, 600)
    states = {run["partition_key"]: run["state"] for run in runs}
    assert states == dict.fromkeys(("2026-01", "2026-02", "2026-03", "2026-04", "2026-06"), "success") | {
        "2026-05": "failed"
    }
    return runs


def cells(platform: Platform) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(kind, partition, digest) -> metrics of every cell; of a mark its reason."""
    catalog = Catalog.open(platform.settings.catalog_url)
    found = {
        (cell.kind, cell.partition, cell.artifact_digest): {
            name: value for name, value in cell.metrics.items() if name not in _OF_THE_MACHINE
        }
        for cell in catalog.cells(NAME)
    }
    marks = {("mark", key, digest): {"why": why} for (digest, key), why in catalog.marks(NAME).items()}
    return found | marks


@pytest.fixture(scope="module")
def filled() -> dict[str, dict[tuple[str, str, str], dict[str, Any]]]:
    """What each way has left."""
    return {}


@pytest.mark.parametrize("fill", [by_ours, by_the_page, by_its_commands], ids=lambda fill: fill.__name__)
def test_every_way_ends_in_the_same_cells(
    tmp_path: Path, fill: Fill, filled: dict[str, dict[tuple[str, str, str], dict[str, Any]]]
) -> None:
    with project(tmp_path) as (platform, port):
        fill(platform, port)
        filled[fill.__name__] = cells(platform)
        assert "nothing is missing: all " in ours(platform), "ours finds nothing more to do"
        if fill is by_its_commands:
            # Once more, although everything is there. Airflow closes the first backfill a moment after its last run.
            wait_for("its end", lambda: all(each["completed_at"] for each in platform.client.backfills(SCORES)))
            platform.client.backfill(SCORES, FIRST, LAST, again="completed")
            runs = finished(platform, 6)
            assert cells(platform) == filled[fill.__name__]
            times = [[datetime.fromisoformat(run[name]) for name in ("start_date", "end_date")] for run in runs]
            took = (max(end for _, end in times) - min(start for start, _ in times)).total_seconds()
            print(f"Airflow's backfill of {len(runs)} filled partitions: {took / len(runs):.1f} s a run")
    kinds = [kind for kind, _, _ in filled[fill.__name__]]
    # Version 1 has learned from 01 and 02 and is scored on 03 and 04; version 2 from 02 and 03, on 01 and 04. Both were
    # trained on what 06 repeats.
    assert {kind: kinds.count(kind) for kind in kinds} == {"adapter": 4, "base": 3, "lexicon": 4, "mark": 2}
    first = next(iter(filled.values()))
    assert filled[fill.__name__] == first
