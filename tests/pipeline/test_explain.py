"""Why a step is not cached, in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.explain import explain
from skillsengine.pipeline.plan import Plan
from skillsengine.settings import Settings
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store
from tests.pipeline.past import plan_of, remember
from tests.pipeline.project import make_project, tiny_experiment, write_month

MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A project without a base: nothing is trained here."""
    return make_project(tmp_path / "project", MONTHS, base=False)


def reasons(plan: Plan, settings: Settings) -> dict[str, str | None]:
    found = explain(plan, Store(settings.store_root), Catalog.open(settings.catalog_url))
    return {step.id: None if why is None else str(why) for step, why in found}


def after(settings: Settings, partition: str | None = None, **sections: Any) -> dict[str, str | None]:
    """The reasons after a run of the tiny experiment, of a plan with other sections."""
    remember(plan_of(tiny_experiment(), settings), settings)
    return reasons(plan_of(tiny_experiment(**sections), settings, partition), settings)


def test_nothing_ran_yet_then_all_is_cached(settings: Settings) -> None:
    plan = plan_of(tiny_experiment(), settings)
    assert set(reasons(plan, settings).values()) == {"never run"}
    remember(plan, settings)
    assert set(reasons(plan, settings).values()) == {None}


@pytest.mark.parametrize(
    ("step", "sections", "text"),
    [
        ("finetune", {"base": {"model": "base", "quantization": "int8"}}, "base.quantization: none -> int8"),
        ("finetune", {"lora": {"r": 16, "alpha": 8}}, "lora.r: 4 -> 16"),
        (
            "finetune",
            {"lora": {"r": 4, "alpha": 8, "target_modules": ["q_proj", "lm_head"]}},
            "lora.target_modules: +lm_head -k_proj -v_proj -o_proj -gate_proj -up_proj -down_proj",
        ),
        (
            "finetune",
            {"train": {"epochs": 1, "per_device_batch_size": 8, "learning_rate": 0.01}},
            "rows per optimizer step: 4 -> 8",
        ),
        ("profile", {"tokens": {"overlong": "split"}}, "tokens.overlong: cut -> split"),
        ("evaluate[base]", {"evaluate": {"max_new_tokens": 9}}, "evaluate.max_new_tokens: 8 -> 9"),
        (
            "finetune",
            {"lora": {"r": 2, "alpha": 9, "dropout": 0.5}, "resources": {"device": "cuda"}},
            "lora.alpha: 8 -> 9; lora.dropout: 0.0 -> 0.5; lora.r: 4 -> 2 and 1 more",
        ),
        ("register", {"register": {"model": "other"}}, "register.model: null -> other"),
    ],
)
def test_a_section_is_told_by_its_fields(settings: Settings, step: str, sections: Any, text: str) -> None:
    assert after(settings, **sections)[step] == text


def test_a_changed_month_is_told_to_all_that_reads_it(settings: Settings) -> None:
    remember(plan_of(tiny_experiment(), settings), settings)
    write_month(settings.project / "data" / "ads" / "2026-03.jsonl", "2026-03", salt=5)
    told = reasons(plan_of(tiny_experiment(), settings), settings)
    # The remembered artifact holds no rows to count.
    assert told.pop("format[2026-03]") == "data changed in 2026-03: 2026-03.jsonl (1.0 kB)"
    assert told == {
        "format[2026-02]": None,
        "format[2026-04]": None,
        "profile": "format[2026-03] changed",
        "finetune": "format[2026-03], profile changed",
        "evaluate[base]": None,
        "evaluate[lexicon]": "finetune changed",
        "evaluate[adapter]": "finetune changed",
        "register": "finetune changed",
    }


def test_another_partition_moves_the_window(settings: Settings) -> None:
    told = after(settings, "2026-03")
    assert told["format[2026-01]"] == "never run"
    assert told["profile"] == "the window moved: 2026-01 came in, 2026-03 left"
    assert told["evaluate[base]"] == "partition: 2026-04 -> 2026-03"
    assert told["evaluate[adapter]"] == "partition: 2026-04 -> 2026-03; finetune changed"


def test_a_new_version_of_a_stage(settings: Settings) -> None:
    plan = plan_of(tiny_experiment(), settings)
    other = plan_of(tiny_experiment(train={"epochs": 2, "learning_rate": 0.01}), settings)
    remember(other, settings, versions={"finetune": 1})
    assert reasons(plan, settings)["finetune"] == (
        "stage version 1 -> 4: made by an older skillsengine; train.epochs: 2.0 -> 1.0"
    )


def test_what_began_and_what_is_gone(settings: Settings) -> None:
    plan = plan_of(tiny_experiment(), settings)
    remember(plan, settings, only=("format", "profile"))
    told = reasons(plan, settings)
    assert (told["profile"], told["finetune"]) == (None, "started before, not finished")
    other = plan_of(tiny_experiment(lora={"r": 2, "alpha": 8}), settings)
    assert reasons(other, settings)["finetune"] == "differs from the last run, whose artifact is gone"


def test_a_smoke_test_and_a_failed_run_are_not_compared_with(settings: Settings) -> None:
    plan = plan_of(tiny_experiment(), settings)
    remember(plan_of(tiny_experiment(), settings, limit=3), settings, "smoke", limit=3)
    assert set(reasons(plan, settings).values()) == {"never run"}
    remember(plan, settings, "whole")
    remember(plan_of(tiny_experiment(lora={"r": 99, "alpha": 8}), settings), settings, "failed", only=("format",))
    changed = plan_of(tiny_experiment(lora={"r": 2, "alpha": 8}), settings)
    assert reasons(changed, settings)["finetune"] == "lora.r: 4 -> 2", "against the last run that has an artifact"


def test_many_evaluations_hide_no_run(settings: Settings) -> None:
    plan = plan_of(tiny_experiment(), settings)
    remember(plan, settings)
    catalog = Catalog.open(settings.catalog_url)
    for number in range(12):
        catalog.pin_run(
            "tiny.evaluations",
            f"run-{number}",
            experiment="tiny",
            kind="evaluations",
            partition=None,
            spec={},
            options={},
            trigger="backfill",
            spec_commit=None,
        )
    assert (
        reasons(plan_of(tiny_experiment(lora={"r": 2, "alpha": 8}), settings), settings)["finetune"] == "lora.r: 4 -> 2"
    )


def test_the_partition_that_a_champion_was_scored_on_beside(settings: Settings) -> None:
    """A run formats its partition again where the champion has a cleaning of its own; the catalog's row is that one's."""
    plan = plan_of(tiny_experiment(), settings)
    remember(plan, settings)
    data = {"source": "data/ads/{partition}.jsonl", "window": 2}
    champions = plan_of(tiny_experiment(data=data | {"cleaning": ["html"]}), settings).step("format[2026-04]")
    catalog = Catalog.open(settings.catalog_url)
    run = catalog.list_runs("tiny")[0]
    catalog.start_step(run.id, champions.id, "format", champions.key, champions.digest)
    changed = plan_of(tiny_experiment(data=data | {"text": "job_description", "id": "ref"}), settings)
    assert reasons(changed, settings)["format[2026-04]"] == "data.id: id -> ref"


def test_a_forced_run(settings: Settings) -> None:
    plan = plan_of(tiny_experiment(), settings)
    finetune = plan.step("finetune")
    forced = replace(finetune, config={**finetune.config, "rerun": 1}, digest="f" * 64)
    remember(replace(plan, steps=tuple(forced if step is finetune else step for step in plan.steps)), settings)
    assert reasons(plan, settings)["finetune"] == "the last run was forced (--force)"


def test_files_are_named_where_rows_are_not_counted(settings: Settings) -> None:
    def folder() -> Experiment:
        return tiny_experiment(data={"source": "data/ads"})

    remember(plan_of(folder(), settings), settings)
    ads = settings.project / "data" / "ads"
    write_month(ads / "2026-03.jsonl", "2026-03", salt=5)
    (ads / "2026-01.jsonl").rename(ads / "2026-05.jsonl")
    size = (ads / "2026-03.jsonl").stat().st_size / 1e3
    told = reasons(plan_of(folder(), settings), settings)["format[all]"]
    assert told == f"data changed: 2026-05.jsonl is new, 2026-01.jsonl is gone, 2026-03.jsonl ({size:.1f} kB)"
