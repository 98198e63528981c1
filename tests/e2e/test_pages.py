"""Airflow's own pages about an experiment, in a real browser: the trigger form, an import error, the DAG's documentation."""

from __future__ import annotations

import pytest

from skillsengine.storage.catalog import Catalog
from tests.e2e.browser import Browser
from tests.e2e.conftest import Platform, wait_for

pytestmark = pytest.mark.nightly
VALUES = "Values of the spec, for this run alone"


def test_the_trigger_form_starts_a_run_with_other_values(platform: Platform, browser: Browser) -> None:
    platform.add("by-hand", "description: Finds skills.\n")
    browser.open("/dags/by-hand")
    browser.click("[aria-label='Trigger Dag']")
    browser.click("button", VALUES)
    shown = {
        "data.window": "2",
        "tokens.max_length": "auto",
        "lora.dropout": "0",
        "train.epochs": "1",
        "train.learning_rate": "0.01",
        "train.seed": "42",
        "evaluate.max_rows": "",
    }
    assert {path: browser.value(f"element_{path}") for path in shown} == shown, "the spec's own values"
    browser.find("[role='dialog']", "Peak learning rate. (float > 0 and <= 1; the spec says 0.01)")
    # In the field itself.
    browser.write("element_train.learning_rate", "fast")
    browser.find("[role='dialog']", "Value must be one of: number, integer")
    # By Airflow's API, in the dialog.
    browser.write("element_train.learning_rate", "2e-3")
    browser.write("element_tokens.max_length", "8")
    browser.click("[role='dialog'] button", "Trigger")
    browser.find("[role='dialog']", "Invalid input for param tokens.max_length: 8 is less than the minimum of 16")
    browser.write("element_tokens.max_length", "128")
    browser.write("element_evaluate.max_rows", "3")
    browser.click("[role='dialog'] button", "Trigger")
    (run,) = wait_for("the run", lambda: platform.client.runs("by-hand"))
    assert len(run["conf"]) > 10, "the page sends every value, changed or not"
    run = platform.finish("by-hand", run["dag_run_id"])
    assert run["state"] == "success"
    told = run["note"].partition(" · overridden: ")[2]
    assert told == "tokens.max_length: auto -> 128, train.learning_rate: 0.01 -> 0.002, evaluate.max_rows: null -> 3"
    row = Catalog.open(platform.settings.catalog_url).get_run("by-hand", run["dag_run_id"])
    assert row is not None and row.spec["train"]["learning_rate"] == 0.002


def test_an_import_error_shows_the_message_first(platform: Platform, browser: Browser) -> None:
    path = platform.write("mistyped", "description: x\nevaluations: {verions: [latest]}\n")
    wait_for("the error", lambda: [e for e in platform.client.import_errors() if e["filename"] == "mistyped.yaml.py"])
    try:
        browser.open("/")
        browser.click("button", "Import Error")
        browser.click("button", "mistyped.yaml.py")
        said = browser.find("[role='dialog'] code, [role='dialog'] pre", "mistyped does not compile")
        lines = said.text.splitlines()
        assert lines[:4] == [
            "spec: experiments/mistyped.yaml:11:15: evaluations.verions: unknown key",
            "   11 | evaluations: {verions: [latest]}",
            "      |               ^^^^^^^",
            "   did you mean `versions`? (list of texts, at least 1, default [champion, latest])",
        ]
        assert lines[-1] == "spec: mistyped does not compile; it has no DAG yet"
        # The caret stands below its word: every character is as wide as any other.
        assert "mono" in said.value_of_css_property("font-family").lower()
    finally:
        path.unlink()
        wait_for("no error", lambda: not platform.client.import_errors())


def test_the_documentation_of_a_dag_is_a_table(platform: Platform, browser: Browser) -> None:
    platform.add("documented", "description: |\n  Finds **skills**.\n\n  <b>No</b> HTML | pipes.\nowner: ann\n")
    browser.open("/dags/documented")
    browser.click("[aria-label='Dag Docs']")
    dialog = browser.find("[role='dialog']", "Trains, scores and registers an adapter.")
    rows = {
        row.find_elements("css selector", "td")[0].text: row.find_elements("css selector", "td")[1].text
        for row in dialog.find_elements("css selector", "tbody tr")
    }
    assert rows["training"] == "1 epoch of 4 rows a step, learning rate 0.01, linear"
    assert rows["data"] == "data/ads/{partition}.jsonl, trains on the 2 months before the run's own"
    assert [bold.text for bold in dialog.find_elements("css selector", "strong")][1:] == ["skills"]
    assert "HTML | pipes." in dialog.text
    assert "Spec experiments/documented.yaml, digest" in dialog.text
