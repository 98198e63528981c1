"""The plan: which steps, which window, what changes which digest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from skillsengine.pipeline.plan import Plan, PlanError, RunOptions, find_sources, make_plan
from skillsengine.settings import Settings
from skillsengine.spec.schema import Experiment
from skillsengine.stages.contract import Limit
from tests.pipeline.project import make_project, tiny_experiment, write_month

NOW = datetime(2026, 4, 15, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_project(tmp_path / "project", base=False)


def plan_of(
    experiment: Experiment, settings: Settings, partition: str | None = None, options: RunOptions | None = None
) -> Plan:
    return make_plan(experiment, find_sources(experiment, partition, settings, now=NOW), settings, options)


def changed(before: Plan, after: Plan) -> set[str]:
    old = {step.id: step.digest for step in before.steps}
    return {step.id for step in after.steps if old.get(step.id) != step.digest}


def test_a_dated_run_trains_on_the_window_and_tests_on_its_own_partition(settings: Settings) -> None:
    plan = plan_of(tiny_experiment(), settings)
    assert plan.partition == "2026-03"
    assert [step.id for step in plan.steps] == [
        "format[2026-01]",
        "format[2026-02]",
        "format[2026-03]",
        "profile",
        "finetune",
        "evaluate[base]",
        "evaluate[lexicon]",
        "evaluate[adapter]",
        "register",
    ]
    assert set(plan.step("finetune").inputs) == {"format[2026-01]", "format[2026-02]", "profile"}
    assert plan.step("evaluate[base]").inputs == {"format": plan.step("format[2026-03]").digest}
    # How long the adapter's texts were is told along: its own digest already stands for it.
    assert plan.step("evaluate[adapter]").along == {"profile": ("profile", plan.step("profile").digest)}
    assert not plan.step("evaluate[base]").along and not plan.step("evaluate[lexicon]").along


def test_one_changed_ad_of_the_window_changes_what_depends_on_it_and_not_the_base_s_score(settings: Settings) -> None:
    before = plan_of(tiny_experiment(), settings)
    write_month(settings.project / "data" / "ads" / "2026-01.jsonl", "2026-01", salt=40)
    assert changed(before, plan_of(tiny_experiment(), settings)) == {
        "format[2026-01]",
        "profile",
        "finetune",
        "evaluate[lexicon]",
        "evaluate[adapter]",
        "register",
    }


def test_what_only_tells_how_to_work_changes_no_digest(settings: Settings) -> None:
    before = plan_of(tiny_experiment(), settings)
    train = {"epochs": 1, "learning_rate": 0.01, "per_device_batch_size": 2, "gradient_accumulation_steps": 2}
    after = tiny_experiment(
        train=train | {"logging_steps": 3, "checkpoint_steps": 7, "gradient_checkpointing": True},
        description="other words",
        resources={"device": "cpu", "queue": "other", "retries": 9},
        evaluate={"max_new_tokens": 8, "batch_size": 2},
        tracking={"mode": "offline"},
    )
    assert changed(before, plan_of(after, settings)) == set()


def test_what_counts_as_a_copy_decides_who_trains_and_what_is_scored(settings: Settings) -> None:
    data = {"source": "data/ads/{partition}.jsonl", "window": 2, "split": {"near_copies": 0.9}}
    before, after = plan_of(tiny_experiment(), settings), plan_of(tiny_experiment(data=data), settings)
    # Of a dated source the base is scored on its whole partition.
    learned = {"profile", "finetune", "evaluate[lexicon]", "evaluate[adapter]", "register"}
    assert changed(before, after) == learned
    assert after.step("evaluate[adapter]").config["data.split.near_copies"] == 0.9
    assert not [path for path in after.step("evaluate[base]").config if path.startswith("data.split")]
    shares = data | {"split": {"test": 0.3, "near_copies": 0.8}}
    assert after.step("evaluate[adapter]").config.keys() & {"data.split"} == set()
    only_shares = plan_of(tiny_experiment(data=shares), settings)
    assert only_shares.step("evaluate[adapter]").config == before.step("evaluate[adapter]").config
    static = {"source": "data/ads", "split": {"near_copies": 0.9}}
    both = (
        plan_of(tiny_experiment(data={"source": "data/ads"}), settings),
        plan_of(tiny_experiment(data=static), settings),
    )
    assert changed(*both) == learned | {"evaluate[base]"}


def test_another_prompt_formats_nothing_anew(settings: Settings) -> None:
    """Rows hold the ad and its skills; they are rendered when they are read."""
    after = plan_of(tiny_experiment(prompt={"template": "Ad: {text} Skills:"}), settings)
    assert changed(plan_of(tiny_experiment(), settings), after) == {
        "profile",
        "finetune",
        "evaluate[base]",
        "evaluate[lexicon]",
        "evaluate[adapter]",
        "register",
    }


def test_what_becomes_of_overlong_rows_makes_another_adapter(settings: Settings) -> None:
    after = plan_of(tiny_experiment(tokens={"overlong": "split"}), settings)
    assert {"profile", "finetune"} <= changed(plan_of(tiny_experiment(), settings), after)
    fixed = tiny_experiment(tokens={"max_length": 64})
    assert "tokens.max_length" not in plan_of(fixed, settings).step("finetune").config, "it comes from profile"


def test_a_seed_or_another_number_format_makes_another_adapter(settings: Settings) -> None:
    before = plan_of(tiny_experiment(), settings)
    assert "finetune" in changed(before, plan_of(tiny_experiment(resources={"device": "cuda"}), settings))
    rerun = plan_of(tiny_experiment(), settings, options=RunOptions(rerun=1))
    assert changed(before, rerun) == {"finetune", "evaluate[lexicon]", "evaluate[adapter]", "register"}


def test_a_smoke_test_shares_no_artifact_with_the_whole_run(settings: Settings) -> None:
    whole, smoke = (
        plan_of(tiny_experiment(), settings),
        plan_of(tiny_experiment(), settings, options=RunOptions(Limit(3))),
    )
    assert changed(whole, smoke) == {step.id for step in whole.steps}


def test_a_local_base_of_other_bytes_is_another_base(settings: Settings) -> None:
    base = settings.project / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    before = plan_of(tiny_experiment(), settings)
    (base / "config.json").write_text('{"a": 1}')
    assert changed(before, plan_of(tiny_experiment(), settings)) == {
        "profile",
        "finetune",
        "evaluate[base]",
        "evaluate[lexicon]",
        "evaluate[adapter]",
        "register",
    }


def test_a_missing_month_of_the_window_is_told(settings: Settings) -> None:
    (settings.project / "data" / "ads" / "2026-02.jsonl").unlink()
    plan = plan_of(tiny_experiment(), settings)
    assert plan.notes == ("the window 2026-01 to 2026-02 has no data for 2026-02",)


def test_a_window_longer_than_the_history(settings: Settings) -> None:
    data = {"source": "data/ads/{partition}.jsonl", "window": 6}
    sources = find_sources(tiny_experiment(data=data), None, settings, now=NOW)
    assert sources.notes == ("data.window is 6, data begins 2026-01: only 2 of 6",)
    assert sources.span == ("2026-01", "2026-03")
    (settings.project / "data" / "ads" / "2026-02.jsonl").unlink()
    assert find_sources(tiny_experiment(data=data), None, settings, now=NOW).notes == (
        "data.window is 6, data begins 2026-01: only 2 of 6",
        "the window 2025-09 to 2026-02 has no data for 2026-02",
    )


@pytest.mark.parametrize(
    ("partition", "text"),
    [
        (
            "2026-04",
            "partition 2026-04 is not over yet (UTC): its data may still grow. Take an earlier one, such as 2026-03.",
        ),
        ("2025-11", "no data for 2025-11 at data/ads/2025-11.jsonl (there is data for 2026-01 to 2026-03)."),
        (
            "2026-01",
            "no data to train on: data.window is 2, and none of the partitions 2025-11 to 2025-12 has data at "
            "data/ads/{partition}.jsonl. Take a later partition, or raise data.window.",
        ),
    ],
)
def test_a_partition_that_cannot_run_says_why(settings: Settings, partition: str, text: str) -> None:
    with pytest.raises(PlanError) as caught:
        find_sources(tiny_experiment(), partition, settings, now=NOW)
    assert str(caught.value) == text


def test_no_data_at_all(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "empty", (), base=False)
    with pytest.raises(
        PlanError, match=r"no data for any complete partition: data\.source `data/ads/\{partition\}\.jsonl`"
    ):
        find_sources(tiny_experiment(), None, settings, now=NOW)


def test_a_static_source_has_one_partition(settings: Settings) -> None:
    static = tiny_experiment(data={"source": "data/ads"})
    plan = plan_of(static, settings)
    assert [step.id for step in plan.steps][:3] == ["format[all]", "profile", "finetune"]
    with pytest.raises(PlanError, match="it is not dated"):
        find_sources(static, "2026-01", settings, now=NOW)


def test_a_score_needs_no_window(settings: Settings) -> None:
    sources = find_sources(tiny_experiment(), "2026-01", settings, trains=False, now=NOW)
    assert (sources.partition, sources.window, set(sources.files)) == ("2026-01", (), {"2026-01"})


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("train", "dev", "test"), []),
        (("ads",), []),
        (("train", "dev"), ["no file is named `test`: 10% of `train` is held out for it (data.split.test)"]),
        (
            ("train",),
            [
                "no file is named `validation`: 10% of `train` is held out for it (data.split.validation)",
                "no file is named `test`: 10% of `train` is held out for it (data.split.test)",
            ],
        ),
    ],
)
def test_a_side_that_no_file_is_is_told(tmp_path: Path, names: tuple[str, ...], told: list[str]) -> None:
    settings = make_project(tmp_path, base=False)
    for name in names:
        write_month(settings.project / "data" / "static" / f"{name}.jsonl", "2026-01")
    experiment = tiny_experiment(data={"source": "data/static"})
    assert list(find_sources(experiment, None, settings).notes) == told
