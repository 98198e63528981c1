"""The gate on hand-written cells: who surely beats whom, on the ads both were scored on."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.gate import judge
from skillsengine.pipeline.plan import PlanError, Step
from skillsengine.pipeline.run import Run, open_run, run_promote
from skillsengine.spec.schema import Gate
from skillsengine.storage.artifact import Manifest
from skillsengine.storage.catalog import CatalogError
from tests.pipeline.project import make_project, tiny_experiment

GOLD = ["a", "b"]


def cell(
    run: Run,
    step: Step,
    predicted: dict[str, list[str]],
    gold: list[str] | None = GOLD,
    summary: dict[str, Any] | None = None,
) -> None:
    """Publish a cell whose rows are `id -> predicted`, all with the gold a, b."""
    with run.store.building("evaluate", step.digest) as out:
        rows = [
            {"id": name, "key": name, "gold": gold, "predicted": skills, "raw": "", "parsed": True}
            for name, skills in predicted.items()
        ]
        (out / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        manifest = Manifest("evaluate", 1, step.key, step.digest, step.config, step.inputs, summary or {})
        run.store.publish(out, manifest)


def register(run: Run) -> int:
    """A ready version of the run's adapter."""
    step = run.plan.step("finetune")
    row = run.catalog.allocate_version(
        "tiny",
        step.digest,
        experiment="tiny",
        partition=run.partition,
        run_id=run.id,
        spec=run.experiment.model_dump(mode="json"),
    )
    run.catalog.publish_version("tiny", row.number, f"r{row.number}", "/nowhere", {}, {})
    return row.number


@pytest.fixture
def run(tmp_path: Path) -> Run:
    settings = make_project(tmp_path / "project", base=False)
    return open_run(tiny_experiment(), dag_id="tiny", run_id="r", settings=settings)


def verdict(run: Run, champion: list[Step] | None = None) -> dict[str, Any]:
    return judge(run.experiment, run.plan, run.store, run.catalog, champion or [])


def said(right: int, wrong: int = 0, ads: int = 40) -> dict[str, list[str]]:
    """Predictions for ads with the gold a, b: both right in the first `right`, one invented in the last `wrong`."""
    return {f"{n}": (["a", "b"] if n < right else []) + (["c"] if n >= ads - wrong else []) for n in range(ads)}


def with_champion(run: Run, predicted: dict[str, list[str]]) -> list[Step]:
    """A champion that answered so on the run's partition."""
    old = run.catalog.allocate_version("tiny", "0ld", experiment="tiny", partition="2026-02", run_id=run.id, spec={})
    run.catalog.publish_version("tiny", old.number, "r", "/nowhere", {}, {})
    run.catalog.set_alias("tiny", "champion", old.number, reason="first")
    step = replace(run.plan.step("evaluate[adapter]"), digest="c" * 64)
    cell(run, step, predicted)
    return [step]


def gated(run: Run, **gate: Any) -> Run:
    return replace(run, experiment=run.experiment.model_copy(update={"gate": Gate(min_gold_skills=1, **gate)}))


def test_the_first_version_must_surely_beat_the_untuned_base(run: Run) -> None:
    register(run)
    cell(run, run.plan.step("evaluate[base]"), said(20))
    cell(run, run.plan.step("evaluate[adapter]"), said(21))
    result = verdict(run)
    assert result["verdict"] == "keep"
    assert re.fullmatch(
        r"tiny@1 has f1 0\.689 against 0\.667 of the untuned base, on 40 ads with 80 gold skills \(difference \+0\.022, "
        r"[+-]0\.\d{3} to \+0\.\d{3}\): no difference that chance could not make",
        result["reason"],
    )
    assert {"challenger", "opponent", "rows", "gold_skills", "difference", "low", "high", "p_value"} == set(
        result["scores"]
    )


def test_a_better_first_version_becomes_champion(run: Run) -> None:
    register(run)
    cell(run, run.plan.step("evaluate[base]"), said(5, wrong=10))
    cell(run, run.plan.step("evaluate[adapter]"), said(25))
    result = verdict(run)
    assert result["verdict"] == "promote"
    assert result["reason"].endswith(": better, and there is no champion yet")
    run.catalog.set_run_data(run.id, gate=result)
    assert run_promote(run)["moved"] is True
    assert run.catalog.alias("tiny", "champion") == 1
    assert run_promote(run) == {"moved": False, "reason": "tiny@1 is the champion already"}


def test_without_labels_nothing_is_decided(run: Run) -> None:
    register(run)
    for subject in ("base", "adapter"):
        cell(run, run.plan.step(f"evaluate[{subject}]"), {"1": ["a"], "2": []}, gold=None)
    result = verdict(run)
    assert (result["verdict"], result["reason"]) == ("undecided", f"partition {run.partition} has no labels")
    assert result["scores"] == {"rows": 0}
    run.catalog.set_run_data(run.id, gate=result)
    assert run_promote(run) == {"moved": False, "reason": f"partition {run.partition} has no labels"}


def test_only_ads_that_both_were_scored_on_count(run: Run) -> None:
    register(run)
    # The base fails on an ad that the challenger was not scored on: it must not help the challenger.
    cell(run, run.plan.step("evaluate[base]"), {"1": ["a", "b"], "2": []})
    cell(run, run.plan.step("evaluate[adapter]"), {"1": ["a", "b"]})
    result = verdict(run)
    assert result["scores"]["rows"] == 1
    assert result["verdict"] == "keep"


@pytest.mark.parametrize(
    ("challenger", "champion", "verdict_", "why"),
    [
        (said(10), said(30), "keep", ": worse"),
        (said(31), said(30), "keep", ": no difference that chance could not make"),
        (said(36), said(20, wrong=10), "promote", ": better"),
    ],
)
def test_a_challenger_must_surely_beat_the_champion(
    run: Run, challenger: dict[str, list[str]], champion: dict[str, list[str]], verdict_: str, why: str
) -> None:
    steps = with_champion(run, champion)
    register(run)
    cell(run, run.plan.step("evaluate[base]"), said(0))
    cell(run, run.plan.step("evaluate[adapter]"), challenger)
    result = verdict(run, steps)
    assert result["verdict"] == verdict_ and result["reason"].endswith(why)
    assert "of the champion tiny@1" in result["reason"]


def test_a_margin_is_to_be_surely_passed(run: Run) -> None:
    steps = with_champion(run, said(20))
    register(run)
    cell(run, run.plan.step("evaluate[adapter]"), said(32))
    assert verdict(gated(run, margin=0.01), steps)["verdict"] == "promote"
    result = verdict(gated(run, margin=0.15), steps)
    assert result["verdict"] == "keep" and result["reason"].endswith("not surely by more than gate.margin, 0.15")


def test_few_gold_skills_decide_nothing(run: Run) -> None:
    register(run)
    cell(run, run.plan.step("evaluate[base]"), said(0))
    cell(run, run.plan.step("evaluate[adapter]"), said(40))
    few = replace(run, experiment=run.experiment.model_copy(update={"gate": Gate()}))
    result = verdict(few)
    assert result["verdict"] == "undecided"
    assert result["reason"].endswith("with 80 gold skills: too few to decide: gate.min_gold_skills is 300")
    run.catalog.set_run_data(run.id, gate=result)
    assert run_promote(run)["moved"] is False


@pytest.mark.parametrize("name", ["parse_rate", "verbatim_rate"])
def test_floors(run: Run, name: str) -> None:
    register(run)
    cell(run, run.plan.step("evaluate[base]"), said(0))
    cell(run, run.plan.step("evaluate[adapter]"), said(40), summary={name: 0.9})
    assert verdict(gated(run, **{f"min_{name}": 0.9}))["verdict"] == "promote"
    result = verdict(gated(run, **{f"min_{name}": 0.95}))
    said_ = f"but its {name.replace('_', ' ')} of 0.900 is below gate.min_{name}, 0.95"
    assert result["verdict"] == "keep" and result["reason"].endswith(said_)


def test_of_two_gates_at_once_one_wins_and_the_other_is_told_to_compare_again(run: Run) -> None:
    """Both saw the same champion; the first that moves it wins."""
    steps = with_champion(run, said(5))
    register(run)
    cell(run, run.plan.step("evaluate[adapter]"), said(35))
    result = verdict(run, steps)
    run.catalog.set_run_data(run.id, gate=result)
    other = run.catalog.allocate_version("tiny", "other", experiment="other", partition=None, run_id=None, spec={})
    run.catalog.publish_version("tiny", other.number, "o", "/nowhere", {}, {})
    run.catalog.set_alias("tiny", "champion", other.number, reason="the other gate", expect=1)
    with pytest.raises(CatalogError, match="somebody moved it since. Compare the versions again"):
        run_promote(run)
    assert run.catalog.alias("tiny", "champion") == other.number


def test_a_backfilled_run_never_promotes(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "project", base=False)
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="r", settings=settings, trigger="backfill")
    register(run)
    run.catalog.set_run_data(run.id, gate={"verdict": "promote", "reason": "better", "number": 1, "champion": None})
    assert run_promote(run) == {"moved": False, "reason": "a backfilled retrain registers but never promotes"}
    assert run.catalog.alias("tiny", "champion") is None


def test_a_missing_cell_is_told(run: Run) -> None:
    register(run)
    with pytest.raises(
        PlanError, match=r"evaluate\[adapter\] is not in the store .*: run stage `evaluate` of this run first"
    ):
        verdict(run)
