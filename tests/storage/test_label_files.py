"""Label files in the store: content-addressed, replaced whole, kept for runs that have pinned them."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from skillsengine.sources.connection import environment_connect
from skillsengine.sources.files import SourceFile
from skillsengine.sources.opening import open_source
from skillsengine.storage.label_files import LabelFiles
from skillsengine.storage.object_labels import ObjectLabelFiles
from skillsengine.storage.store import StoreError
from tests.storage.stores import InBucket, Kept


def opened(kept: Kept, experiment: str = "job") -> LabelFiles:
    if isinstance(kept, InBucket):
        return ObjectLabelFiles(kept.store.bucket, experiment)
    return LabelFiles(kept.store.root, experiment)


def test_what_was_put_last_counts_and_the_older_stays(kept: Kept) -> None:
    files = opened(kept)
    assert files.current("2026-03") is None
    assert not kept.store.root.exists(), "looking makes nothing"
    with files.changing("2026-03") as before:
        assert before is None
        first = files.put("2026-03", "one\n")
    with files.changing("2026-03") as before:
        assert before == first
        second = files.put("2026-03", "two\n")
    assert files.current("2026-03") == second
    assert files.read(first) == "one\n", "a run that has pinned it still reads it"
    assert second.sha256 == hashlib.sha256(b"two\n").hexdigest()
    assert str(second.place) == f"{kept.store.place}/labels/job/2026-03/{second.sha256}/labels.jsonl"
    assert opened(kept).current("2026-04") is None
    assert opened(kept, "other").current("2026-03") is None


def test_a_run_reads_what_it_has_pinned(kept: Kept) -> None:
    files = opened(kept)
    with files.changing("all"):
        made = files.put("all", "one\n")
    with open_source(SourceFile(made.place, made.sha256, labels=True), environment_connect) as stream:
        assert stream.read() == b"one\n"


def test_in_a_bucket_the_second_of_two_changes_is_refused(in_bucket: InBucket) -> None:
    files, other = opened(in_bucket), opened(in_bucket)
    with files.changing("all"):
        with other.changing("all"):
            theirs = other.put("all", "theirs")
        with pytest.raises(StoreError) as caught:
            files.put("all", "ours")
    assert str(caught.value) == (
        "s3://talent/skills/store/labels/job/all/current: somebody else has changed the labels of all just now, and nothing of "
        "this import counts. Import the file again: it then joins theirs."
    )
    assert files.current("all") == theirs


def test_labels_that_are_gone_from_a_bucket_are_told(in_bucket: InBucket) -> None:
    files = opened(in_bucket)
    with files.changing("all"):
        made = files.put("all", "one\n")
    in_bucket.store.bucket.delete_below("labels/job/all/" + made.sha256)
    with pytest.raises(StoreError, match=r"^s3://talent/.*/current names labels that are not there: `"):
        files.current("all")
    with pytest.raises(StoreError, match=r"labels\.jsonl: the labels are gone; a run has pinned them"):
        files.read(made)


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
