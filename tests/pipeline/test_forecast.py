"""What a run would take: exact where artifacts say it, about where earlier runs do, and nothing where there is neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.forecast import Figure, Forecast, forecast
from skillsengine.pipeline.history import History
from skillsengine.pipeline.plan import Plan
from skillsengine.pipeline.run import open_run, run_stage
from skillsengine.pipeline.shapes import shape_of
from skillsengine.pipeline.source_rows import SourceRows
from skillsengine.settings import Settings
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store
from tests.pipeline.past import PROFILE, plan_of, remember
from tests.pipeline.project import make_project, tiny_experiment

MONTHS = ("2026-01", "2026-02", "2026-03")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_project(tmp_path / "project", MONTHS, base=False)


def ahead(plan: Plan, settings: Settings, *, budget: int = 1 << 20) -> Forecast:
    store, catalog = Store(settings.store_root), Catalog.open(settings.catalog_url)
    to_run = [step.id for step in plan.steps if store.get(step.stage, step.digest) is None]
    history = History.of(plan.experiment.name, catalog, store)
    return forecast(plan, to_run, shape_of(plan.experiment, settings), store, history, SourceRows(budget))


def changed(**sections: Any) -> dict[str, Any]:
    train = {"epochs": 1, "per_device_batch_size": 4, "learning_rate": 0.02}
    return {"train": train} | sections


def test_the_steps_of_a_real_training(tmp_path: Path) -> None:
    """What is foretold before `finetune`, by the profile, is what it does."""
    settings = make_project(tmp_path / "project", MONTHS)
    train = {"epochs": 1.5, "per_device_batch_size": 2, "gradient_accumulation_steps": 2, "learning_rate": 0.01}
    spec = tiny_experiment(train=train)
    before = ahead(plan_of(spec, settings), settings)
    assert before.rows == Figure(16, True, "the source, counted now")
    assert before.train_rows == Figure(14, False, "the source, counted now; copies of an ad count once")
    assert (before.tokens, before.seconds, before.memory and before.memory.activations) == (None, {}, None)

    run = open_run(spec, dag_id="tiny", run_id="first", settings=settings)
    for stage in ("format", "profile"):
        run_stage(run, stage)
    foretold = ahead(run.plan, settings)
    run_stage(run, "finetune")
    facts = run.store.get("finetune", run.plan.step("finetune").digest).summary  # type: ignore[union-attr]
    for found, exact in ((foretold.steps, "steps"), (foretold.train_rows, "train_rows")):
        assert found == Figure(facts[exact], True, "the profile artifact")
    assert foretold.trainable_parameters == facts["trainable_parameters"]
    assert foretold.tokens is not None and not foretold.tokens.exact
    assert foretold.tokens.value == pytest.approx(facts["tokens"], rel=0.15)
    assert foretold.max_length == Figure(foretold.max_length.value, True, "the profile artifact")  # type: ignore[union-attr]

    after = ahead(run.plan, settings)
    for found, exact in ((after.steps, "steps"), (after.train_rows, "train_rows"), (after.tokens, "tokens")):
        assert found == Figure(facts[exact], True, "the finetune artifact")
    again = ahead(plan_of(tiny_experiment(train=train | {"epochs": 3}), settings), settings)
    assert again.seconds["finetune"].basis == f"{facts['tokens_per_second']:.0f} tokens/s in the run of 2026-03"
    assert again.measured_memory == Figure(facts["peak_memory_gb"] * 2**30, False, "the run of 2026-03")


def test_texts_that_are_split_make_it_uncertain(settings: Settings) -> None:
    plan = plan_of(tiny_experiment(), settings)
    split = {"rows_split": 5, "parts": 15, "rows_left_out": 2}
    remember(plan, settings, only=("format", "profile"), profile=split)
    found = ahead(plan, settings)
    assert found.train_rows == Figure(97, False, "the profile artifact"), "108 texts of 100 rows"
    assert found.steps == Figure(25, False, "the profile artifact")


def test_times_are_those_of_earlier_runs(settings: Settings) -> None:
    remember(plan_of(tiny_experiment(), settings), settings)
    found = ahead(plan_of(tiny_experiment(**changed()), settings), settings)
    assert set(found.seconds) == {"finetune", "evaluate[adapter]", "evaluate[lexicon]", "register"}
    # 5,000 tokens of 100 texts, 90 of them to train on, at 90 a second; and the 10 seconds that the step took beside.
    assert found.tokens == Figure(4500, False, "the profile artifact")
    assert found.seconds["finetune"] == Figure(60.0, False, "90 tokens/s in the run of 2026-03")
    # 16 s for 8 rows, 44 s beside them; now there are 50 rows.
    assert found.seconds["evaluate[adapter]"] == Figure(44 + 16 / 8 * 50, False, "the run of 2026-03")
    assert found.total_seconds == pytest.approx(60 + 2 * 144 + 60)
    fewer = ahead(
        plan_of(tiny_experiment(**changed(evaluate={"max_new_tokens": 8, "max_rows": 4})), settings), settings
    )
    assert fewer.seconds["evaluate[adapter]"].value == 44 + 16 / 8 * 4


@pytest.mark.parametrize(
    "other",
    [
        {"resources": {"device": "cuda"}},
        {"base": {"model": "base", "quantization": "int8"}},
        {"base": {"model": "another"}},
    ],
)
def test_no_time_of_another_device_or_base(settings: Settings, other: dict[str, Any]) -> None:
    remember(plan_of(tiny_experiment(), settings), settings)
    found = ahead(plan_of(tiny_experiment(**other), settings), settings)
    assert {"finetune", "evaluate[adapter]", "evaluate[base]"} <= set(found.untimed)
    assert (found.speed, found.measured_memory) == (None, None)
    assert "evaluate[lexicon]" in found.seconds, "it needs no model"


def test_a_smoke_test_measures_speed_and_nothing_else(settings: Settings) -> None:
    small = {"finetune": {"tokens_per_second": 45.0}, "profile": {"longest": 250, "rows": 8, "tokens": 400}}
    remember(plan_of(tiny_experiment(), settings, limit=8), settings, "smoke", limit=8, **small)
    found = ahead(plan_of(tiny_experiment(), settings), settings)
    assert found.tokens is not None
    assert found.tokens.value == 50 * 14, "50 tokens a text: none was cut"
    (day,) = {figure.basis[-10:] for figure in found.seconds.values()}
    assert found.seconds == {"finetune": Figure(10 + 700 / 45, False, f"45 tokens/s in a smoke test of {day}")}
    assert found.measured_memory is None

    cut = {"profile": {"longest": 256, "rows": 8, "tokens": 2000}}
    remember(plan_of(tiny_experiment("other"), settings, limit=8), settings, "smoke", limit=8, **cut)
    assert ahead(plan_of(tiny_experiment("other"), settings), settings).tokens is None, "longer texts were cut"


def test_rows_of_what_cannot_be_counted(settings: Settings) -> None:
    """Too large, and no run before: unknown. After a run: what it had."""
    plan = plan_of(tiny_experiment(), settings)
    nothing = ahead(plan, settings, budget=0)
    assert (nothing.rows, nothing.train_rows, nothing.steps) == (None, None, None)
    remember(plan, settings)
    data = {"source": "data/ads/{partition}.jsonl", "window": 2, "cleaning": ["html"]}
    found = ahead(plan_of(tiny_experiment(data=data), settings), settings, budget=0)
    assert found.rows == Figure(100, False, "an earlier state of the data")
    assert found.train_rows is not None and found.train_rows.value == 90
    assert found.max_length == Figure(PROFILE["max_length"], False, "the run of 2026-03")


def test_a_static_source_holds_its_test_out(settings: Settings) -> None:
    spec = tiny_experiment(data={"source": "data/ads", "split": {"test": 0.25, "validation": 0.5}})
    found = ahead(plan_of(spec, settings), settings)
    assert (found.rows and found.rows.value, found.train_rows and found.train_rows.value) == (24, 9)
    assert found.validation_rows is not None and found.validation_rows.value == 9
    (settings.project / "data" / "ads" / "2026-01.jsonl").rename(settings.project / "data" / "ads" / "train.jsonl")
    for month in MONTHS[1:]:
        (settings.project / "data" / "ads" / f"{month}.jsonl").unlink()
    assert ahead(plan_of(spec, settings), settings).train_rows is None, "the files say which rows train"


def test_summaries_of_an_older_version_lack_names(settings: Settings) -> None:
    bare = {"train_rows": None, "tokens": None, "tokens_per_second": None, "peak_memory_gb": None}
    remember(plan_of(tiny_experiment(), settings), settings, finetune=bare, profile={"max_length": None})
    found = ahead(plan_of(tiny_experiment(**changed(tokens={"overlong": "drop"})), settings), settings, budget=0)
    assert (found.tokens, found.max_length, found.speed, found.measured_memory) == (None, None, None, None)
    assert "finetune" in found.untimed
