"""A sweep of 2 x 2 through the real Airflow: mapped tasks, one of which diverges, the choice, and the version of the best."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from skillsengine.pipeline.divergence import keep
from skillsengine.pipeline.plan import find_sources, make_plan
from skillsengine.spec.load import load_spec
from skillsengine.stages.contract import Diverged
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store
from tests.e2e.conftest import Platform

SWEEP = """
sweep:
  lora.r: [2, 4]
  train.learning_rate: [0.01, 0.001]
"""
LABELS = [f"r={r}, learning_rate={rate}" for r in (2, 4) for rate in ("0.01", "0.001")]


@pytest.mark.nightly
def test_a_sweep_trains_each_trial_in_a_task_of_its_own_and_registers_the_best(platform: Platform) -> None:
    platform.add("sweeps", SWEEP)
    started = time.monotonic()
    run_id = platform.client.trigger("sweeps")
    run = platform.finish("sweeps", run_id)
    first = time.monotonic() - started
    tasks = platform.client.task_instances("sweeps", run_id)
    trials = {task["map_index"]: task for task in tasks if task["task_id"] == "finetune"}
    assert [trials[index]["rendered_map_index"] for index in range(4)] == LABELS
    assert {task["state"] for task in tasks} == {"success"}, run["note"]
    spans = sorted((task["start_date"], task["end_date"]) for task in trials.values())
    assert all(ended <= began for (_, ended), (began, _) in pairwise(spans)), "one GPU, one at a time"

    catalog, store = Catalog.open(platform.settings.catalog_url), Store(platform.settings.store_root)
    version = catalog.resolve("sweeps", "latest")
    selected = store.get("select", version.adapter_digest)
    assert selected is not None
    scores = {trial["trial"]: trial["score"] for trial in selected.json("selection.json")["trials"]}
    best = min(scores, key=lambda trial: scores[trial])
    assert list(scores) == [f"finetune[{label}]" for label in LABELS]
    assert f"best of 4 trials: {best[len('finetune[') : -1]}" in run["note"]
    assert f"r={version.spec['lora']['r']}, learning_rate={version.spec['train']['learning_rate']}" in best

    started = time.monotonic()
    again = platform.client.trigger("sweeps")
    assert platform.finish("sweeps", again)["note"] == "unchanged since sweeps@1"
    print(f"\na sweep of 2 x 2: {first:.1f} s, all cached: {time.monotonic() - started:.1f} s, {scores}")

    # A trial that is known to diverge is skipped, and the best of the others goes on.
    other, lost = f"{SWEEP}  train.seed: [7]\n", f"{LABELS[0]}, seed=7"
    experiment, settings = load_spec(platform.write("loses", other)).experiment, platform.settings
    plan = make_plan(experiment, find_sources(experiment, None, settings), settings)
    keep(plan.step(f"finetune[{lost}]"), Diverged("the training loss is nan at step 2 of 3."), store)
    platform.add("loses", other)
    run_id = platform.client.trigger("loses")
    run = platform.finish("loses", run_id)
    tasks = platform.client.task_instances("loses", run_id)
    states = {task["rendered_map_index"]: task["state"] for task in tasks if task["task_id"] == "finetune"}
    assert run["state"] == "success", run["note"]
    assert states == {lost: "skipped"} | {f"{label}, seed=7": "success" for label in LABELS[1:]}
    assert "(1 diverged)" in run["note"] and lost not in run["note"]
