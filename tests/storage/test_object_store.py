"""What only a store in a bucket has: requests, a cache with a limit, several machines, and a server that fails."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skillsengine.storage import bucket as bucket_module
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.bucket import ABSENT, Bucket
from skillsengine.storage.cache import Cache
from skillsengine.storage.object_store import ObjectStore
from skillsengine.storage.store import StoreError
from tests.sources.servers import s3_error
from tests.storage.stores import InBucket
from tests.storage.support import Hanging, at_once, manifest

ONE, TWO, THREE = ("1a" * 32, "2b" * 32, "3c" * 32)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two attempts instead of eight: a test that wants the last word need not wait for a minute."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    bucket_module._client.cache_clear()


def publish(store: ObjectStore, digest: str = ONE, size: int = 100, text: str = "x") -> Artifact:
    with store.building("finetune", digest) as folder:
        (folder / "adapter").mkdir()
        (folder / "adapter" / "weights").write_bytes(text.encode() * size)
        (folder / "metrics.jsonl").write_text(text)
        return store.publish(folder, manifest(digest, "finetune"))


def got(store: ObjectStore, digest: str = ONE) -> Artifact:
    found = store.get("finetune", digest)
    assert found is not None
    return found


def test_a_manifest_is_one_request_and_a_file_is_fetched_by_itself(in_bucket: InBucket) -> None:
    publish(in_bucket.store)
    front, store = in_bucket.s3.front, in_bucket.elsewhere()
    front.asked.clear()
    found = got(store)
    assert found.summary == {"rows": 2} and len(front.asked) == 1
    assert not (store.root / "artifacts").exists(), "whoever reads the summary fetches nothing"
    assert found.file("metrics.jsonl").read_text() == "x"
    assert len(front.asked) == 2 and not (found.folder / "adapter").exists()
    assert found.part("adapter") == found.folder / "adapter"
    assert found.path == found.folder and found.json  # all is there by now
    assert len(front.asked) == 3, "each file once"
    assert got(store).file("adapter/weights").read_bytes() == b"x" * 100
    assert len(front.asked) == 4, "from the cache, but for the manifest"


def test_where_it_was_made_nothing_is_fetched(in_bucket: InBucket) -> None:
    publish(in_bucket.store)
    in_bucket.s3.front.asked.clear()
    assert (got(in_bucket.store).path / "adapter" / "weights").is_file()
    assert [asked.method for asked in in_bucket.s3.front.asked] == ["GET"]


def test_the_manifest_is_written_last_and_only_where_there_is_none(in_bucket: InBucket) -> None:
    publish(in_bucket.store)
    puts = [asked for asked in in_bucket.s3.front.asked if asked.method == "PUT"]
    assert puts[-1].path.endswith("/manifest.json") and puts[-1].headers["if-none-match"] == "*"
    assert sum("manifest.json" in asked.path for asked in puts) == 1


def test_of_two_that_publish_at_once_the_first_wins_and_stays_whole(in_bucket: InBucket) -> None:
    """Both have looked before either has written: the door lets the other one in between."""
    first, second = in_bucket.store, in_bucket.elsewhere()
    begun = []

    def between(asked: Any) -> None:
        if asked.method == "PUT" and "manifest" not in asked.path and not begun:
            begun.append(asked)
            publish(second, text="2")

    in_bucket.s3.front.then = between
    mine = publish(first, text="1")
    assert begun and mine.file("metrics.jsonl").read_text() == "2"
    assert first.verify(got(first)) == [], "what the loser had sent is removed"
    assert got(in_bucket.elsewhere()).file("metrics.jsonl").read_text() == "2"


def test_what_a_killed_attempt_had_sent_goes_with_the_next_ones_publishing(in_bucket: InBucket) -> None:
    """Its bytes differ, in a time that it tells, say: under their own sha256 they would stay for good."""
    stray = f"artifacts/finetune/{ONE[:2]}/{ONE}/{'e' * 64}/metrics.jsonl"
    in_bucket.store.bucket.write(stray, b"half")
    (left,) = in_bucket.store.leftovers()
    assert left.digest == ONE
    artifact = publish(in_bucket.store)
    assert not in_bucket.store.bucket.has(stray)
    assert in_bucket.store.verify(artifact) == [] and list(in_bucket.store.leftovers()) == []


def test_a_server_without_conditional_writes_keeps_the_first_too(in_bucket: InBucket, quick: None) -> None:
    bucket, front = in_bucket.store.bucket, in_bucket.s3.front

    def refuse_once() -> None:
        front.forget()
        front.fail(501, s3_error("NotImplemented"), method="PUT", path="manifest.json", times=1)

    refuse_once()
    publish(in_bucket.store, text="1")
    assert got(in_bucket.elsewhere()).file("metrics.jsonl").read_text() == "1"
    refuse_once()
    assert not bucket.write(in_bucket.key("finetune", ONE, "manifest.json"), b"{}", instead_of=ABSENT)
    assert got(in_bucket.store).file("metrics.jsonl").read_text() == "1"


def test_a_server_that_fails_now_and_then_is_asked_again(in_bucket: InBucket) -> None:
    for fault in ("SlowDown", "InternalError"):
        in_bucket.s3.front.fail(503, s3_error(fault), times=1, method="PUT")
        in_bucket.s3.front.fail(500, s3_error(fault), times=1, method="GET")
    publish(in_bucket.store, size=5000)
    in_bucket.s3.front.cut(1000, times=2, path="weights")
    assert got(in_bucket.elsewhere()).file("adapter/weights").read_bytes() == b"x" * 5000
    assert in_bucket.store.verify(got(in_bucket.store)) == []


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (503, "SlowDown", "the object store does not answer, however often it is asked ("),
        (403, "AccessDenied", "access denied ("),
        (403, "ExpiredToken", "the credentials have expired ("),
        (403, "InvalidAccessKeyId", "the credentials are not accepted ("),
        (404, "NoSuchBucket", "there is no bucket `talent` ("),
        (403, "RequestTimeTooSkewed", "this machine's clock is wrong ("),
        (400, "InvalidRequest", "the request failed ("),
    ],
)
def test_what_a_server_refuses_is_told_with_object_and_mend(
    in_bucket: InBucket, quick: None, status: int, code: str, words: str
) -> None:
    in_bucket.s3.front.fail(status, s3_error(code, "said the server"))
    with pytest.raises(StoreError) as caught:
        in_bucket.store.get("finetune", ONE)
    text = str(caught.value)
    key = f"skills/store/artifacts/finetune/1a/{ONE}/manifest.json"
    assert text.startswith(f"the store's object s3://talent/{key}: {words}") and "said the server" in text
    assert text.count(". ") >= 1 and text.endswith("."), "a mend follows"
    with pytest.raises(StoreError, match="s3://talent/skills/store/artifacts/finetune/"):
        publish(in_bucket.store)
    in_bucket.s3.front.faults.clear()
    assert in_bucket.store.get("finetune", ONE) is None, "nothing half-written is visible"


def test_no_server_at_all(in_bucket: InBucket, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://ann:hunter2@127.0.0.1:9")
    with pytest.raises(
        StoreError, match=r"does not answer.*\(EndpointConnectionError: .*AWS_ENDPOINT_URL_S3"
    ) as caught:
        in_bucket.store.get("finetune", ONE)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_what_the_manifest_says_never_becomes_visible(in_bucket: InBucket) -> None:
    publish(in_bucket.store)
    in_bucket.alter("finetune", ONE, "metrics.jsonl", "y")
    found = got(in_bucket.elsewhere())
    with pytest.raises(
        StoreError, match=r"metrics\.jsonl: its bytes were changed \(sha256 .*aws s3 rm --recursive"
    ) as caught:
        found.file("metrics.jsonl")
    assert f"s3://talent/skills/store/artifacts/finetune/1a/{ONE}" in str(caught.value)
    assert [path for path in found.folder.parent.rglob("*") if path.is_file() and path.name != "lock"] == []
    in_bucket.lose("finetune", ONE, "adapter/weights")
    with pytest.raises(StoreError, match=r"/adapter/weights: the object is gone"):
        found.file("adapter/weights")


def test_several_processes_fetch_a_file_once(in_bucket: InBucket) -> None:
    publish(in_bucket.store, size=200_000)
    elsewhere = in_bucket.elsewhere()
    in_bucket.s3.front.asked.clear()
    sizes = at_once(4, lambda index: got(elsewhere).file("adapter/weights").stat().st_size)
    assert sizes == [200_000] * 4
    asked = [asked for asked in in_bucket.s3.front.asked if "weights" in asked.path]
    assert len(asked) == 1


def test_one_that_is_killed_while_it_fetches_leaves_nothing_half(in_bucket: InBucket) -> None:
    publish(in_bucket.store)
    elsewhere = in_bucket.elsewhere()

    def work(say: Callable[[Any], None]) -> None:
        in_bucket.store.bucket.__class__.download = lambda self, files: [  # type: ignore[method-assign]
            (path.write_bytes(b"half"), say(str(path))) for path, _ in files.values()
        ]
        got(elsewhere).file("metrics.jsonl")

    killed = Hanging(work)
    assert Path(killed.said).read_bytes() == b"half"
    killed.kill()
    assert got(elsewhere).file("metrics.jsonl").read_text() == "x"
    assert not Path(killed.said).exists()


def cached(store: ObjectStore) -> set[str]:
    """The artifacts of which this machine has files."""
    return {path.parent.name[:2] for path in store.root.glob("artifacts/*/*/*/files") if any(path.iterdir())}


def small(in_bucket: InBucket, limit: int) -> ObjectStore:
    store = in_bucket.elsewhere()
    return ObjectStore(store.bucket, Cache(store.root, limit), store.root / "bases")


def test_what_was_not_used_for_longest_goes_first(in_bucket: InBucket) -> None:
    for digest in (ONE, TWO, THREE):
        publish(in_bucket.store, digest, 1000)
    store = small(in_bucket, 2500)
    for age, digest in ((300, ONE), (200, TWO)):
        entry = got(store, digest).path.parent
        os.utime(entry, (entry.stat().st_mtime - age,) * 2)
    got(store, ONE).file("metrics.jsonl")  # used again
    assert got(store, THREE).path.is_dir()
    assert cached(store) == {"1a", "3c"}
    assert got(store, TWO).file("metrics.jsonl").read_text() == "x", "fetched anew"


def test_what_a_process_uses_stays_whatever_the_limit(in_bucket: InBucket, caplog: pytest.LogCaptureFixture) -> None:
    for digest in (ONE, TWO):
        publish(in_bucket.store, digest, 1000)
    store = small(in_bucket, 1500)

    def work(say: Callable[[Any], None]) -> None:
        mine = got(store, ONE)
        say(str(mine.path))

    other = Hanging(work)
    assert got(store, TWO).path.is_dir() and cached(store) == {"1a", "2b"}
    assert "more than its 0.0 GB (SKILLSENGINE_CACHE_GB)" in caplog.text
    other.kill()
    os.waitpid(int(other.process.pid or 0), 0)  # ... and the lock goes with the process
    publish(in_bucket.store, THREE, 1000)
    assert got(store, THREE).path.is_dir() and cached(store) == {"3c"}


def test_an_artifact_goes_to_another_process(in_bucket: InBucket) -> None:
    publish(in_bucket.store)
    found = got(in_bucket.elsewhere())
    sent = pickle.loads(pickle.dumps(found))
    assert sent.file("metrics.jsonl").read_text() == "x" and sent.manifest == found.manifest


def test_one_that_was_made_anew_is_not_taken_from_the_cache(in_bucket: InBucket) -> None:
    publish(in_bucket.store, text="1")
    elsewhere = in_bucket.elsewhere()
    assert got(elsewhere).file("metrics.jsonl").read_text() == "1"
    in_bucket.forget("finetune", ONE)
    publish(in_bucket.store, text="2")
    assert got(elsewhere).file("metrics.jsonl").read_text() == "2"


def test_a_large_file_goes_in_parts(in_bucket: InBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "_IN_PARTS", 6 << 20)
    monkeypatch.setattr(bucket_module, "_PART", 5 << 20)
    publish(in_bucket.store, size=12 << 20)
    assert sum("partNumber" in asked.path for asked in in_bucket.s3.front.asked) == 3
    assert got(in_bucket.elsewhere()).file("adapter/weights").stat().st_size == 12 << 20
    assert in_bucket.store.verify(got(in_bucket.store)) == []


def test_conditional_writes(in_bucket: InBucket) -> None:
    bucket = in_bucket.store.bucket
    assert bucket.write("a", b"1", instead_of=ABSENT) and not bucket.write("a", b"2", instead_of=ABSENT)
    found = bucket.read("a")
    assert found is not None and found[0] == b"1"
    assert bucket.write("a", b"3", instead_of=found[1]) and not bucket.write("a", b"4", instead_of=found[1])
    assert not bucket.write("none", b"5", instead_of=found[1])
    assert [(each.key, each.size) for each in bucket.list()] == [("a", 1)]
    assert bucket.address("a") == "s3://talent/skills/store/a" and Bucket.of("s3://talent/skills/store/") == bucket
