"""The daily chore that sends W&B runs; the others are tests/storage/test_housekeeping.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillsengine.airflow.housekeeping import CHORES
from skillsengine.settings import load_settings
from skillsengine.tracking import sync
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
