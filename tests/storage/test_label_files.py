"""Label files in the store: content-addressed, replaced whole, kept for runs that have pinned them."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from skillsengine.storage.label_files import LabelFiles
from skillsengine.storage.store import StoreError


def test_what_was_put_last_counts_and_the_older_stays(tmp_path: Path) -> None:
    files = LabelFiles(tmp_path, "job")
    assert files.current("2026-03") is None
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"
    with files.changing("2026-03") as before:
        assert before is None
        first = files.put("2026-03", "one\n")
    with files.changing("2026-03") as before:
        assert before == first
        second = files.put("2026-03", "two\n")
    assert files.current("2026-03") == second
    assert files.read(first) == "one\n", "a run that has pinned it still reads it"
    assert second.sha256 == hashlib.sha256(b"two\n").hexdigest()
    assert LabelFiles(tmp_path, "job").current("2026-04") is None
    assert LabelFiles(tmp_path, "other").current("2026-03") is None


def test_changes_wait_for_each_other(tmp_path: Path) -> None:
    files, begun = LabelFiles(tmp_path, "job"), threading.Event()

    def append(line: str) -> None:
        with files.changing("all") as before:
            begun.set()
            text = files.read(before) if before else ""
            files.put("all", text + line)

    with files.changing("all"):
        other = threading.Thread(target=append, args=("b",))
        other.start()
        assert not begun.wait(0.2)
        files.put("all", "a")
    other.join()
    found = files.current("all")
    assert found is not None and files.read(found) == "ab"


@pytest.mark.parametrize("content", ["0" * 64, "../../elsewhere", ""])
def test_a_damaged_pointer_is_told(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "labels" / "job" / "all"
    folder.mkdir(parents=True)
    (folder / "current").write_text(content)
    with pytest.raises(StoreError) as caught:
        LabelFiles(tmp_path, "job").current("all")
    assert str(caught.value) == (
        f"{folder / 'current'} names labels that are not there: `{content}`. Write the name of one of the folders beside it "
        "into it, or delete it: the partition then has the labels of its source alone."
    )
