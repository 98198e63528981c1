"""Checkpoints in a bucket: what one machine has kept, another one goes on from."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skillsengine.storage import bucket as bucket_module
from skillsengine.storage.catalog import LeaseLost
from skillsengine.storage.store import Store
from tests.sources.servers import s3_error
from tests.storage.stores import InBucket, Kept
from tests.storage.support import Hanging, manifest

DIGEST = "ab" * 32


def checkpoint(folder: Path, step: int, text: str = "weights") -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir()
    (made / "adapter.safetensors").write_text(f"{text} {step}")
    (made / "complete.json").write_text("{}")
    return made


def nothing() -> None: ...


def names(store: Store) -> list[str]:
    return sorted(path.name for path in store.checkpoints(DIGEST).iterdir())


def stopped(store: Store, *steps: int, kept: int = 2, guard: Callable[[], None] = nothing) -> None:
    """An attempt that keeps checkpoints as `finetune` does, and then ends with an error."""
    with pytest.raises(ZeroDivisionError), store.keeping(DIGEST, guard) as (folder, keep):
        (folder / "start.safetensors").write_text("start")
        keep(folder / "start.safetensors")
        for number, step in enumerate(steps):
            made = checkpoint(folder, step)
            for old in steps[: max(0, number + 1 - kept)]:
                shutil.rmtree(folder / f"checkpoint-{old}", ignore_errors=True)
            keep(made)
        raise ZeroDivisionError


def test_another_attempt_goes_on_where_the_first_was_stopped(kept: Kept) -> None:
    stopped(kept.store, 5, 10, 15)
    other = kept.elsewhere()
    assert names(other) == ["checkpoint-10", "checkpoint-15", "start.safetensors"]
    assert (other.checkpoints(DIGEST) / "checkpoint-15" / "adapter.safetensors").read_text() == "weights 15"
    assert (other.checkpoints(DIGEST) / "start.safetensors").read_text() == "start"


def test_they_are_dropped_once_the_artifact_is_there(kept: Kept) -> None:
    stopped(kept.store, 5)
    other = kept.elsewhere()
    assert "checkpoint-5" in names(other)
    with other.building("finetune", DIGEST) as out, other.keeping(DIGEST, nothing) as (folder, keep):
        keep(checkpoint(folder, 10))
        other.publish(out, manifest(DIGEST, "finetune"))
    other.drop_checkpoints(DIGEST)
    assert names(other) == [] and names(kept.elsewhere()) == []
    assert [left.name for left in kept.elsewhere().leftovers() if "checkpoint-" in left.name] == []


def test_what_an_earlier_attempt_kept_goes_once_newer_ones_are_up(in_bucket: InBucket) -> None:
    stopped(in_bucket.store, 5, 10)
    other = in_bucket.elsewhere()
    with pytest.raises(ZeroDivisionError), other.keeping(DIGEST, nothing) as (folder, keep):
        made = checkpoint(folder, 15)
        shutil.rmtree(folder / "checkpoint-5")
        keep(made)
        raise ZeroDivisionError
    assert names(in_bucket.elsewhere()) == ["checkpoint-10", "checkpoint-15", "start.safetensors"]
    assert not any("checkpoint-5/" in found.key for found in other.bucket.list())


def test_one_that_is_killed_has_kept_what_was_up(in_bucket: InBucket) -> None:
    """SIGKILL while the second one goes up: the first one is there, of the second nothing is visible."""
    up, waiting = threading.Event(), threading.Event()

    def hold(asked: Any) -> None:
        if asked.method == "PUT" and "checkpoint-10" in asked.path:
            up.set()
            waiting.wait(30)

    in_bucket.s3.front.then = hold

    def work(say: Callable[[Any], None]) -> None:
        with in_bucket.store.keeping(DIGEST, nothing) as (folder, keep):
            for step in (5, 10):
                keep(checkpoint(folder, step))
            say(step)

    killed = Hanging(work)
    assert up.wait(30)
    killed.kill()
    waiting.set()
    assert names(in_bucket.elsewhere()) == ["checkpoint-5"]
    assert names(in_bucket.store) == ["checkpoint-10", "checkpoint-5"], "on its own machine nothing is lost"


def test_a_damaged_one_is_passed_over(in_bucket: InBucket, caplog: pytest.LogCaptureFixture) -> None:
    stopped(in_bucket.store, 5, 10)
    bucket = in_bucket.store.bucket
    (key,) = [found.key for found in bucket.list(f"checkpoints/{DIGEST}/checkpoint-10/") if "adapter" in found.key]
    bucket.write(key, b"WEIGHTS 10")
    assert names(in_bucket.elsewhere()) == ["checkpoint-5", "start.safetensors"]
    assert (
        f"checkpoints/{DIGEST}/checkpoint-10 is passed over: checkpoint-10/adapter.safetensors is not what kept.json"
        in (caplog.text)
    )
    bucket.delete([key])
    assert "checkpoint-10" not in names(in_bucket.elsewhere()) and "adapter.safetensors is missing" in caplog.text
    for marker in ("[]", json.dumps({"files": {"../x": {"sha256": "0", "size": 1}}})):
        bucket.write(f"checkpoints/{DIGEST}/checkpoint-10/kept.json", marker.encode())
        assert "checkpoint-10" not in names(in_bucket.elsewhere())
    assert "names a file outside of it, '../x'" in caplog.text


def test_what_differs_here_is_replaced(in_bucket: InBucket) -> None:
    stopped(in_bucket.store, 5)
    other = in_bucket.elsewhere()
    folder = other.root / "checkpoints" / DIGEST
    folder.mkdir(parents=True)
    checkpoint(folder, 5, "torn")
    checkpoint(folder, 99)
    assert (other.checkpoints(DIGEST) / "checkpoint-5" / "adapter.safetensors").read_text() == "weights 5"
    assert "checkpoint-99" in names(other), "what this machine alone has stays"


def test_a_bucket_that_is_away_stops_no_training(
    in_bucket: InBucket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    in_bucket.s3.front.fail(503, s3_error("SlowDown"), method="PUT", path="start.safetensors", times=1)
    bucket_module._client.cache_clear()
    stopped(in_bucket.store, 5, 10)
    assert (
        "start.safetensors is not kept in the store, the training goes on: the store's object s3://talent/"
        in caplog.text
    )
    assert names(in_bucket.elsewhere()) == ["checkpoint-10", "checkpoint-5", "start.safetensors"], (
        "sent later, in order"
    )


def test_who_has_lost_the_lease_keeps_nothing(in_bucket: InBucket) -> None:
    stopped(in_bucket.store, 5)

    def lost() -> None:
        raise LeaseLost("another attempt has taken over")

    stopped(in_bucket.elsewhere(), 10, guard=lost)
    assert names(in_bucket.elsewhere()) == ["checkpoint-5", "start.safetensors"]


def test_the_links_of_an_attempt_are_gone_after_it(in_bucket: InBucket) -> None:
    stopped(in_bucket.store, 5, 10)
    assert [path for path in (in_bucket.store.root / "building").iterdir() if path.name != ".trash"] == []
    inode = (in_bucket.store.root / "checkpoints" / DIGEST / "checkpoint-10" / "adapter.safetensors").stat()
    assert inode.st_nlink == 1
