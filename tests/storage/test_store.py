"""The store, on a real disk and on a real S3 server: what is published is whole, found again, and never changed."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from skillsengine.storage.artifact import Artifact
from skillsengine.storage.store import Store, StoreError
from tests.storage.stores import InFolder, Kept
from tests.storage.support import at_once, manifest

DIGEST = "ab" * 32


def publish(store: Store, digest: str = DIGEST, text: str = "row\n") -> Artifact:
    with store.building("format", digest) as folder:
        (folder / "rows.jsonl").write_text(text)
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "x.bin").write_bytes(b"\0" * 3_000_000)
        return store.publish(folder, manifest(digest))


def test_a_published_artifact_is_found_with_its_files(kept: Kept) -> None:
    assert kept.store.get("format", DIGEST) is None
    publish(kept.store)
    store = kept.elsewhere()
    found = store.get("format", DIGEST)
    assert found is not None
    assert store.place_of("format", DIGEST) == f"{store.place}/artifacts/format/ab/{DIGEST}"
    assert store.artifacts() == [("format", DIGEST)]
    assert found.file("rows.jsonl").read_text() == "row\n"
    assert found.summary == {"rows": 2}
    assert sorted(found.manifest.files) == ["deep/er/x.bin", "rows.jsonl"]
    assert found.manifest.files["deep/er/x.bin"].size == 3_000_000
    assert found.manifest.created.endswith("+00:00")
    assert (found.path / "deep" / "er" / "x.bin").read_bytes() == b"\0" * 3_000_000
    assert found.part("deep") == found.path / "deep"
    assert store.verify(found) == []
    assert not [p for p in (kept.store.root / "building").iterdir() if p.name != ".trash"]


def test_making_a_store_touches_nothing(store: Store) -> None:
    assert store.get("format", DIGEST) is None
    assert not store.root.exists()
    assert store.bases.is_dir()


def test_an_unpublished_folder_is_gone_after_an_error(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.building("format", DIGEST) as folder:
        (folder / "rows.jsonl").write_text("half")
        raise ZeroDivisionError
    assert not folder.exists()
    assert store.get("format", DIGEST) is None


def test_an_existing_artifact_stays(store: Store) -> None:
    publish(store, text="first\n")
    second = publish(store, text="second\n")
    assert second.file("rows.jsonl").read_text() == "first\n"
    assert store.verify(second) == []


def test_many_processes_publish_the_same_digest(store: Store) -> None:
    def work(index: int) -> str:
        folder = store.root / "building" / f"{DIGEST}.{index}"
        folder.mkdir(parents=True)
        (folder / "rows.jsonl").write_text(f"{index}\n")
        return store.publish(folder, manifest(DIGEST)).file("rows.jsonl").read_text()

    assert len(set(at_once(6, work))) == 1
    found = store.get("format", DIGEST)
    assert found is not None
    assert store.verify(found) == []


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (
            lambda kept: kept.alter("format", DIGEST, "rows.jsonl", "raw\n"),
            "rows.jsonl: its bytes were changed (sha256 ",
        ),
        (
            lambda kept: kept.alter("format", DIGEST, "rows.jsonl", "longer\n"),
            "rows.jsonl: has 7 bytes, the manifest says 4",
        ),
        (lambda kept: kept.lose("format", DIGEST, "rows.jsonl"), "rows.jsonl: missing"),
        (lambda kept: kept.add("format", DIGEST, "new.txt"), "new.txt: is not in the manifest"),
    ],
)
def test_verify_finds_what_was_tampered_with(kept: Kept, harm: Callable[[Kept], None], problem: str) -> None:
    artifact = publish(kept.store)
    harm(kept)
    (found,) = kept.store.verify(artifact)
    assert found.startswith(problem)


def test_nothing_is_made_of_an_artifact_that_was_changed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    artifact = publish(store)
    store.require_whole(artifact)
    other = Store(tmp_path / "other")
    changed = publish(other)
    (changed.path / "rows.jsonl").write_text("raw\n")
    (changed.path / "new.txt").touch()
    with pytest.raises(StoreError) as caught:
        other.require_whole(changed)
    text = str(caught.value)
    assert text.startswith(f"the format artifact {DIGEST[:12]} is damaged: rows.jsonl: its bytes were changed (sha256 ")
    assert text.endswith(f" (and 1 more). Delete the folder {changed.path}: the next run makes it again.")


def test_a_file_that_became_a_link_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    artifact = publish(store)
    (artifact.path / "rows.jsonl").unlink()
    (artifact.path / "rows.jsonl").symlink_to("deep")
    assert store.verify(artifact) == ["rows.jsonl: is a link now"]


def test_a_damaged_manifest_is_named_with_the_mend(kept: Kept) -> None:
    store, whole = kept.store, publish(kept.store).manifest.to_json()
    mend = "Delete the folder " if isinstance(kept, InFolder) else "Delete the objects below s3://talent/skills/store/"
    outside = {**json.loads(whole), "files": {"../../x": {"sha256": "0", "size": 1}}}
    for damaged in (whole[: len(whole) // 2], "[]", '{"files": {}}', json.dumps(outside)):
        kept.alter("format", DIGEST, "manifest.json", damaged)
        with pytest.raises(StoreError, match=rf"manifest\.json is damaged: .*{mend}.*the next run makes it") as caught:
            store.get("format", DIGEST)
    assert "it lists a file outside of the artifact, '../../x'" in str(caught.value)
    kept.alter("format", DIGEST, "manifest.json", json.dumps(json.loads(whole) | {"digest": "cd" * 32}))
    with pytest.raises(StoreError, match="holds the manifest of another artifact, format cdcdcdcdcdcd"):
        store.get("format", DIGEST)
    kept.forget("format", DIGEST)
    assert store.get("format", DIGEST) is None


def test_what_has_no_manifest_does_not_exist_and_is_made_anew(kept: Kept) -> None:
    publish(kept.store, text="old\n")
    kept.lose("format", DIGEST, "manifest.json")
    assert kept.store.get("format", DIGEST) is None
    assert publish(kept.store, text="new\n").file("rows.jsonl").read_text() == "new\n"
    found = kept.elsewhere().get("format", DIGEST)
    assert found is not None
    assert found.file("rows.jsonl").read_text() == "new\n"


def test_what_an_artifact_may_not_hold(store: Store, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x")
    with (
        pytest.raises(StoreError, match=r"rows\.jsonl is a link or no plain file: an artifact holds copies"),
        store.building("format", DIGEST) as folder,
    ):
        (folder / "rows.jsonl").symlink_to(tmp_path / "outside")
        store.publish(folder, manifest(DIGEST))
    with (
        pytest.raises(StoreError, match=r"written a manifest\.json of its own"),
        store.building("format", DIGEST) as folder,
    ):
        (folder / "manifest.json").write_text("{}")
        store.publish(folder, manifest(DIGEST))
    assert store.get("format", DIGEST) is None


def test_an_attempt_that_was_overtaken_cannot_publish(store: Store) -> None:
    with (
        pytest.raises(StoreError, match="is gone: another attempt of format abababababab has begun since"),
        store.building("format", DIGEST) as old,
    ):
        (old / "rows.jsonl").write_text("old\n")
        publish(store, text="new\n")
        store.publish(old, manifest(DIGEST))
    found = store.get("format", DIGEST)
    assert found is not None
    assert found.file("rows.jsonl").read_text() == "new\n"


def test_a_straggler_does_not_break_the_next_attempt(store: Store) -> None:
    """A killed attempt's writer thread or child goes on writing while the next attempt clears its folder away."""
    stop = threading.Event()

    def write(folder: Path) -> None:
        while not stop.is_set():
            try:
                (folder / "part").write_text("x")
            except FileNotFoundError:
                return

    for _ in range(20):
        stale = store.root / "building" / f"{DIGEST}.stale"
        stale.mkdir(parents=True, exist_ok=True)
        writer = threading.Thread(target=write, args=(stale,))
        writer.start()
        with store.building("format", DIGEST) as folder:
            assert list(folder.iterdir()) == []
        writer.join(5)
        assert not writer.is_alive()
    stop.set()


@pytest.mark.parametrize("bad", ["", "../../etc", "AB" * 32, "abc", "g" * 64, "a" * 65])
def test_a_digest_is_checked_before_it_becomes_a_path(store: Store, bad: str) -> None:
    for call in (lambda: store.get("format", bad), lambda: store.checkpoints(bad), lambda: store.drop_checkpoints(bad)):
        with pytest.raises(StoreError, match=f"`{bad}` is no digest"):
            call()
    with pytest.raises(StoreError, match="is no stage"):
        store.get("../format", DIGEST)


def test_checkpoints_outlive_an_attempt_until_they_are_dropped(store: Store) -> None:
    folder = store.checkpoints(DIGEST)
    (folder / "step-2").mkdir()
    publish(store)
    assert [p.name for p in store.checkpoints(DIGEST).iterdir()] == ["step-2"]
    store.drop_checkpoints(DIGEST)
    store.drop_checkpoints(DIGEST)
    assert list(store.checkpoints(DIGEST).iterdir()) == []


def test_a_version_is_linked_relatively_and_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    artifact = publish(store)
    link = Path(store.link_version("job-skills", 7, artifact))
    assert link == store.root / "versions" / "job-skills" / "7"
    assert not link.readlink().is_absolute()
    assert link.resolve() == artifact.path.resolve()
    assert Path(store.link_version("job-skills", 7, publish(store, "cd" * 32))).resolve() == artifact.path.resolve()
    moved = store.root.rename(tmp_path / "moved")
    assert (moved / "versions" / "job-skills" / "7" / "rows.jsonl").read_text() == "row\n"
    with pytest.raises(StoreError, match=r"`\.\./x` is no model's name"):
        store.link_version("../x", 1, artifact)


def test_a_link_that_leads_nowhere_is_mended(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = publish(store)
    link = Path(store.link_version("job-skills", 1, first))
    shutil.rmtree(first.path)
    again = publish(store, "cd" * 32)
    store.link_version("job-skills", 1, again)
    assert link.resolve() == again.path.resolve()


def test_a_version_is_found_by_its_digest_where_its_place_is_not(kept: Kept) -> None:
    with kept.store.building("register", DIGEST) as folder:
        (folder / "version.json").write_text("{}")
        artifact = kept.store.publish(folder, manifest(DIGEST, "register"))
    place = kept.store.link_version("job-skills", 1, artifact)
    for told in (place, "/nowhere/versions/job-skills/1", "s3://gone/artifacts/register/x"):
        assert (kept.elsewhere().version_folder(told, DIGEST) / "version.json").read_text() == "{}"
    with pytest.raises(StoreError) as caught:
        kept.store.version_folder("/nowhere/1", "cd" * 32)
    assert str(caught.value) == (
        f"the version's artifact cdcdcdcdcdcd is neither at /nowhere/1 nor in the store {kept.store.place}. Put it back from a "
        "backup, or run its experiment again: the adapter is made anew."
    )


def test_what_is_taken_out_is_gone_and_can_be_made_anew(kept: Kept) -> None:
    publish(kept.store)
    publish(kept.store, "cd" * 32)
    for _ in range(2):
        kept.elsewhere().take_out("format", DIGEST)
        assert kept.store.get("format", DIGEST) is None
        assert kept.store.artifacts() == [("format", "cd" * 32)]
    assert publish(kept.store, text="new\n").file("rows.jsonl").read_text() == "new\n"


def test_texts_of_a_name_are_replaced_whole(kept: Kept) -> None:
    name = "reports/job-skills/7.html"
    assert not kept.store.has_named(name) and kept.store.read_named(name, 9) is None
    assert kept.store.write_named(name, "<p>1") == f"{kept.store.place}/{name}"
    kept.store.write_named(name, "<p>ä")
    assert kept.elsewhere().has_named(name)
    assert kept.elsewhere().read_named(name, 99) == "<p>ä".encode() and kept.store.read_named(name, 3) == b"<p>"
