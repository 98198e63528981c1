"""Sending what was kept: each run once, and what cannot be sent stays and is told."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

from skillsengine.spec.schema import Tracking
from skillsengine.tracking import server, sync
from skillsengine.tracking import tracker as tracker_module
from skillsengine.tracking.kept import KeptRun, end_note, write_note
from skillsengine.tracking.sync import Sent, send_kept_runs
from skillsengine.tracking.tracker import open_tracker
from tests.tracking.artifacts import make_artifact
from tests.tracking.test_kept import TOLD, leave
from tests.tracking.wandb_server import wandb_server

KEY = "0123456789" * 4
# Stands in for `wandb sync`: as that one it ends well where the server refuses a run, and marks what it delivered.
_SYNC = """
import os, pathlib, sys
run = pathlib.Path(sys.argv[-1])
assert os.environ["WANDB_DATA_DIR"] == str(run.parent / "data") and os.environ["WANDB_MODE"] == "online"
if "slow" in run.name: import time; time.sleep(60)
if "bad" in run.name: print("wandb: one\\nwandb: ERROR the key", os.environ["WANDB_API_KEY"], "is not known"); sys.exit()
if "mute" in run.name: sys.exit(3)
print("wandb: [skills/a] View run finetune at https://wandb.ai/team/skills/runs/a")
next(run.glob("*.wandb")).with_suffix(".wandb.synced").touch()
"""
STANDS_IN = (sys.executable, "-c", _SYNC)


def waiting(home: Path, *names: str) -> None:
    for number, name in enumerate(names):
        folder = leave(home, f"offline-run-2026010{number}_000000-{name}")
        write_note(folder, **TOLD)
        end_note(folder, delivered=False)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(sync, "probe", lambda address: None)
    return {"WANDB_API_KEY": KEY, "PATH": os.environ["PATH"]}


def test_each_is_sent_once_and_what_is_not_stays_and_is_told(tmp_path: Path, env: dict[str, str]) -> None:
    waiting(tmp_path, "bad", "slow", "good", "mute")
    write_note(leave(tmp_path, "offline-run-20260105_000000-busy"), **TOLD)
    seen: list[tuple[str, str | None, str | None]] = []

    def told(run: KeptRun, page: str | None, why: str | None) -> None:
        seen.append((run.folder.name.rpartition("-")[2], page, why))

    result = send_kept_runs(tmp_path, env, told=told, command=STANDS_IN, seconds=2)
    page = "https://wandb.ai/team/skills/runs/a"
    assert seen == [
        ("bad", None, "the key *** is not known"),
        ("slow", None, "no end after 2 s"),
        ("good", page, None),
        ("mute", None, "`wandb sync` ended with 3 and said nothing"),
    ]
    assert result is not None and not result.complete
    assert (list(result.sent.values()), len(result.failed), result.going_on) == ([page], 3, 1)
    again: list[str] = []
    send_kept_runs(tmp_path, env, told=lambda run, *_: again.append(run.folder.name), command=STANDS_IN, seconds=0.5)
    assert [name.rpartition("-")[2] for name in again] == ["bad", "slow", "mute"]


def test_three_in_a_row_that_fail_end_it(tmp_path: Path, env: dict[str, str]) -> None:
    waiting(tmp_path, "mute1", "mute2", "mute3", "good", "good2")
    result = send_kept_runs(tmp_path, env, command=STANDS_IN)
    assert result is not None and len(result.failed) == 3
    assert (len(result.left), result.stopped) == (2, "3 runs in a row were not sent")


def test_two_at_once_send_nothing_twice(tmp_path: Path, env: dict[str, str]) -> None:
    waiting(tmp_path, "good")
    with (tmp_path / "wandb" / "sync.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = send_kept_runs(tmp_path, env, command=("false",))
    assert result is not None and result.stopped == "another `skillsengine sync` is at work on them"
    assert len(result.left) == 1


def test_without_a_key_or_a_run_nobody_is_asked(tmp_path: Path, env: dict[str, str]) -> None:
    assert send_kept_runs(tmp_path, env, command=("false",)) == Sent({}, {})
    waiting(tmp_path, "good")
    assert send_kept_runs(tmp_path, {}, command=("false",)) is None


def test_a_server_that_is_away_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting(tmp_path, "good", "good2")
    env = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    monkeypatch.setattr(server, "PROBE_SECONDS", 0.5)
    result = send_kept_runs(tmp_path, env, command=("false",))
    assert result is not None and len(result.left) == 2 and result.stopped is not None
    assert result.stopped.startswith("http://127.0.0.1:9 does not answer within 0.5 s (")
    assert result.stopped.endswith("; see WANDB_BASE_URL and HTTPS_PROXY")


def kept_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    ads = make_artifact(home / "ads", "format", {"rows.jsonl": b"{}"}, key="2026-01")
    adapter = make_artifact(home / "adapter", "finetune", {"base.json": b"{}"})
    with open_tracker(
        Tracking(), home=home, group="job-skills/manual__1", stage="finetune", digest="d", config={"name": "x"}
    ) as tracker:
        tracker.used(ads, "job-skills")
        for step in range(1, 4):
            tracker.log({"train/loss": 1 / step}, step=step)
        tracker.summary({"f1": 0.5})
        tracker.made(adapter, "job-skills")


def test_an_offline_run_arrives_whole_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B's own `wandb sync`, against a server on loopback."""
    kept_one(tmp_path, monkeypatch)
    with wandb_server() as received:
        env = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": received.url, "PATH": os.environ["PATH"]}
        result = send_kept_runs(tmp_path, env)
        assert result is not None and result.complete
        assert send_kept_runs(tmp_path, env) == Sent({}, {})
    ((run, told),) = received.runs.items()
    assert list(result.sent.values()) == [f"{received.url}/team/llama-job-skills/runs/{run}"]
    assert (told["groupName"], told["jobType"], told["displayName"]) == ("job-skills/manual__1", "finetune", "finetune")
    assert told["config"]["name"] == {"value": "x"}
    assert [told["history"][line]["train/loss"] for line in range(3)] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert received.made(run) == {"job-skills-adapter": "adapter"}
    assert received.used == [(run, "job-skills-data-2026-01")]


@pytest.mark.nightly
def test_a_key_that_is_refused_is_told_and_the_next_call_sends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_one(tmp_path, monkeypatch)
    with wandb_server() as received:
        env = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": received.url, "PATH": os.environ["PATH"]}
        received.refuse = 401
        refused = send_kept_runs(tmp_path, env)
        assert refused is not None and list(refused.failed.values()) == ["no such key"] and not received.runs
        received.refuse = None
        result = send_kept_runs(tmp_path, env)
    assert result is not None and result.complete and len(received.runs) == 1


@pytest.mark.nightly
def test_an_online_run_whose_helper_was_given_up_arrives_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker_module, "FINISH_SECONDS", 3.0)
    monkeypatch.setattr(tracker_module, "_GRACE", 1.0)
    with wandb_server() as received:
        env = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": received.url, "PATH": os.environ["PATH"]}
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", received.url)
        monkeypatch.delenv("WANDB_MODE", raising=False)
        adapter = make_artifact(tmp_path / "adapter", "finetune", {"base.json": b"{}"})
        with open_tracker(Tracking(), home=tmp_path, group="g", stage="finetune", digest="d", config={}) as tracker:
            tracker.log({"train/loss": 1.0}, step=1)
            received.refuse = 500
            tracker.log({"train/loss": 0.5}, step=2)
            tracker.made(adapter, "job-skills")
        received.refuse = None
        result = send_kept_runs(tmp_path, env)
        assert result is not None and result.complete and len(result.sent) == 1, result
        assert send_kept_runs(tmp_path, env) == Sent({}, {})
    ((run, told),) = received.runs.items()
    assert [told["history"][line]["_step"] for line in sorted(told["history"])] == [1, 2]
    assert received.made(run) == {"job-skills-adapter": "adapter"}
