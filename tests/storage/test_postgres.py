"""What only a server can do to a catalog: it goes away and comes back, has no room, knows roles."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from skillsengine.pipeline.execute import Reporter, held
from skillsengine.stages.contract import Progress
from skillsengine.storage import database
from skillsengine.storage.catalog import Catalog, CatalogError, CatalogUnavailable, LeaseHeld
from skillsengine.storage.patient import PatientCatalog
from tests.postgres import Server
from tests.stages.support import Recorder
from tests.storage.support import pin


@pytest.fixture
def address(postgres: Server) -> Iterator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture
def away(postgres: Server) -> Iterator[Server]:
    """A server that a test may stop; it runs again afterwards."""
    yield postgres
    postgres.stop()
    postgres.start()


def test_a_catalog_outlives_a_restart_of_its_server(address: str, away: Server) -> None:
    catalog = Catalog.open(address)
    run = pin(catalog, "scheduled-1")
    away.stop()
    with pytest.raises(CatalogUnavailable) as caught:
        catalog.run_by_id(run.id)
    assert f"the catalog {address} does not answer: " in str(caught.value)
    assert "see that it can be reached and written (SKILLSENGINE_CATALOG names it), then try again." in str(
        caught.value
    )
    away.start()
    assert catalog.run_by_id(run.id).run_id == "scheduled-1"
    catalog.close()


def test_a_connection_that_ends_within_a_transaction(address: str, away: Server) -> None:
    catalog = Catalog.open(address)
    with pytest.raises(CatalogUnavailable, match="does not answer"), catalog._db.writing() as session:
        session.execute(text("SELECT 1"))
        away.stop()
        away.start()
        session.execute(text("SELECT 1"))
    assert pin(catalog, "scheduled-1").state == "running"
    catalog.close()


def test_work_under_way_waits_for_the_server(address: str, away: Server, caplog: pytest.LogCaptureFixture) -> None:
    plain = Catalog.open(address)
    run = pin(plain, "scheduled-1")
    catalog = PatientCatalog.of(plain, 60.0)
    with caplog.at_level("INFO"), held(catalog, "ab" * 32, lambda other: False) as guard:
        assert guard is not None
        away.stop()
        with ThreadPoolExecutor(1) as beside:
            # As before a checkpoint: nothing is written until the lease is known to be held.
            guarded = beside.submit(guard)
            while "Trying for 60 seconds more (SKILLSENGINE_CATALOG_WAIT)." not in caplog.text and not guarded.done():
                time.sleep(0.05)
            away.start()
            guarded.result()
        catalog.start_step(run.id, "finetune", "finetune", None, "ab" * 32)
    assert "the catalog answers again" in caplog.text
    assert [step.step_id for step in catalog.steps_of(run.id)] == ["finetune"]
    assert catalog.acquire("ab" * 32, "host:1:1", 60.0).token == 2, "the first was given back"
    catalog.close()


def test_the_wait_has_an_end(address: str, away: Server) -> None:
    catalog = PatientCatalog.of(Catalog.open(address), 0.5)
    away.stop()
    with pytest.raises(CatalogUnavailable, match="does not answer"):
        catalog.versions()
    catalog.close()


def test_what_cannot_be_healed_is_not_waited_for(address: str) -> None:
    catalog = PatientCatalog.of(Catalog.open(address), 3600.0)
    with pytest.raises(CatalogError, match="the catalog has no run 7"):
        catalog.run_by_id(7)
    catalog.acquire("ab" * 32, "host:1:1", 60.0)
    with pytest.raises(LeaseHeld):
        catalog.acquire("ab" * 32, "host:2:2", 60.0)
    catalog.close()


def test_progress_that_nobody_hears_stops_no_training(
    address: str, away: Server, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = PatientCatalog.of(Catalog.open(address), 3600.0)
    run = pin(catalog, "scheduled-1")
    catalog.start_step(run.id, "finetune", "finetune", None, "ab" * 32)
    around: Any = SimpleNamespace(catalog=catalog, run_pk=run.id, observer=None)
    step: Any = SimpleNamespace(id="finetune")
    tracker = Recorder()
    report = Reporter(step, around, tracker)
    away.stop()
    report(Progress("step 1/3", 0.3, 9.0, {"train/loss": 2.0}, 1))
    report(Progress("step 2/3", 0.6, 9.0, {"train/loss": 1.5}, 2))
    away.start()
    report(Progress("step 3/3", 1.0, 0.0, {"train/loss": 1.0}, 3))
    assert caplog.text.count("finetune: the progress is not told: the catalog") == 1, "then it is let alone for a while"
    [row] = catalog.steps_of(run.id)
    assert [moment["step"] for moment in row.progress["history"]] == [1, 2, 3]
    assert [logged["train/loss"] for logged in tracker.logged] == [2.0, 1.5, 1.0]
    catalog.close()


def test_a_server_without_room(address: str, postgres: Server) -> None:
    Catalog.open(address).close()
    postgres.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 1 IN ROLE pg_read_all_data")
    first = database.connect(postgres.url(address.rpartition("/")[2], "few"))
    with first.connect():
        with pytest.raises(CatalogUnavailable) as caught:
            Catalog.open_to_read(str(first.url))
        assert 'too many connections for role "few": raise its max_connections (each process of ours keeps one' in str(
            caught.value
        )
    first.dispose()
    postgres.sql("DROP ROLE few")


def test_a_process_that_asks_for_too_much_at_a_time(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Catalog.open(address).close()
    monkeypatch.setattr(database, "_CONNECTIONS", 1)
    monkeypatch.setattr(database, "_POOL_SECONDS", 0.1)
    catalog = Catalog.open(address)
    with catalog._db.reading() as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(CatalogUnavailable, match="all 1 connections of this process are in use for 0.1 seconds"):
            catalog.versions()
    assert catalog.versions() == []
    catalog.close()


def test_a_process_keeps_one_connection(address: str, postgres: Server) -> None:
    catalog = Catalog.open(address)
    threads = [threading.Thread(target=catalog.versions) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other = database.connect(postgres.url())
    with other.connect() as connection:
        count = connection.scalar(
            text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name"),
            {"name": address.rpartition("/")[2]},
        )
    assert count == 1
    other.dispose()
    catalog.close()


def test_a_writer_that_hangs_is_not_waited_for_forever(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 1.0)
    catalog = Catalog.open(address)
    run = pin(catalog, "scheduled-1")
    with catalog._db.writing() as session:
        session.execute(text("SELECT 1 FROM runs FOR UPDATE"))
        with pytest.raises(CatalogUnavailable, match="canceling statement due to lock timeout"):
            catalog.finish_run(run.id, "success", "done")
    assert catalog.finish_run(run.id, "success", "done").state == "success"
    catalog.close()
