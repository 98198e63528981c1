"""Which artifacts go, and that one which is needed at that moment stays: a stage and a removal in two real processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from skillsengine.storage.artifact import Manifest
from skillsengine.storage.catalog import Catalog, LeaseHeld
from skillsengine.storage.gc import Fate, collect, decide
from skillsengine.storage.listing import Listed, listing
from skillsengine.storage.owners import this_owner
from skillsengine.storage.store import Store
from tests.storage.support import pin

NOW = datetime(2026, 12, 1, tzinfo=UTC)
A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    """By the real clock, which artifacts are dated by."""
    opened = Catalog.open(url)
    yield opened
    opened.close()


def publish(store: Store, digest: str, catalog: Catalog | None = None, age: timedelta = timedelta(days=60)) -> Listed:
    with store.building("format", digest) as folder:
        (folder / "rows.jsonl").write_text("rows")
        path = store.publish(folder, Manifest("format", 1, "2026-03", digest, {}, {}, {})).path
    made = (NOW - age).timestamp()
    os.utime(path / "manifest.json", (made, made))
    if catalog is not None:
        catalog.record_artifact(digest, "format", "2026-03", path, 4)
    return next(found for found in listing(store) if found.digest == digest)


def doomed(store: Store, catalog: Catalog) -> Fate:
    (fate,) = decide([publish(store, A, catalog)], {}, {}, NOW)
    assert fate.goes
    return fate


def test_what_goes_and_why_the_rest_stays(store: Store) -> None:
    artifacts = [publish(store, digest) for digest in (A, B, C)]
    fates = {fate.artifact.digest: fate for fate in decide(artifacts, {B: "m@1"}, {C: NOW - timedelta(days=3)}, NOW)}
    assert [fates[digest].goes for digest in (A, B, C)] == [True, False, False]
    assert [fates[digest].why for digest in (A, B, C)] == [
        "nobody needs it, not used for 60 days",
        "m@1",
        "used 3 days ago",
    ]
    assert not any(fate.goes for fate in decide(artifacts, {}, {}, NOW, timedelta(days=61)))
    assert artifacts[0].name == f"format[2026-03] {'a' * 12}" and artifacts[0].bytes == 4


def test_a_damaged_artifact_stays_and_half_a_one_goes(store: Store) -> None:
    publish(store, A), publish(store, B)
    (store.path_of("format", A) / "manifest.json").write_text("{")
    (store.path_of("format", B) / "manifest.json").unlink()
    os.utime(store.path_of("format", B), (0, 0))
    damaged, half = decide(list(listing(store)), {}, {}, NOW)
    assert not damaged.goes and damaged.why.startswith("damaged: ") and "Delete the folder" in damaged.why
    assert half.goes


def test_what_goes_is_gone_from_store_and_catalog(store: Store, catalog: Catalog) -> None:
    fate = doomed(store, catalog)
    scored: dict[str, Any] = {"experiment": "x", "partition": "2026-03", "data_digest": B, "stage_version": 1}
    catalog.put_cell(subject=C, kind="adapter", artifact_digest=A, metrics={"f1": 1.0}, adapter_digest=C, **scored)
    catalog.put_cell(
        subject=C, kind="adapter", artifact_digest=B, metrics={}, adapter_digest=C, marked="none", **scored
    )
    heard: list[tuple[str, bool]] = []
    collected = collect([fate], store, catalog, NOW, lambda fate, done: heard.append((fate.artifact.digest, done)))
    assert (collected.bytes, heard) == (4, [(A, True)])
    assert store.get("format", A) is None and catalog.artifact(A) is None and catalog.cells() == []
    assert catalog.marks("x") == {(B, "2026-03"): "none"}, "what cannot be scored is never tried again"
    assert not any((store.root / "building" / ".trash").iterdir())
    assert collect([fate], store, catalog, NOW).gone == (fate,), "said again, nothing happens"


def test_what_is_needed_by_now_is_spared(store: Store, catalog: Catalog) -> None:
    fate = doomed(store, catalog)
    lease = catalog.acquire(A, this_owner(), 600)
    assert collect([fate], store, catalog, NOW).spared == (fate,), "an attempt is at work on it"
    catalog.release(lease)
    run = pin(catalog, "r").id
    catalog.start_step(run, "format[2026-03]", "format", "2026-03", A)
    (later,) = decide([fate.artifact], {}, catalog.last_uses(), NOW + timedelta(days=99), timedelta(0))
    assert later.goes
    assert collect([fate], store, catalog, NOW).spared == (fate,), "a step has used it since"
    assert collect([later], store, catalog, datetime.now(UTC)).spared == (later,), "its run is going on"
    catalog.finish_run(run, "failed", "")
    assert store.get("format", A) is not None and catalog.artifact(A) is not None
    assert collect([later], store, catalog, datetime.now(UTC)).gone == (later,)


def test_a_removal_that_was_killed_is_done_by_the_next_one(store: Store, url: str, catalog: Catalog) -> None:
    fate = doomed(store, catalog)
    # Killed between the catalog and the store, with the lease in its hands.
    process = multiprocessing.get_context("fork").Process(target=_die_half_way, args=(url, fate))
    process.start()
    process.join()
    assert process.exitcode == 9 and store.get("format", A) is not None and catalog.artifact(A) is None
    assert catalog.removing([A]) == set(), "a dead process removes nothing"
    assert collect([fate], store, catalog, NOW).gone == (fate,) and store.get("format", A) is None


def _die_half_way(url: str, fate: Fate) -> None:
    catalog = Catalog.open(url)
    catalog.acquire_removal(fate.artifact.digest)
    assert catalog.forget_artifact(fate.artifact.digest, fate.used, NOW)
    os._exit(9)


def _remove_slowly(url: str, store: Store, fate: Fate, line: Connection) -> None:
    catalog = Catalog.open(url)
    lease = catalog.acquire_removal(fate.artifact.digest)
    forgotten = catalog.forget_artifact(fate.artifact.digest, fate.used, NOW)
    line.send(forgotten)
    line.recv()
    store.take_out(fate.artifact.stage, fate.artifact.digest)
    catalog.release(lease)
    line.send("gone")
    line.recv()


def test_a_stage_sees_that_another_process_removes(store: Store, url: str, catalog: Catalog) -> None:
    """What `execute` asks before it looks into the store; tests/pipeline/test_garbage.py has it wait."""
    fate = doomed(store, catalog)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_remove_slowly, args=(url, store, fate, there))
    process.start()
    try:
        assert here.recv() is True
        assert catalog.removing([A, B]) == {A} and store.get("format", A) is not None
        with pytest.raises(LeaseHeld) as held:
            catalog.acquire(A, this_owner(), 60)
        assert held.value.removing
        here.send("go on")
        assert here.recv() == "gone"
        assert catalog.removing([A]) == set() and store.get("format", A) is None
    finally:
        here.send("end")
        process.join()
