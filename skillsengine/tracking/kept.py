"""W&B runs that lie below `<home>/wandb` because they were not, or not wholly, sent: which there are, and which may be sent.

The tracker leaves a small note beside each run's files. It tells people what the run is, and others which process is at work
on it; an online run's note goes once W&B has all of the run.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skillsengine.storage.owners import is_gone, this_owner

NOTE = "skillsengine.json"
_OFFLINE = "offline-run-"
_QUIET_SECONDS = 3600.0
"""Of a run that no process of this host writes: W&B adds the machine's load to a live one several times a minute."""

State = Literal["waiting", "going on"]


@dataclass(frozen=True)
class KeptRun:
    """A run of which W&B lacks something."""

    folder: Path
    name: str
    """The step: `finetune`."""
    group: str
    """The run of the experiment: `job-skills/manual__1`; empty where nothing tells it."""
    project: str
    state: State
    bytes: int
    """Of all files in its folder."""


def write_note(folder: Path, *, name: str, group: str, project: str) -> None:
    """Say what the run in `folder` is, and that this process is at work on it."""
    told = {"name": name, "group": group, "project": project, "owner": this_owner()}
    (folder / NOTE).write_text(json.dumps(told) + "\n", encoding="utf-8")


def end_note(folder: Path, *, delivered: bool) -> None:
    """This process has ended the run in `folder`; `delivered` if W&B has all of it."""
    path = folder / NOTE
    if delivered:
        path.unlink(missing_ok=True)
        return
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**told, "owner": None}) + "\n", encoding="utf-8")


def free_id(home: Path, base: str, *, online: bool) -> str:
    """The id that an attempt of the run `base` has in W&B: `base`, or `base-2` and so on.

    A retry online goes on in the same run, since W&B knows how far that came. What is sent later begins at the run's
    beginning and would write over what another attempt has sent, so an attempt that is or was offline is a run of its own.
    """
    count, name = 1, base
    while any(path for path in _folders(home) if _id(path) == name and (not online or path.name.startswith(_OFFLINE))):
        count += 1
        name = f"{base}-{count}"
    return name


def kept_runs(home: Path, *, now: float | None = None) -> list[KeptRun]:
    """The runs below `<home>/wandb` that W&B lacks something of, the oldest first. `now` is the clock, epoch seconds.

    Of a run that went on online after an attempt that was cut off, W&B has what matters, and what the first left behind is
    not among them.
    """
    now = time.time() if now is None else now
    folders = _folders(home)
    ids = [_id(path) for path in folders]
    found = []
    for folder in folders:
        note = _note(folder)
        log = next(iter(folder.glob("*.wandb")), None)
        sent = any(folder.glob("*.wandb.synced"))
        online = not folder.name.startswith(_OFFLINE)
        if log is None or sent or (online and (note is None or ids.count(_id(folder)) > 1)):
            continue
        note = note or {}
        owner = note.get("owner", "")
        ended = owner is None or is_gone(owner) or now - log.stat().st_mtime > _QUIET_SECONDS
        size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
        told = [note.get(key) or "" for key in ("name", "group", "project")]
        found.append(
            KeptRun(folder, told[0] or folder.name, told[1], told[2], "waiting" if ended else "going on", size)
        )
    return found


def sent_runs(home: Path) -> list[Path]:
    """The folders of runs that W&B has all of, the oldest first: nothing here reads them again."""
    found = []
    for folder in _folders(home):
        if next(iter(folder.glob("*.wandb")), None) is None:
            continue
        delivered = not folder.name.startswith(_OFFLINE) and not (folder / NOTE).exists()
        if delivered or any(folder.glob("*.wandb.synced")):
            found.append(folder)
    return found


def _folders(home: Path) -> list[Path]:
    """W&B's folders of runs, `run-<time>-<id>` and `offline-run-<time>-<id>`, the oldest first."""
    found = [path for path in (home / "wandb").glob("*run-*-*") if path.is_dir() and not path.is_symlink()]
    return sorted(found, key=lambda path: path.name.removeprefix(_OFFLINE).removeprefix("run-"))


def _id(folder: Path) -> str:
    return folder.name.removeprefix(_OFFLINE).removeprefix("run-").partition("-")[2]


def _note(folder: Path) -> dict[str, str | None] | None:
    try:
        told = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # of before there were notes, or cut off as it was written
        return None
    return told if isinstance(told, dict) else None
