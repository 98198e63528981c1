"""Which W&B runs wait to be sent, and which id an attempt has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skillsengine.tracking.kept import NOTE, end_note, free_id, kept_runs, write_note

NOW = 1_800_000_000.0
TOLD: dict[str, Any] = {"name": "finetune", "group": "job-skills/manual__1", "project": "skills"}


def leave(home: Path, name: str, *, age: float = 0.0, synced: bool = False) -> Path:
    """A folder as W&B makes it: `offline-run-<time>-<id>` or `run-<time>-<id>`."""
    folder = home / "wandb" / name
    folder.mkdir(parents=True)
    log = folder / f"run-{name.rpartition('-')[2]}.wandb"
    log.write_bytes(b"x" * 100)
    os.utime(log, (NOW - age, NOW - age))
    if synced:
        (folder / f"{log.name}.synced").touch()
    return folder


def states(home: Path) -> dict[str, str]:
    return {run.folder.name: run.state for run in kept_runs(home, now=NOW)}


def test_a_run_waits_once_its_process_has_ended_it(tmp_path: Path) -> None:
    folder = leave(tmp_path, "offline-run-20260101_000000-a")
    write_note(folder, **TOLD)
    assert states(tmp_path) == {folder.name: "going on"}
    end_note(folder, delivered=False)
    (run,) = kept_runs(tmp_path, now=NOW)
    assert (run.name, run.group, run.project, run.state) == (*TOLD.values(), "waiting")
    assert run.bytes == 100 + (folder / NOTE).stat().st_size
    (folder / "run-a.wandb.synced").touch()
    assert states(tmp_path) == {}


def test_a_run_whose_process_was_killed_waits_at_once(tmp_path: Path) -> None:
    folder = leave(tmp_path, "offline-run-20260101_000000-a")
    code = f"write_note(pathlib.Path({str(folder)!r}), **{TOLD})"
    code = f"import pathlib; from skillsengine.tracking.kept import write_note; {code}"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert states(tmp_path) == {folder.name: "waiting"}


@pytest.mark.parametrize(("age", "state"), [(60, "going on"), (7200, "waiting")])
def test_a_run_of_another_host_waits_when_it_has_been_quiet(tmp_path: Path, age: float, state: str) -> None:
    folder = leave(tmp_path, "offline-run-20260101_000000-a", age=age)
    (folder / NOTE).write_text(json.dumps({**TOLD, "owner": "elsewhere~12345678:1:1"}))
    assert states(tmp_path) == {folder.name: state}
    (folder / NOTE).unlink()  # of before there were notes
    assert states(tmp_path) == {folder.name: state}
    assert kept_runs(tmp_path, now=NOW)[0].name == folder.name


def test_of_an_online_run_only_what_was_not_delivered_waits(tmp_path: Path) -> None:
    folder = leave(tmp_path, "run-20260101_000000-a")
    write_note(folder, **TOLD)
    end_note(folder, delivered=False)
    assert states(tmp_path) == {folder.name: "waiting"}
    end_note(folder, delivered=True)
    assert states(tmp_path) == {}


def test_what_a_resumed_run_left_behind_is_not_sent_over_it(tmp_path: Path) -> None:
    """Sent from its beginning, the first part would take the place of what the second has reported online."""
    for name in ("run-20260101_000000-a", "run-20260101_000100-a"):
        folder = leave(tmp_path, name)
        write_note(folder, **TOLD)
        end_note(folder, delivered=False)
    assert states(tmp_path) == {}


def test_the_oldest_comes_first_whatever_its_mode(tmp_path: Path) -> None:
    names = ["offline-run-20260102_000000-b", "run-20260101_000000-a", "offline-run-20260103_000000-c"]
    for name in names:
        folder = leave(tmp_path, name)
        write_note(folder, **TOLD)
        end_note(folder, delivered=False)
    (tmp_path / "wandb" / "latest-run").symlink_to(names[0])
    assert list(states(tmp_path)) == [names[1], names[0], names[2]]


def test_an_attempt_that_is_or_was_offline_has_an_id_of_its_own(tmp_path: Path) -> None:
    assert free_id(tmp_path, "a", online=False) == "a"
    leave(tmp_path, "run-20260101_000000-a")
    assert free_id(tmp_path, "a", online=True) == "a", "W&B knows how far the first attempt came"
    assert free_id(tmp_path, "a", online=False) == "a-2"
    leave(tmp_path, "offline-run-20260101_000000-a-2", synced=True)
    assert free_id(tmp_path, "a", online=True) == "a"
    assert free_id(tmp_path, "a", online=False) == "a-3"
    leave(tmp_path, "offline-run-20260101_000000-b")
    assert free_id(tmp_path, "b", online=True) == "b-2"
