"""Runs that are reported online, to a server on loopback that speaks W&B's API."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from skillsengine.spec.schema import Tracking
from skillsengine.tracking import tracker as tracking
from skillsengine.tracking.kept import kept_runs
from skillsengine.tracking.tracker import Tracker, open_tracker
from tests.tracking.artifacts import make_artifact
from tests.tracking.door import door_to
from tests.tracking.wandb_server import Received, wandb_server


@pytest.fixture
def received(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    with wandb_server() as received:
        monkeypatch.setenv("WANDB_BASE_URL", received.url)
        yield received


def opened(home: Path, stage: str = "register", digest: str = "d") -> Tracker:
    config: dict[str, Any] = {"name": "job-skills"}
    return open_tracker(Tracking(), home=home, group="job-skills/r", stage=stage, digest=digest, config=config)


def test_lineage_and_the_registry(received: Received, tmp_path: Path) -> None:
    adapter = make_artifact(tmp_path / "adapter", "finetune", {"base.json": b"{}"})
    version = make_artifact(tmp_path / "version", "register", {"README.md": b"card"}, model="skills", number=7)
    with opened(tmp_path / "home", "finetune", "1") as training:
        assert training.mode == "online" and training.url is not None
        training.log({"train/loss": 1.0}, step=10)
        training.made(adapter, "job-skills")
    with opened(tmp_path / "home") as tracker:
        tracker.used(adapter, "job-skills")
        tracker.registered(version, "champion")
    first, second = received.runs
    assert received.made(first) == {"job-skills-adapter": "adapter"}
    assert received.made(second) == {"skills": "model"}, "the adapter is known by its content and not made again"
    assert received.used == [(second, "job-skills-adapter")]
    assert received.linked == [("wandb-registry-model", "skills", ("7", "champion"))]
    assert [run["groupName"] for run in received.runs.values()] == ["job-skills/r"] * 2
    assert {(run.get("host", ""), run["program"]) for run in received.runs.values()} == {("", "skillsengine")}
    assert str(tmp_path) not in json.dumps([received.runs, [*received.artifacts.values()]], default=str)
    assert kept_runs(tmp_path / "home") == []


def test_a_retry_goes_on_in_the_same_run(received: Received, tmp_path: Path) -> None:
    for steps in ((1, 2, 3), (3, 4)):
        with opened(tmp_path / "home", "finetune") as tracker:
            for step in steps:
                tracker.log({"train/loss": 1 / step}, step=step)
    (run,) = received.runs.values()
    assert [moment["_step"] for _, moment in sorted(run["history"].items())] == [1, 2, 3, 4]


def test_a_table_asks_the_server_nothing(received: Received, tmp_path: Path) -> None:
    """W&B's own question would hold a training for 20 seconds at each evaluation, where the server has gone."""
    with opened(tmp_path / "home", "finetune") as tracker:
        for step in (1, 2):
            tracker.table("sample_predictions", ["step", "ad"], [[step, "an ad"]], step)
    assert "ArtifactType" not in received.asked and "CommitArtifact" in received.asked
    (told,) = received.runs.values()
    moments = [moment for _, moment in sorted(told["history"].items())]
    assert [moment["_step"] for moment in moments if "sample_predictions" in moment] == [1, 2]
    tables = [each for each in received.artifacts.values() if each["type"] == "run_table"]
    assert [each["committed"] for each in tables] == [True, True]


def test_a_server_that_goes_away_costs_a_bounded_wait_and_what_was_not_sent_waits(
    received: Received, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracking, "FINISH_SECONDS", 0.5)
    monkeypatch.setattr(tracking, "_GRACE", 0.5)
    adapter = make_artifact(tmp_path / "adapter", "finetune", {"base.json": b"{}"})
    with opened(tmp_path / "home", "finetune") as tracker:
        received.refuse = 500
        # Of these none waits for the server.
        tracker.log({"train/loss": 1.0}, step=1)
        tracker.made(adapter, "job-skills")
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    (text,) = [record.getMessage() for record in warnings if record.name == tracking.__name__]
    assert text.startswith("W&B: the last uploads (kept in ")
    assert text.endswith("sync` sends them) not sent; the stage goes on. HelperGivenUp: no end after 1 s")
    (kept,) = kept_runs(tmp_path / "home")
    assert (kept.name, kept.state) == ("finetune", "waiting")
    received.refuse = None
    with opened(tmp_path / "home", "evaluate", "next") as tracker:
        assert tracker.mode == "online", "the next run of this process has a helper again"


def test_the_end_of_a_run_whose_server_has_gone_takes_no_two_minutes(
    received: Received, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracking, "_AWAY_SECONDS", 1.0)
    with door_to(int(urlsplit(received.url).port or 0)) as door:
        monkeypatch.setenv("WANDB_BASE_URL", door.url)
        received.url = door.url
        with opened(tmp_path / "home", "finetune") as tracker:
            assert tracker.mode == "online"
            door.go_away()
            tracker.log({"train/loss": 1.0}, step=1)
    assert caplog.messages[-1].endswith("not sent; the stage goes on. HelperGivenUp: no end after 1 s")
    (kept,) = kept_runs(tmp_path / "home")
    assert (kept.name, kept.state) == ("finetune", "waiting")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_refused_waits(
    received: Received, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """W&B takes a refusal for the end of it: its helper sends nothing more, and ends as if all had been sent."""
    with opened(tmp_path / "home", "finetune") as tracker:
        tracker.log({"train/loss": 1.0}, step=1)
        received.refuse = status
        tracker.log({"train/loss": 0.5}, step=2)
    assert (
        f"sends them) not sent; the stage goes on. Refused: filestream: fatal error: filestream: failed to upload: {status} "
        in (caplog.messages[-1])
    )
    (kept,) = kept_runs(tmp_path / "home")
    assert (kept.name, kept.state) == ("finetune", "waiting")
