"""The daily chores that send W&B runs and collect garbage; the others are tests/storage/test_housekeeping.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from skillsengine.airflow.housekeeping import CHORES
from skillsengine.pipeline.garbage import alone
from skillsengine.settings import load_settings
from skillsengine.storage.artifact import Manifest
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store
from skillsengine.tracking import sync
from tests.conftest import PROJECT
from tests.tracking.test_sync import KEY, STANDS_IN, waiting

DAY = "2026-01-01"


def test_runs_are_sent_and_what_is_not_is_told_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "experiments").mkdir()
    settings, chore = load_settings(tmp_path), CHORES["send_offline_runs"]
    waiting(settings.home, "good", "bad", "mute", "mute2", "mute3")
    with caplog.at_level("INFO"):
        assert chore(settings, DAY) == {"sent": 0, "failed": 0}
    assert "WANDB_API_KEY is not set: offline runs of Weights & Biases stay where they are" in caplog.messages
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(sync, "probe", lambda address: None)
    send = sync.send_kept_runs
    monkeypatch.setattr(sync, "send_kept_runs", lambda home: send(home, command=STANDS_IN))
    assert chore(settings, DAY) == {"sent": 1, "failed": 4}
    assert "offline-run-20260101_000000-bad was not sent: the key *** is not known" in caplog.messages
    assert "not tried: 1; 3 runs in a row were not sent" in caplog.messages


def test_garbage_goes_and_an_empty_age_keeps_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "experiments").mkdir()
    settings, chore = load_settings(tmp_path), CHORES["collect_garbage"]
    store = Store(settings.store_root)
    with store.building("format", "a" * 64) as folder:
        (folder / "rows.jsonl").write_text("rows")
        path = store.publish(folder, Manifest("format", 1, "2026-03", "a" * 64, {}, {}, {})).path
    os.utime(path / "manifest.json", (0, 0))
    with caplog.at_level("INFO"):
        assert chore(settings, DAY, gc_older_than=None) == {"removed": 0, "bytes": 0}
        with pytest.raises(AirflowFailException, match="gc_older_than: a duration is a whole number with a unit"):
            chore(settings, DAY, gc_older_than="soon")
        with alone(Catalog.open(settings.catalog_url)):
            assert chore(settings, DAY, gc_older_than="30d") == {"removed": 0, "bytes": 0}
        assert path.exists()
        assert chore(settings, DAY, gc_older_than="30d") == {"removed": 1, "bytes": 4}
    assert not path.exists()
    assert any("is at work" in line and "Tomorrow is soon enough." in line for line in caplog.messages)


def test_the_dag_asks_for_what_its_chores_name() -> None:
    """ChoreTask hands the DAG's params to the chores that have keywords for them."""
    asked = {name for chore in CHORES.values() for name in getattr(chore, "__kwdefaults__", None) or ()}
    text = (PROJECT / "dags" / "housekeeping.py").read_text("utf-8")
    assert asked == {"gc_older_than"} and '"gc_older_than": Param(' in text
