"""What the catalog says of all experiments at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from skillsengine.storage.catalog import Catalog
from skillsengine.storage.overviews import Busy, Scored
from tests.storage.support import Clock, pin


def test_the_newest_retrain_run_of_each_experiment(catalog: Catalog) -> None:
    for experiment, name, kind in (("a", "r1", "retrain"), ("b", "r1", "retrain"), ("a", "r2", "retrain")):
        pin(catalog, f"{experiment}-{name}", experiment=experiment, kind=kind)
    pin(catalog, "a-e", experiment="a", kind="evaluations")
    found = catalog.last_runs()
    assert {name: run.run_id for name, run in found.items()} == {"a": "a-r2", "b": "b-r1"}


def register(catalog: Catalog, model: str, experiment: str, digest: str, metrics: dict[str, Any]) -> None:
    row = catalog.allocate_version(model, digest, experiment=experiment, partition="2026-06", run_id=None, spec={})
    catalog.publish_version(model, row.number, digest, "/v", metrics, {})


def test_champions_and_versions_with_the_f1_that_they_were_registered_with(catalog: Catalog) -> None:
    register(catalog, "shared", "a", "1", {"adapter": {"f1": 0.5, "f1_low": 0.25, "f1_high": 0.75}})
    register(catalog, "shared", "b", "2", {"adapter": {"parse_rate": 1.0}})
    catalog.allocate_version("shared", "3", experiment="a", partition=None, run_id=None, spec={})
    catalog.set_alias("shared", "champion", 1, "better")
    first = Scored("shared", 1, "a", "2026-06", 0.5, 0.25, 0.75)
    assert catalog.champions() == {"shared": first} and first.name == "shared@1"
    assert catalog.scored_versions(["a", "b", "c"]) == {
        "a": [first],
        "b": [Scored("shared", 2, "b", "2026-06", None, None, None)],
    }, "one that is pending is none yet"
    assert catalog.models_of() == {"a": "shared", "b": "shared"}


def test_where_adapters_were_scored_by_the_newest_cell(catalog: Catalog) -> None:
    def cell(experiment: str, partition: str, labelled: int | None, artifact: str, marked: str | None = None) -> None:
        catalog.put_cell(
            subject="a",
            kind="adapter",
            experiment=experiment,
            partition=partition,
            data_digest="d",
            artifact_digest=artifact,
            stage_version=4,
            metrics={} if labelled is None else {"labelled_rows": labelled},
            adapter_digest="a",
            marked=marked,
        )

    cell("e", "2026-02", 3, "1")
    cell("e", "2026-01", 5, "2")
    cell("e", "2026-02", 0, "3")
    cell("e", "2026-03", None, "4", marked="trained on")
    cell("other", "2026-09", 9, "5")
    assert catalog.scored_on("e") == {"a": {"2026-01": 5, "2026-02": 0}}
    assert list(catalog.scored_on("e")["a"]) == ["2026-01", "2026-02"]
    assert catalog.scored_on("nothing") == {}


def test_time_is_summed_of_what_was_done_since(catalog: Catalog, clock: Clock) -> None:
    spec = {"resources": {"device": "cuda", "gpus": 2}}
    for name, kept in (("old", spec), ("new", spec), ("cpu", {"resources": {"device": "cpu"}})):
        run = pin(catalog, name, experiment="cpu" if name == "cpu" else "a", spec=kept)
        for step, key, state in (
            ("format[1]", "1", "done"),
            ("profile", None, "cached"),
            ("finetune", None, "failed"),
            ("evaluate[adapter]", "adapter", "done"),
            ("evaluate[lexicon]", "lexicon", "done"),
        ):
            catalog.start_step(run.id, step, step.partition("[")[0], key, step)
            catalog.finish_step(run.id, step, state, 10.0, {})
        catalog.start_step(run.id, "register", "register", None, "r")
        if name == "old":
            clock.forward(timedelta(days=31).total_seconds())
    since = clock.time - timedelta(days=30)
    assert catalog.busy_since(since) == {"a": Busy(40.0, 30.0), "cpu": Busy(40.0, 0.0)}


def test_steps_of_several_runs(catalog: Catalog) -> None:
    first, second = pin(catalog, "r1"), pin(catalog, "r2")
    for step in ("format[1]", "profile"):
        catalog.start_step(first.id, step, step.partition("[")[0], None, step)
    found = catalog.steps_of_runs([first.id, second.id])
    assert {run: [step.step_id for step in steps] for run, steps in found.items()} == {
        first.id: ["format[1]", "profile"],
        second.id: [],
    }
