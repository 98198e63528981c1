"""What a real installation needs stays, what it does not goes, and a stage that finds an artifact at that moment keeps it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from skillsengine.pipeline.garbage import Busy, alone, look
from skillsengine.pipeline.plan import RunOptions
from skillsengine.pipeline.run import Run, finish_run, open_run, run_stage
from skillsengine.settings import Settings
from skillsengine.spec.schema import STAGES
from skillsengine.stages.contract import Limit
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.listing import Listed, listing
from skillsengine.storage.store import Store
from tests.pipeline.project import make_project, tiny_experiment
from tests.pipeline.whole import run_whole

LATER = timedelta(days=60)
SPEC = """name: tiny
schedule: none
data: {source: "data/ads/{partition}.jsonl", window: 2}
base: {model: base}
lora: {r: 4, alpha: 8}
train: {epochs: 1, per_device_batch_size: 4, learning_rate: 0.01, logging_steps: 1, checkpoint_steps: 2}
evaluate: {max_new_tokens: 8}
gate: {min_gold_skills: 1}
tracking: {mode: disabled}
resources: {device: cpu}
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_project(tmp_path_factory.mktemp("garbage") / "project")


@pytest.fixture(scope="module")
def smoke(settings: Settings) -> Run:
    """A smoke test of long ago: nobody needs what it made."""
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="s", settings=settings, options=RunOptions(Limit(3)))
    for stage in ("format", "profile"):
        run_stage(run, stage)
    finish_run(run, "success")
    return run


@pytest.fixture(scope="module")
def first(settings: Settings, smoke: Run) -> Run:
    return run_whole(tiny_experiment(), settings, "first")


def digests(run: Run) -> set[str]:
    return {step.digest for step in run.plan.steps}


def seen(settings: Settings, later: timedelta = LATER) -> dict[str, str]:
    """Digest -> why it stays, or `goes`."""
    store, catalog = Store(settings.store_root), Catalog.open(settings.catalog_url)
    garbage = look(settings, store, catalog, datetime.now(UTC) + later)
    return {fate.artifact.digest: "goes" if fate.goes else fate.why for fate in garbage.fates}


def test_young_artifacts_stay_and_old_ones_that_nobody_needs_go(first: Run, smoke: Run, settings: Settings) -> None:
    assert "goes" not in seen(settings, timedelta(0)).values()
    fates = seen(settings)
    assert {digest for digest, why in fates.items() if why == "goes"} == digests(smoke) & set(fates)
    version = first.catalog.resolve("tiny", "latest")
    lineage = {version.adapter_digest, version.artifact_digest, version.lineage["profile"]}
    lineage |= {*version.lineage["format"].values(), *version.lineage["evaluate"].values()}
    assert {fates[digest].partition(" ")[0] for digest in lineage if digest} == {"tiny@1"}, "a version and its lineage"


def test_the_tested_partition_stays_for_those_who_look_into_errors(first: Run, settings: Settings) -> None:
    cell = first.catalog.cells(experiment="tiny")[-1]
    assert cell.data_digest == first.plan.step("format[2026-03]").digest
    fates = seen(settings)
    assert fates[cell.data_digest].startswith("cell of ") and fates[cell.data_digest].endswith(" on 2026-03")


def test_a_run_that_is_going_on_holds_what_it_found_and_what_it_will_find(settings: Settings, smoke: Run) -> None:
    again = open_run(tiny_experiment(), dag_id="tiny", run_id="open", settings=settings, options=RunOptions(Limit(3)))
    try:
        fates = seen(settings, timedelta(days=20))
        store, catalog = Store(settings.store_root), Catalog.open(settings.catalog_url)
        now = datetime.now(UTC) + timedelta(days=20)
        eager = look(settings, store, catalog, now, timedelta(days=1))
        why = {fate.artifact.digest: fate.why for fate in eager.fates}
        assert {why[digest] for digest in digests(again) & set(why)} == {"run open of tiny is going on"}
        assert set(fates) == set(why)
    finally:
        finish_run(again, "failed", "given up")


def test_what_a_spec_needs_now_stays(first: Run, smoke: Run, settings: Settings) -> None:
    spec = settings.experiments / "tiny.yaml"
    try:
        spec.write_text(SPEC)
        assert digests(smoke) & {digest for digest, why in seen(settings).items() if why == "goes"}
        spec.write_text(SPEC.replace("window: 2", "windw: 2"))
        store, catalog = Store(settings.store_root), Catalog.open(settings.catalog_url)
        broken = look(settings, store, catalog, datetime.now(UTC) + LATER)
        assert not broken.going, "what a spec that does not compile needs cannot be known"
        assert broken.notes == (
            "tiny: the spec does not compile, so all that its runs used stays (`skillsengine validate`)",
        )
        spec.write_text(SPEC.replace("data/ads", "data/nowhere"))
        away = look(settings, store, catalog, datetime.now(UTC) + LATER)
        assert not away.going and away.notes[0].startswith(
            "tiny: what it needs now cannot be known, so all that its runs"
        )
    finally:
        spec.unlink()


def test_one_at_a_time(settings: Settings) -> None:
    catalog = Catalog.open(settings.catalog_url)
    told = "another `skillsengine gc` or `backup`, or the housekeeping DAG, is at work"
    with alone(catalog), pytest.raises(Busy, match=told), alone(Catalog.open(settings.catalog_url)):
        pass
    with alone(catalog):
        pass


def _remove(url: str, root: Path, artifact: Listed, line: Connection) -> None:
    """A removal that is slow between its look at the catalog and the deed."""
    catalog = Catalog.open(url)
    lease = catalog.acquire_removal(artifact.digest)
    line.send(catalog.forget_artifact(artifact.digest, datetime.now(UTC), datetime.now(UTC)))
    line.recv()
    Store(root).take_out(artifact.stage, artifact.digest)
    catalog.release(lease)


def test_a_stage_that_meets_a_removal_waits_and_makes_it_again(smoke: Run, settings: Settings) -> None:
    step = smoke.plan.of("format")[0]
    artifact = next(found for found in listing(smoke.store) if found.digest == step.digest)
    here, there = multiprocessing.Pipe()
    work = (settings.catalog_url, settings.store_root, artifact, there)
    process = multiprocessing.get_context("fork").Process(target=_remove, args=work)
    process.start()
    assert here.recv() is True
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="meets", settings=settings, options=RunOptions(Limit(3)))
    made: list[bool] = []
    stage = threading.Thread(
        target=lambda: made.extend(done["cached"] for done in run_stage(run, "format", only=step.id)["steps"])
    )
    stage.start()
    stage.join(1.0)
    assert made == [] and stage.is_alive(), "it waits though the artifact is there still"
    here.send("go on")
    stage.join()
    process.join()
    assert made == [False] and smoke.store.get("format", step.digest) is not None
    finish_run(run, "success")


def test_a_stage_that_was_first_keeps_its_artifact(smoke: Run, settings: Settings) -> None:
    store, catalog = Store(settings.store_root), Catalog.open(settings.catalog_url)
    now = datetime.now(UTC) + LATER
    garbage = look(settings, store, catalog, now)
    step = smoke.plan.of("format")[0]
    assert step.digest in {fate.artifact.digest for fate in garbage.going}
    # Between the look and the deed another process finds it in the cache.
    process = multiprocessing.get_context("fork").Process(target=_find, args=(settings,))
    process.start()
    process.join()
    assert process.exitcode == 0
    heard: list[tuple[str, bool]] = []
    removed = garbage.remove(store, catalog, lambda name, done: heard.append((name, done)))
    assert store.get("format", step.digest) is not None
    assert any(name.endswith(step.digest[:12]) for name in removed.spared)
    assert (removed.spared[0], False) in heard


def _find(settings: Settings) -> None:
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="finds", settings=settings, options=RunOptions(Limit(3)))
    assert all(done["cached"] for done in run_stage(run, "format")["steps"])
    finish_run(run, "success")
    os._exit(0)


def test_nothing_that_is_needed_is_lost(first: Run, smoke: Run, settings: Settings) -> None:
    store, catalog = Store(settings.store_root), Catalog.open(settings.catalog_url)
    report = settings.store_root / "reports" / "gone" / "1.html"
    report.parent.mkdir(parents=True)
    report.write_text("old")
    sent = settings.home / "wandb" / "offline-run-20260101_000000-abc"
    sent.mkdir(parents=True)
    for name in ("run-abc.wandb", "run-abc.wandb.synced"):
        (sent / name).write_text("x")
    garbage = look(settings, store, catalog, datetime.now(UTC) + LATER)
    assert {other.kind for other in garbage.others} >= {"report", "wandb run"}
    with alone(catalog):
        removed = garbage.remove(store, catalog)
    assert removed.bytes == garbage.bytes and not removed.spared
    assert not report.exists() and not sent.exists()
    assert digests(smoke) & {found.digest for found in listing(store)} == set()
    again = open_run(tiny_experiment(), dag_id="tiny", run_id="again", settings=settings)
    assert all(step["cached"] for stage in STAGES for step in run_stage(again, stage)["steps"])
    assert finish_run(again, "success") == "unchanged since tiny@1"
    assert not look(settings, store, catalog, datetime.now(UTC) + LATER).going
