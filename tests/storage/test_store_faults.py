"""The store when the machine fails it: a killed process, a full disk."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from skillsengine.storage.catalog import Catalog, CatalogUnavailable
from skillsengine.storage.machine_faults import disk_full
from skillsengine.storage.store import Store, StoreError
from tests import disks
from tests.storage.support import Hanging, manifest

DIGEST = "ab" * 32


def test_killed_between_building_and_publishing(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def work(say: Callable[[Any], None]) -> None:
        with store.building("format", DIGEST) as folder:
            (folder / "rows.jsonl").write_text("half a ro")
            say(folder)

    attempt = Hanging(work)
    attempt.kill()
    assert attempt.said.exists()
    assert store.get("format", DIGEST) is None
    with store.building("format", DIGEST) as folder:
        assert not attempt.said.exists()
        assert list(folder.iterdir()) == []
        (folder / "rows.jsonl").write_text("row\n")
        artifact = store.publish(folder, manifest(DIGEST))
    assert store.verify(artifact) == []


def test_killed_just_before_the_rename(tmp_path: Path) -> None:
    """All is written, the manifest too: without the rename there is no artifact, and its folder is no obstacle."""
    store = Store(tmp_path)

    def work(say: Callable[[Any], None]) -> None:
        Path.rename = lambda self, target: say(sorted(p.name for p in self.iterdir()))  # type: ignore[method-assign,assignment,return-value]
        folder = store.root / "building" / f"{DIGEST}.1"
        folder.mkdir(parents=True)
        (folder / "rows.jsonl").write_text("row\n")
        store.publish(folder, manifest(DIGEST))

    attempt = Hanging(work)
    attempt.kill()
    assert attempt.said == ["manifest.json", "rows.jsonl"]
    assert store.get("format", DIGEST) is None
    with store.building("format", DIGEST) as folder:
        assert [p.name for p in (tmp_path / "building").iterdir() if p.name != ".trash"] == [folder.name]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """512 kB."""
    with disks.small_disk(tmp_path / "disk", 512) as disk:
        yield disk


def check_full_disk(store: Store) -> None:
    with pytest.raises(StoreError) as caught, store.building("format", DIGEST) as folder:
        for index in range(1000):
            (folder / f"{index}.bin").write_bytes(b"x" * 4096)
    text = str(caught.value)
    assert "the disk is full: the format artifact abababababab could not be made, writing under " in text
    assert f"under {store.root} failed (" in text
    assert " free of " in text
    assert "Free some space there, or let SKILLSENGINE_HOME name a folder on a larger disk, then run it again." in text
    assert isinstance(caught.value.__cause__, OSError)
    assert not folder.exists()
    assert store.get("format", DIGEST) is None


def test_a_full_disk_while_building(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    check_full_disk(store)
    with store.building("format", DIGEST) as folder:  # what was half-written is gone, so there is room again
        (folder / "rows.jsonl").write_bytes(b"x" * 100_000)
        assert store.verify(store.publish(folder, manifest(DIGEST))) == []


def test_a_full_disk_while_publishing(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    with pytest.raises(StoreError, match="the disk is full"), store.building("format", DIGEST) as folder:
        (folder / "rows.jsonl").write_bytes(b"x" * 100_000)
        rest = shutil.disk_usage(small_disk).free
        (small_disk / "other").write_bytes(b"x" * rest)
        store.publish(folder, manifest(DIGEST))
    assert store.get("format", DIGEST) is None


def test_a_full_disk_under_the_catalog(small_disk: Path) -> None:
    """Where it is full to the last byte, SQLite itself says `disk I/O error`."""
    catalog = Catalog.open(f"sqlite:///{small_disk}/catalog.db")
    with (small_disk / "other").open("wb", buffering=0) as other, suppress(OSError):
        while other.write(b"x" * 512):
            pass
    with pytest.raises(
        CatalogUnavailable, match=r"does not answer: .*: free some space on its disk \(0 bytes free of "
    ):
        catalog.acquire(DIGEST, "one:1:1", 60)
    (small_disk / "other").unlink()
    assert catalog.acquire(DIGEST, "one:1:1", 60).token == 1


def test_a_full_disk_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without root: the system call itself says that the disk is full."""
    written = Path.write_bytes

    def write(self: Path, data: bytes) -> int:
        if self.stem == "30":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return written(self, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    check_full_disk(Store(tmp_path / "store"))


def test_another_full_disk_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=rf"writing under {tmp_path}/scratch failed \("),
        Store(tmp_path / "store").building("format", DIGEST),
    ):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "scratch" / "x"))


def test_other_errors_of_the_system_pass(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), Store(tmp_path).building("format", DIGEST):
        raise PermissionError(errno.EACCES, "no")


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (RuntimeError("out of memory"), False),
    ],
)
def test_how_a_full_disk_is_known(error: Exception, full: bool) -> None:
    assert (disk_full(error) is not None) is full
    outer = ValueError("could not save")
    outer.__cause__ = error
    assert (disk_full(outer) is not None) is full
