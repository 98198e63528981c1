"""`skillsengine sync`: what it lists, and what it says where nothing is sent. The sending: tests/tracking/test_sync.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skillsengine.cli import sync as command_module
from skillsengine.settings import load_settings
from skillsengine.tracking import sync
from skillsengine.tracking.kept import write_note
from tests.cli.conftest import Command
from tests.tracking.test_kept import TOLD, leave
from tests.tracking.test_sync import KEY, STANDS_IN, waiting


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path


@pytest.fixture
def home(project: Path) -> Path:
    return load_settings(project).home


def test_the_dry_run_needs_no_key_and_sends_nothing(command: Command, home: Path) -> None:
    assert command("sync", "--dry-run").out == "nothing to send\n" == command("sync").out
    waiting(home, "good")
    write_note(leave(home, "offline-run-20260105_000000-busy"), **TOLD)
    done = command("sync", "--dry-run")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[1:3] == [
        ["skills", "job-skills/manual__1", "finetune", "waiting", "0"],
        ["skills", "job-skills/manual__1", "finetune", "going", "on", "0"],
    ]
    assert done.out.endswith("1 run would be sent, with their artifacts from the store\n")
    listed = json.loads(command("sync", "--dry-run", "--json").out)
    assert [(each["run"], each["state"]) for each in listed] == [("finetune", "waiting"), ("finetune", "going on")]


def test_without_a_key_it_says_where_one_comes_from(command: Command, home: Path) -> None:
    waiting(home, "good", "good2")
    done = command("sync")
    assert (done.code, done.out) == (1, "")
    assert "WANDB_API_KEY is not set, so there is no account to send 2 runs to." in done.err
    assert "https://wandb.ai/authorize" in done.err and "`skillsengine sync --dry-run` lists what waits." in done.err


def test_what_was_sent_and_what_was_not(command: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(sync, "probe", lambda address: None)
    send = command_module.send_kept_runs
    monkeypatch.setattr(command_module, "send_kept_runs", lambda home, told: send(home, told=told, command=STANDS_IN))
    waiting(home, "good", "bad")
    done = command("sync")
    assert done.code == 1
    assert done.out.splitlines() == [
        "job-skills/manual__1 finetune sent https://wandb.ai/team/skills/runs/a",
        "job-skills/manual__1 finetune not sent the key *** is not known",
    ]
    assert "1 run not sent. They stay; the next call tries them again." in done.err
    again = command("sync", "--json")
    assert again.code == 1
    assert json.loads(again.out) == {
        "sent": {},
        "failed": {"offline-run-20260101_000000-bad": "the key *** is not known"},
        "left": [],
        "stopped": None,
    }
