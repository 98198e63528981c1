"""All that `plan` knows of one spec: what the data and the clock say of it, and its JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.outlook import Outlook, look_ahead
from skillsengine.pipeline.plan import find_sources, make_plan
from skillsengine.settings import Settings
from skillsengine.sources.files import UNREAD
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store
from tests.pipeline.past import plan_of, remember
from tests.pipeline.project import make_project, tiny_experiment

MONTHS = ("2026-01", "2026-02", "2026-03")
NOW = datetime(2026, 4, 20, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_project(tmp_path / "project", MONTHS, base=False)


def look(experiment: Experiment, settings: Settings, now: datetime = NOW) -> Outlook:
    sources = find_sources(experiment, None, settings, now=now)
    whole = make_plan(experiment, sources, settings)
    return look_ahead(whole, sources, settings, Store(settings.store_root), Catalog.open(settings.catalog_url), now)


def scheduled(start: str, **fields: Any) -> Experiment:
    return tiny_experiment(schedule="partition", start_date=start, **fields)


@pytest.mark.parametrize(
    ("experiment", "now", "notes"),
    [
        (
            scheduled("2026-02-01"),
            NOW,
            ["never run: as soon as Airflow sees the spec it runs 2026-03, the newest month that is over"],
        ),
        (
            scheduled("2025-06-15"),
            datetime(2026, 6, 1, tzinfo=UTC),
            [
                "start_date is 2025-06-15, data begins 2026-01: a backfill finds no data for the months before it, and nothing "
                "to train on for that one",
                "never run: as soon as Airflow sees the spec it runs 2026-05, the newest month that is over (no data yet: it "
                "waits 3d for it)",
            ],
        ),
        (scheduled("2026-04-01"), NOW, []),
        (scheduled("2026-02-01", paused=True), NOW, []),
        (tiny_experiment(schedule="0 3 * * 1", start_date="2026-02-01"), NOW, []),
        (tiny_experiment(data={"source": "data/ads"}, start_date="2020-01-01"), NOW, []),
    ],
    ids=["new", "begins before the data", "first run is to come", "paused", "cron", "static"],
)
def test_notes(settings: Settings, experiment: Experiment, now: datetime, notes: list[str]) -> None:
    assert list(look(experiment, settings, now).notes) == notes


def test_a_spec_that_ran_is_not_new(settings: Settings) -> None:
    remember(plan_of(scheduled("2026-02-01"), settings), settings)
    assert look(scheduled("2026-02-01"), settings).notes == ()


def test_json_has_stable_names(settings: Settings) -> None:
    remember(plan_of(tiny_experiment(), settings), settings, environment={"transformers": "4.0"})
    found = look(tiny_experiment(lora={"r": 8, "alpha": 8}), settings).warned("mind the step")
    told = json.loads(json.dumps(found.as_json()))
    assert set(told) == {
        "experiment",
        "partition",
        "window",
        "steps",
        "to_run",
        "cached",
        "unknown",
        "estimate",
        "dags",
        "notes",
        "warnings",
    }
    steps = {step["id"]: step for step in told["steps"]}
    assert steps["profile"] | {"digest": "", "version": 0} == {
        "id": "profile",
        "stage": "profile",
        "key": None,
        "version": 0,
        "digest": "",
        "cached": True,
        "reason": None,
        "changes": [],
        "seconds": None,
    }
    finetune = steps["finetune"]
    assert (finetune["cached"], finetune["reason"], finetune["changes"]) == (
        False,
        "lora.r: 4 -> 8",
        ["lora.r: 4 -> 8"],
    )
    assert finetune["seconds"] == {"value": 60, "exact": False, "from": "90 tokens/s in the run of 2026-03"}
    assert len(finetune["digest"]) == 64
    assert (told["to_run"], told["cached"], told["unknown"]) == (4, 5, 0)
    assert told["window"] == ["2026-01", "2026-02"]
    made, step = told["warnings"]
    assert made.startswith("made with transformers 4.0, and ") and "profile, evaluate[base]. They stay" in made
    assert step == "mind the step"
    estimate = told["estimate"]
    assert estimate["optimizer_steps"] == {"value": 23, "exact": True, "from": "the profile artifact"}
    assert estimate["memory_bytes"] is None, "there is no base here whose size could be known"
    assert estimate["seconds"] == 60 + 2 * 144 + 60
    assert set(estimate) == {
        "rows",
        "train_rows",
        "validation_rows",
        "tokens",
        "optimizer_steps",
        "max_length",
        "base_parameters",
        "trainable_parameters",
        "memory_bytes",
        "memory_by_quantization",
        "tokens_per_second",
        "measured_memory_bytes",
        "seconds",
        "untimed",
    }
    assert [dag["dag_id"] for dag in told["dags"]] == ["tiny", "tiny.evaluations"]


def test_what_was_never_read_is_null(settings: Settings) -> None:
    experiment = tiny_experiment()
    sources = find_sources(experiment, None, settings, now=NOW)
    files = {key: tuple(replace(file, sha256=UNREAD) for file in found) for key, found in sources.files.items()}
    unread = replace(sources, files={**sources.files, "2026-02": files["2026-02"]})
    whole = make_plan(experiment, unread, settings)
    store, catalog = Store(settings.store_root), Catalog.open(settings.catalog_url)
    told = look_ahead(whole, unread, settings, store, catalog, NOW).as_json()
    steps = {step["id"]: step for step in told["steps"]}
    assert (steps["format[2026-02]"]["digest"], steps["format[2026-02]"]["cached"]) == (None, None)
    assert steps["format[2026-02]"]["reason"].startswith("never read: ")
    assert (steps["finetune"]["cached"], steps["finetune"]["reason"]) == (None, "depends on data that was never read")
    assert (steps["format[2026-01]"]["cached"], told["unknown"]) == (False, 6)
    assert told["estimate"]["rows"] is None


def test_memory_in_json(settings: Settings) -> None:
    experiment = tiny_experiment(base={"model": "meta-llama/Llama-2-7b-hf"}, tokens={"max_length": 512})
    memory = look(experiment, settings).as_json()["estimate"]["memory_bytes"]
    assert set(memory) == {"base", "adapter", "activations", "of_a_token", "framework", "held", "total"}
    assert memory["activations"] == pytest.approx(4 * 512 * memory["of_a_token"], rel=1e-6)
