"""What a stranger finds of a run in W&B."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.promotion import run_gate
from skillsengine.pipeline.run import Run, open_run, run_stage
from skillsengine.pipeline.shown import headline, show_alias, show_report
from skillsengine.settings import Settings
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import STAGES
from skillsengine.storage.artifact import Manifest
from skillsengine.storage.catalog import VersionRow
from tests.pipeline.project import make_project, tiny_experiment
from tests.tracking.wandb_log import Told, told
from tests.tracking.wandb_server import wandb_server

SCORES: dict[str, Any] = {
    "adapter": {"f1": 0.5, "f1_low": 0.4, "f1_high": 0.6, "precision": 0.5, "recall": 0.5, "rows": 8},
    "lexicon": {"f1": 0.25},
}


@pytest.fixture(autouse=True)
def no_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield


def registered(settings: Settings, **tracking: str) -> tuple[Run, VersionRow]:
    """A run whose version stands in store and catalog although nothing was trained."""
    run = open_run(tiny_experiment(tracking=tracking), dag_id="tiny", run_id="r", settings=settings)
    with run.store.building("register", "a" * 64) as out:
        (out / "README.md").write_text("card")
        summary = {"model": "tiny", "number": 1, "version": "tiny@1"}
        run.store.publish(out, Manifest("register", 1, None, "a" * 64, {}, {}, summary))
    spec = resolved(run.experiment)
    made = {"experiment": "tiny", "partition": run.partition, "run_id": run.id, "spec": spec}
    run.catalog.allocate_version("tiny", run.plan.adapter.digest, **made)
    run.catalog.publish_version("tiny", 1, "a" * 64, "/nowhere", SCORES, {})
    run.catalog.set_verdict("tiny", 1, {"verdict": "promote", "reason": "surely better", "scores": {}})
    return run, run.catalog.resolve("tiny", "1")


def test_the_report_is_a_run_with_the_headline(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "project", base=False)
    run, version = registered(settings, mode="offline")
    show_report(version, run.experiment, settings, "r", "<!doctype html><p>all of it</p>")
    (folder,) = (settings.home / "wandb").glob("offline-run-*")
    found = told(folder)
    assert [found.run[key] for key in ("job_type", "run_group")] == ["report", "tiny/r"]
    assert found.run["tags"] == ["tiny", "2026-03"]
    assert found.artifacts() == {("used", "model", "tiny")}
    assert "report.path" in found.history[0]
    assert headline(version).items() <= found.summary.items()
    assert headline(version) == {
        "version": "tiny@1",
        "partition": "2026-03",
        "f1": 0.5,
        "f1_low": 0.4,
        "f1_high": 0.6,
        "precision": 0.5,
        "recall": 0.5,
        "lexicon_f1": 0.25,
        "verdict": "promote",
        "reason": "surely better",
    }


@pytest.mark.nightly
def test_a_champion_that_moves_does_so_in_the_registry_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_project(tmp_path / "project", base=False)
    _, version = registered(settings)
    show_alias(version, "champion", settings, "r", "surely better")
    assert not (settings.home / "wandb").exists(), "a registry cannot be told offline"
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    with wandb_server() as received:
        monkeypatch.setenv("WANDB_BASE_URL", received.url)
        show_alias(version, "champion", settings, "r", "surely better")
    assert received.linked == [("wandb-registry-model", "tiny", ("1", "champion"))]
    ((run, told_of),) = received.runs.items()
    assert (told_of["jobType"], told_of["groupName"]) == ("promote", "tiny/r")
    assert received.used == [(run, "tiny")]


@pytest.mark.nightly
def test_a_whole_run(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "project")
    run = open_run(tiny_experiment(tracking={"mode": "offline"}), dag_id="tiny", run_id="r", settings=settings)
    for stage in STAGES:
        run_stage(run, stage)
    run_gate(run)
    runs: dict[str, Told] = {}
    for folder in (settings.home / "wandb").glob("offline-run-*"):
        found = told(folder)
        runs[found.run["display_name"]] = found
    assert {found.run["run_group"] for found in runs.values()} == {"tiny/r"}
    assert all(set(found.run["tags"]) == {"tiny", "2026-03"} for found in runs.values())
    assert {(name, found.run["job_type"]) for name, found in runs.items()} == {
        ("format[2026-01]", "format"),
        ("format[2026-02]", "format"),
        ("format[2026-03]", "format"),
        ("profile", "profile"),
        ("finetune", "finetune"),
        ("evaluate[adapter]", "evaluate"),
        ("evaluate[base]", "evaluate"),
        ("evaluate[lexicon]", "evaluate"),
        ("register", "register"),
        ("gate", "gate"),
    }
    spec = run.experiment.model_dump(mode="json")
    assert all(spec.items() <= found.config.items() for found in runs.values()), "the config is the spec"
    january, february = ("used", "data", "tiny-data-2026-01"), ("used", "data", "tiny-data-2026-02")
    lengths, adapter = ("used", "lengths", "tiny-lengths"), ("used", "adapter", "tiny-adapter")
    march = ("used", "data", "tiny-data-2026-03")
    assert runs["format[2026-03]"].artifacts() == {("made", "data", "tiny-data-2026-03")}
    assert runs["finetune"].artifacts() == {january, february, lengths, ("made", "adapter", "tiny-adapter")}
    own = ("made", "evaluation", "tiny-evaluation-adapter-2026-03")
    assert runs["evaluate[adapter]"].artifacts() == {march, adapter, lengths, own}
    assert ("made", "model", "tiny") in runs["register"].artifacts()
    for name in ("evaluate[adapter]", "evaluate[base]", "evaluate[lexicon]"):
        shown = {key: value for row in runs[name].history for key, value in row.items()}
        assert (shown["predictions.nrows"], shown["predictions.ncols"]) == (8, 8)
        assert {"f1", "f1_low", "f1_high", "parse_rate"} <= runs[name].summary.keys()
    shown = {key: value for row in runs["profile"].history for key, value in row.items()}
    assert {"lengths.path", "token_lengths.nrows"} <= shown.keys() and "max_length" in runs["profile"].summary
    logged = [row for row in runs["finetune"].history if "train/loss" in row]
    assert [row["_step"] for row in logged] == [1, 2, 3, 4]
    # The bytes of what one run read and another made are the same version in W&B.
    digests = {(each["name"], each["digest"]) for found in runs.values() for each in (*found.made, *found.used)}
    names = [name for name, _ in digests if not name.startswith("run-")]
    assert len(names) == len(set(names))
