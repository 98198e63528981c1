"""Checkpoints: whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from skillsengine.stages.checkpoints import MARKER, Checkpoints
from skillsengine.stages.contract import StageError
from skillsengine.stages.full_disk import full_disk


def _save(text: str = "weights") -> object:
    def save(folder: Path) -> None:
        (folder / "adapter.safetensors").write_text(text)
        (folder / "state.json").write_text("{}")

    return save


def _checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(folder / "kept", lambda: None)


def test_written_sealed_and_found(tmp_path: Path) -> None:
    notes: list[str] = []
    checkpoints = _checkpoints(tmp_path)
    assert checkpoints.newest_whole(notes.append) is None
    for step in (9, 10, 100):
        checkpoints.write(step, _save(str(step)))
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["checkpoint-10", "checkpoint-100"]
    newest = _checkpoints(tmp_path).newest_whole(notes.append)
    assert newest is not None
    assert newest.name == "checkpoint-100"
    assert set(json.loads((newest / MARKER).read_text())["files"]) == {"adapter.safetensors", "state.json"}
    assert notes == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "state.json").unlink(), "state.json is missing"),
        (lambda folder: (folder / "state.json").write_text("[]"), "state.json is not what complete.json says"),
        (lambda folder: (folder / MARKER).unlink(), "it has no complete.json"),
        (lambda folder: (folder / MARKER).write_text('{"fil'), "its complete.json cannot be read"),
        (lambda folder: (folder / MARKER).write_text("[]"), "its complete.json cannot be read"),
    ],
)
def test_a_damaged_one_is_passed_over_and_said(tmp_path: Path, damage: object, said: str) -> None:
    checkpoints, notes = _checkpoints(tmp_path), []
    checkpoints.write(1, _save())
    checkpoints.write(2, _save())
    damage(checkpoints.folder / "checkpoint-2")
    newest = checkpoints.newest_whole(notes.append)
    assert newest is not None
    assert newest.name == "checkpoint-1"
    assert notes == [f"checkpoint-2 is passed over: {said}"]
    # The next one of that step takes its place.
    checkpoints.write(2, _save())
    assert checkpoints.newest_whole(notes.append) == checkpoints.folder / "checkpoint-2"


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    checkpoints = _checkpoints(tmp_path)
    checkpoints.write(1, _save())

    def save(folder: Path) -> None:
        (folder / "small").write_text("fits")
        (folder / "large").symlink_to("/dev/full")
        (folder / "large").write_bytes(b"x" * 100_000)

    with pytest.raises(StageError) as caught:
        checkpoints.write(2, save)
    text = str(caught.value)
    assert text.startswith(f"no room to write the checkpoint of step 2 in {checkpoints.folder}: ")
    assert "MB are free on that disk. Free some, or point SKILLSENGINE_HOME to a larger disk" in text
    assert [path.name for path in checkpoints.folder.iterdir()] == ["checkpoint-1"]


def test_a_full_disk_as_torch_says_it(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(StageError, match="no room to write it in"), full_disk(tmp_path, "it"):
        torch.save({"x": torch.zeros(100_000)}, tmp_path / "full")


def test_a_full_disk_as_safetensors_says_it(tmp_path: Path) -> None:
    # A file-size limit is the nearest thing to a full disk that needs no rights; its number is another.
    said = "Error while serializing: I/O error: No space left on device (os error 28)"
    with pytest.raises(StageError, match="no room to write it in"), full_disk(tmp_path, "it"):
        raise SafetensorError(said)


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), full_disk(tmp_path, "it"):
        (tmp_path / "no" / "folder").write_text("")
