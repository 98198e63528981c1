"""What is done once a day."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from skillsengine.storage.artifact import Manifest
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.housekeeping import remove_leftovers, remove_old_logs, verify_sample
from skillsengine.storage.owners import this_owner
from skillsengine.storage.store import Store
from tests.storage.stores import InBucket, Kept

OLD = 30 * 24 * 3600.0
NOW = 1_800_000_000.0


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}")


def leave(folder: Path, age: float, size: int = 10) -> Path:
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"x" * size)
    for path in (folder / "weights", folder):
        os.utime(path, (NOW - age, NOW - age))
    return folder


def publish(store: Store, digest: str, text: str = "rows") -> None:
    with store.building("format", digest) as folder:
        (folder / "rows.jsonl").write_text(text)
        store.publish(folder, Manifest("format", 1, "all", digest, {}, {}, {}))


def test_old_leftovers_go_and_young_ones_stay(store: Store, catalog: Catalog) -> None:
    old = leave(store.root / "building" / f"{'a' * 64}.1234", OLD)
    young = leave(store.root / "building" / f"{'b' * 64}.1234", 60)
    checkpoints = leave(store.root / "checkpoints" / ("c" * 64), OLD, size=90)
    resumable = leave(store.root / "checkpoints" / ("d" * 64), 24 * 3600)
    removed = remove_leftovers(store, catalog, now=NOW)
    assert removed.names == (f"building/{'a' * 64}.1234", f"checkpoints/{'c' * 64}") and removed.bytes == 100
    assert not old.exists() and not checkpoints.exists() and young.exists() and resumable.exists()
    assert remove_leftovers(store, catalog, now=NOW).names == ()


def test_one_young_file_keeps_the_folder(store: Store, catalog: Catalog) -> None:
    folder = leave(store.root / "checkpoints" / ("a" * 64), OLD)
    (folder / "deep").mkdir()
    (folder / "deep" / "state").write_text("x")
    os.utime(folder / "deep" / "state", (NOW - 60, NOW - 60))
    os.utime(folder, (NOW - OLD, NOW - OLD))
    assert remove_leftovers(store, catalog, now=NOW).names == ()


def test_what_a_live_attempt_holds_stays(store: Store, catalog: Catalog) -> None:
    folder = leave(store.root / "building" / f"{'a' * 64}.1234", OLD)
    lease = catalog.acquire("a" * 64, this_owner(), 600)
    assert remove_leftovers(store, catalog, now=NOW).names == () and folder.exists()
    catalog.release(lease)
    assert remove_leftovers(store, catalog, now=NOW).names and not folder.exists()
    # The lease was given back: the next attempt begins at once.
    catalog.acquire("a" * 64, this_owner(), 600)


def test_an_empty_home_has_nothing_to_do(store: Store, catalog: Catalog, tmp_path: Path) -> None:
    assert remove_leftovers(store, catalog).names == ()
    assert verify_sample(store, "2026-11-22").checked == 0
    assert remove_old_logs(tmp_path / "logs").names == ()


def test_a_damaged_artifact_is_found_with_the_mend(kept: Kept) -> None:
    store, whole, damaged = kept.store, "a" * 64, "b" * 64
    publish(store, whole)
    publish(store, damaged)
    assert verify_sample(store, "2026-11-22").problems == ()
    kept.alter("format", damaged, "rows.jsonl", "ROWS")
    found = verify_sample(store, "2026-11-22")
    assert found.checked == 2 and len(found.problems) == 1
    assert found.problems[0].startswith(f"format {'b' * 12}: rows.jsonl: its bytes were changed")
    assert found.problems[0].endswith(store.remake("format", damaged))
    assert store.place_of("format", damaged) in found.problems[0]
    kept.alter("format", whole, "manifest.json", "{")
    assert any("is damaged" in problem for problem in verify_sample(store, "2026-11-22").problems)


def test_the_sample_is_another_one_each_day(kept: Kept) -> None:
    store = kept.store
    for index in range(12):
        publish(store, f"{index:02x}" * 32)
        kept.alter("format", f"{index:02x}" * 32, "rows.jsonl", "ROWS")
    days = {day: verify_sample(store, day, count=3) for day in ("2026-11-22", "2026-11-23")}
    assert all(found.checked == 3 and len(found.problems) == 3 for found in days.values())
    assert set(days["2026-11-22"].problems) != set(days["2026-11-23"].problems)
    assert verify_sample(store, "2026-11-22", count=3) == days["2026-11-22"]


def test_what_is_left_in_a_bucket_goes_once_it_is_old(in_bucket: InBucket, catalog: Catalog) -> None:
    store, bucket = in_bucket.store, in_bucket.store.bucket
    publish(store, "a" * 64)
    unfinished, checkpoints = f"artifacts/format/bb/{'b' * 64}", f"checkpoints/{'c' * 64}"
    for key in (f"{unfinished}/{'0' * 64}/rows.jsonl", f"{checkpoints}/checkpoint-5/kept.json"):
        bucket.write(key, b"x" * 10)
    assert remove_leftovers(store, catalog).names == (), "they are young"
    later = time.time() + OLD
    lease = catalog.acquire("b" * 64, this_owner(), 600)
    removed = remove_leftovers(store, catalog, now=later)
    assert removed.names == (checkpoints,) and removed.bytes == 10
    catalog.release(lease)
    assert remove_leftovers(store, catalog, now=later).names == (unfinished,)
    assert [found.key.split("/")[3] for found in bucket.list()] == ["a" * 64] * 2


def test_old_logs_go(tmp_path: Path) -> None:
    old, young = tmp_path / "dag_id=a" / "x" / "attempt=1.log", tmp_path / "dag_id=b" / "attempt=1.log"
    for path, age in ((old, 90), (young, 1)):
        path.parent.mkdir(parents=True)
        path.write_text("line")
        os.utime(path, (NOW - age * 86400, NOW - age * 86400))
    removed = remove_old_logs(tmp_path, now=NOW, age=timedelta(days=60))
    assert removed.names == ("dag_id=a/x/attempt=1.log",) and removed.bytes == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dag_id=b"]
