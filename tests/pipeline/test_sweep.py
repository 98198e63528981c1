"""A sweep from its plan to the version of its best trial, on a real (tiny) base."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from skillsengine.pipeline.explain import explain
from skillsengine.pipeline.lineage import trace
from skillsengine.pipeline.outlook import look_ahead
from skillsengine.pipeline.plan import Plan, PlanError, find_sources, make_plan
from skillsengine.pipeline.promotion import run_gate
from skillsengine.pipeline.run import Run, finish_run, open_run, run_stage
from skillsengine.settings import Settings
from skillsengine.spec.errors import SpecError
from skillsengine.spec.schema import Experiment
from tests.pipeline.project import make_project, tiny_experiment

SWEEP = {"lora.r": [2, 4], "train.learning_rate": [0.01, 0.001]}
SMALL = {"lora.r": [2, 4]}
DATA = {"source": "data/ads/{partition}.jsonl", "window": 2, "split": {"validation": 0.3}}


def swept(sweep: dict[str, Any] | None = None, **sections: Any) -> Experiment:
    return tiny_experiment(data=DATA, sweep=sweep or SWEEP, **sections)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_project(tmp_path_factory.mktemp("sweep") / "project")


def planned(experiment: Experiment, settings: Settings) -> Plan:
    return make_plan(experiment, find_sources(experiment, None, settings), settings)


def whole(run: Run) -> dict[str, Any]:
    """Run every stage; step id -> its result."""
    return {step["id"]: step for stage in run.plan.stages for step in run_stage(run, stage)["steps"]}


@pytest.fixture(scope="module")
def first(settings: Settings) -> Run:
    run = open_run(swept(SMALL), dag_id="tiny", run_id="first", settings=settings)
    whole(run)
    run_gate(run)
    finish_run(run, "success")
    return run


def test_every_digest_is_that_of_the_plain_spec_with_the_trials_values(settings: Settings) -> None:
    plan = planned(swept(), settings)
    assert plan.stages == ("format", "profile", "finetune", "select", "evaluate", "register")
    for step in plan.of("finetune"):
        assert step.trial is not None
        plain = planned(step.trial.spec, settings)
        assert step.digest == plain.step("finetune").digest, "a trial and a plain run share their artifact"
        assert step.inputs == plain.step("finetune").inputs
    (select,) = plan.of("select")
    assert plan.adapter is select
    assert {step.inputs.get("finetune") for step in plan.of("evaluate")} == {select.digest, None}
    assert plan.step("register").inputs == {"finetune": select.digest}


def test_without_a_sweep_nothing_of_a_plan_knows_of_it(settings: Settings) -> None:
    plan = planned(tiny_experiment(data=DATA), settings)
    assert plan.adapter.id == "finetune"
    assert plan.stages == ("format", "profile", "finetune", "evaluate", "register")
    assert "sweep" not in json.dumps([[dict(step.config), dict(step.inputs)] for step in plan.steps])
    assert all(step.trial is None for step in plan.steps)


def test_what_select_is_determined_by(settings: Settings) -> None:
    digest = planned(swept(), settings).adapter.digest
    assert planned(swept(lora={"r": 64, "alpha": 8}), settings).adapter.digest == digest, "every trial says its own r"
    assert planned(swept(SWEEP | {"samples": 9, "parallel": 4}), settings).adapter.digest == digest
    assert planned(swept(SWEEP | {"lora.r": [4, 2]}), settings).adapter.digest != digest, (
        "of equal ones the earlier wins"
    )
    assert planned(swept(SWEEP | {"samples": 3}), settings).adapter.digest != digest
    assert planned(swept(lora={"r": 2, "alpha": 16}), settings).adapter.digest != digest


def test_a_sweep_needs_validation_rows(settings: Settings) -> None:
    experiment = tiny_experiment(data=DATA | {"split": {"validation": 0}}, sweep=SWEEP)
    with pytest.raises(PlanError) as caught:
        find_sources(experiment, None, settings)
    assert str(caught.value) == (
        "sweep: there are no validation rows to compare the trials on: data.split.validation is 0, and no file of the source "
        "is named `validation`. Hold a share of the training rows out, such as data.split.validation: 0.1."
    )
    find_sources(experiment, None, settings, trains=False)
    one_file = tiny_experiment(data={"source": "data/ads/2026-01.jsonl", "split": {"validation": 0}}, sweep=SWEEP)
    with pytest.raises(PlanError, match=r"sweep: there are no validation rows"):
        find_sources(one_file, None, settings)
    folder = settings.project / "data" / "sides"
    folder.mkdir()
    for side in ("train", "validation", "test"):
        (folder / f"{side}.jsonl").write_bytes((settings.project / "data" / "ads" / "2026-01.jsonl").read_bytes())
    static = tiny_experiment(data={"source": "data/sides", "split": {"validation": 0}}, sweep=SWEEP)
    assert planned(static, settings).of("select")


def test_the_best_trial_is_the_version(first: Run) -> None:
    scores = {
        step.trial.label: first.store.get("finetune", step.digest).summary["validation_loss"]  # type: ignore[union-attr]
        for step in first.plan.of("finetune")
        if step.trial
    }
    best = min(scores, key=lambda label: scores[label])
    trial = next(step.trial for step in first.plan.of("finetune") if step.trial and step.trial.label == best)
    version = first.catalog.resolve("tiny", "latest")
    assert version.adapter_digest == first.plan.adapter.digest
    assert version.spec["lora"]["r"] == trial.values["lora.r"]
    assert version.spec["sweep"]["lora.r"] == [2, 4], "and that it was one of a sweep"
    folder = Path(str(version.path))
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == trial.values["lora.r"]
    card = (folder / "README.md").read_text()
    assert f"| chosen by a sweep | {best}: the best validation_loss of 2 trials |" in card
    assert f"| LoRA | r {trial.values['lora.r']}, alpha 8" in card
    chosen = first.plan.step(f"finetune[{best}]")
    assert version.lineage["finetune"] == chosen.digest and version.lineage["select"] == first.plan.adapter.digest
    assert version.lineage["profile"] == chosen.inputs["profile"]
    run = first.catalog.run_by_id(first.id)
    assert run.note.startswith("tiny@1 · 2026-03 · F1: ") and f" · best of 2 trials: {best}" in run.note
    [cell] = first.catalog.cells("tiny", version.adapter_digest, "2026-03")
    assert cell.metrics["drift"]["reference_ads"] > 1, "its training data is found behind the choice"
    (select,) = trace(version, first.store, first.catalog).root.inputs
    assert [(node.stage, node.key, node.digest) for node in select.inputs] == [("finetune", best, chosen.digest)]


def test_a_second_run_finds_all_done_and_a_wider_sweep_trains_what_is_new(first: Run, settings: Settings) -> None:
    again = open_run(swept(SMALL), dag_id="tiny", run_id="second", settings=settings)
    assert all(step["cached"] for step in whole(again).values())
    assert finish_run(again, "success") == "unchanged since tiny@1"
    plan = planned(swept({"lora.r": [2, 4, 8]}), settings)
    told = {step.id: str(why) for step, why in explain(plan, first.store, first.catalog) if why}
    assert [step for step in told if step.startswith("finetune")] == ["finetune[r=8]"]
    assert told["finetune[r=8]"] == "never run"
    forced = open_run(swept(SMALL), dag_id="tiny", run_id="forced", settings=settings, force=True)
    assert not {step.digest for step in forced.plan.of("finetune")} & {
        step.digest for step in first.plan.of("finetune")
    }


def test_what_a_sweep_takes_is_the_sum_of_its_trials(first: Run, settings: Settings) -> None:
    experiment = swept({"lora.r": [2, 4, 8], "train.epochs": [1, 2]})
    sources = find_sources(experiment, None, settings)
    plan = make_plan(experiment, sources, settings)
    now = first.catalog.run_by_id(first.id).started
    known = look_ahead(plan, sources, settings, first.store, first.catalog, now).forecast
    a_trial = first.store.get("finetune", first.plan.of("finetune")[0].digest)
    assert a_trial is not None and known.tokens is not None and known.steps is not None
    assert known.tokens.value == pytest.approx(9 * a_trial.summary["tokens"], rel=0.2)
    assert known.steps.value == 9 * a_trial.summary["steps"]
    new = {step.id for step in plan.of("finetune") if first.store.get("finetune", step.digest) is None}
    assert len(new) == 4 and {name for name in known.seconds if name.startswith("finetune")} == new


def change_base(settings: Settings) -> Callable[[], None]:
    """Make every loss of the base no number; what comes back undoes it."""
    file = settings.project / "base" / "model.safetensors"
    before = file.read_bytes()
    weights = load_file(file)
    name = "model.norm.weight"
    save_file(weights | {name: torch.full_like(weights[name], float("nan"))}, file, metadata={"format": "pt"})
    return lambda: (file.write_bytes(before), None)[1]


def test_a_trial_that_diverges_is_lost_for_good_and_the_best_of_the_others_goes_on(settings: Settings) -> None:
    experiment = swept({"lora.r": [2, 3]}, register={"model": "lost"}, train={"epochs": 1, "learning_rate": 0.02})
    run = open_run(experiment, dag_id="lost", run_id="1", settings=settings)
    for stage in ("format", "profile"):
        run_stage(run, stage)
    mend = change_base(settings)
    try:
        told = run_stage(run, "finetune", only="finetune[r=2]")
    finally:
        mend()
    assert told["steps"] == []
    assert [(lost["id"], lost["reason"][:29]) for lost in told["diverged"]] == [
        ("finetune[r=2]", "the training loss is nan at s")
    ]
    with pytest.raises(
        PlanError, match=r"the finetune artifact .* is not in the store .*: run stage `finetune` of this run"
    ):
        run_stage(run, "select")  # of the other trial nothing is known yet
    told = run_stage(run, "finetune")
    assert [step["id"] for step in told["steps"]] == ["finetune[r=3]"]
    assert told["diverged"][0]["id"] == "finetune[r=2]", "an outcome like any other: it is not trained again"
    (selected,) = run_stage(run, "select")["steps"]
    assert (selected["summary"]["trial"], selected["summary"]["diverged"]) == ("r=3", 1)
    states = {step.step_id: step.state for step in run.catalog.steps_of(run.id)}
    assert (states["finetune[r=2]"], states["finetune[r=3]"]) == ("failed", "done")
    plain = experiment.model_copy(update={"sweep": None, "lora": experiment.lora.model_copy(update={"r": 2})})
    alone = open_run(plain, dag_id="lost", run_id="2", settings=settings)
    assert alone.plan.adapter.digest == run.plan.step("finetune[r=2]").digest
    assert not run_stage(alone, "finetune")["steps"][0]["cached"], "who asks for this training alone gets it tried"


def test_an_override_reaches_every_trial_and_is_checked_with_each(settings: Settings) -> None:
    experiment = swept({"train.lr_scheduler": ["linear", "constant"]})
    run = open_run(experiment, dag_id="over", run_id="1", settings=settings, overrides={"train.epochs": 2.0})
    assert {step.spec.train.epochs for step in run.plan.of("finetune")} == {2.0}
    with pytest.raises(
        SpecError, match=r"sweep\.train\.lr_scheduler\[1\]: the trial lr_scheduler=constant: train\.warmup_steps: "
    ):
        open_run(experiment, dag_id="over", run_id="2", settings=settings, overrides={"train.warmup_steps": 3})
