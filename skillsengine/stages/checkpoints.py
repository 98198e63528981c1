"""Checkpoints of a training: written whole or not at all, looked over before one is trusted.

`checkpoint-<step>/` holds what the Trainer needs to go on, and `complete.json` with the sha256 and size of each file. It
is written under another name and renamed last, so a killed attempt leaves only folders that nobody reads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skillsengine.stages.full_disk import full_disk

MARKER = "complete.json"
KEPT = 2
"""The newest, and one before it in case the newest turns out damaged."""
_PREFIX = "checkpoint-"
_BUILDING = ".building-"


class Checkpoints:
    """The checkpoints of one digest, in a folder that outlives the attempt."""

    def __init__(
        self, folder: Path, guard: Callable[[], None], keep: Callable[[Path], None] = lambda checkpoint: None
    ) -> None:
        """`keep` is called with each checkpoint once it is whole: see `StageContext.keep_checkpoint`."""
        self.folder, self._guard, self._keep = folder, guard, keep
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, step: int, save: Callable[[Path], None]) -> Path:
        """Let `save` fill a folder, seal it as the checkpoint of `step`, and drop all but the newest two.

        Raises what the guard raises if another attempt has taken over, before anything is written and again before the
        checkpoint appears; StageError on a full disk.
        """
        self._guard()
        # A name of its own: an attempt that was overtaken in the middle must not touch what the newer one writes.
        building = self.folder / f"{_BUILDING}{step}-{uuid.uuid4().hex[:8]}"
        try:
            with full_disk(self.folder, f"the checkpoint of step {step}"):
                building.mkdir()
                save(building)
                _seal(building)
            self._guard()
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        final = self.folder / f"{_PREFIX}{step}"
        shutil.rmtree(final, ignore_errors=True)  # a damaged one of an earlier attempt
        building.rename(final)
        for old in self._by_step()[:-KEPT]:
            shutil.rmtree(old)
        self._keep(final)
        return final

    def newest_whole(self, note: Callable[[str], None]) -> Path | None:
        """The newest checkpoint whose files are all what its marker says; None if there is none.

        `note` is told of each that is passed over. What a killed attempt was writing is removed.
        """
        for torn in self.folder.glob(f"{_BUILDING}*"):
            note(f"{torn.name}: left unfinished by a killed attempt, removed")
            shutil.rmtree(torn)
        for checkpoint in reversed(self._by_step()):
            problem = _problem(checkpoint)
            if problem is None:
                return checkpoint
            note(f"{checkpoint.name} is passed over: {problem}")
        return None

    def _by_step(self) -> list[Path]:
        """Oldest first."""
        numbered = [path for path in self.folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdigit()]
        return sorted(numbered, key=step_of)


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which it was written."""
    return int(checkpoint.name.removeprefix(_PREFIX))


def _seal(folder: Path) -> None:
    files = {path.name: _entry(path) for path in sorted(folder.iterdir())}
    marker = folder / MARKER
    marker.write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")
    # The rename must not reach the disk before what it names.
    for path in (*(folder / name for name in files), marker, folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "size": path.stat().st_size}


def _problem(checkpoint: Path) -> str | None:
    try:
        files: dict[str, dict[str, Any]] = json.loads((checkpoint / MARKER).read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        return f"it has no {MARKER}"
    except (ValueError, KeyError, TypeError):
        return f"its {MARKER} cannot be read"
    for name, entry in files.items():
        if not (checkpoint / name).is_file():
            return f"{name} is missing"
        if _entry(checkpoint / name) != entry:
            return f"{name} is not what {MARKER} says"
    return None
