"""What the machine refuses, by errors that the system and the libraries really raise. No mount, no root: `/dev/full` has no
space, a setting of the kernel that may only be read refuses everybody, and a process may give up its own open files."""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skillsengine.storage.catalog import Catalog, CatalogUnavailable
from skillsengine.storage.machine_faults import disk_full, files_left, machine_fault, not_writable, out_of_files

FULL = Path("/dev/full")
READ_ONLY = Path("/proc/sys/kernel/ostype")
WHAT = "the format artifact abab could not be made"
MEND = "let SKILLSENGINE_HOME name a folder on a larger disk"

pytestmark = pytest.mark.skipif(not FULL.exists() or not READ_ONLY.exists(), reason="needs Linux")


def raised(call: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


@contextmanager
def no_open_files() -> Iterator[None]:
    """This process can open nothing more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def write(path: Path) -> None:
    path.write_bytes(b"x" * 10_000)


def write_parquet(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file:
        pq.write_table(pa.table({"a": list(range(10_000))}), file)


def in_another(path: Path) -> None:
    """A library's own error, raised from the system's."""
    try:
        write(path)
    except OSError as error:
        raise RuntimeError("could not serialize") from error


@pytest.mark.parametrize("call", [write, write_parquet, in_another])
def test_a_full_disk(call: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.symlink_to(FULL)  # a library that renames a file over its target must not get at the device
    error = raised(lambda: call(path))
    assert disk_full(error) is not None
    told = machine_fault(WHAT, error, tmp_path, MEND)
    assert told is not None
    free = r"\d[\d.]* \w+ free of \d[\d.]* \w+"
    assert re.fullmatch(
        rf"the disk is full: {WHAT}, writing under {re.escape(str(tmp_path))} failed \({free}\)\. Nothing half-written stays\. "
        rf"Free some space there, or {MEND}, then run it again\.",
        told,
    ), told


def test_a_quota_is_a_full_disk_too() -> None:
    assert disk_full(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))) is not None


def test_another_disk_is_named_where_a_library_has_filled_it(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "scratch" / "part.tmp"))
    here = machine_fault(WHAT, error, tmp_path, MEND)
    elsewhere = machine_fault(WHAT, error, tmp_path / "store", MEND)
    assert here is not None and f"writing under {tmp_path} failed" in here
    assert elsewhere is not None and f"writing under {tmp_path / 'scratch'} failed" in elsewhere


def test_a_place_that_may_only_be_read() -> None:
    error = raised(lambda: READ_ONLY.write_text("other"))
    told = machine_fault(WHAT, error, READ_ONLY.parent, "let SKILLSENGINE_HOME name another folder")
    assert told == (
        f"{WHAT}: {READ_ONLY.parent} may not be written: Permission denied ({READ_ONLY}). Give the user {os.geteuid()} the "
        "right to, mount it to be written, or let SKILLSENGINE_HOME name another folder; then run it again."
    )


def test_what_is_refused_elsewhere_is_no_fault_of_the_store(tmp_path: Path) -> None:
    """A source that may not be read has an error of its own."""
    assert not_writable(raised(lambda: READ_ONLY.write_text("other")), tmp_path) is None


def test_no_more_open_files(tmp_path: Path) -> None:
    with no_open_files():
        error = raised(lambda: (tmp_path / "rows.jsonl").write_text("row"))
        told, left = machine_fault(WHAT, error, tmp_path, MEND), files_left()
    assert left == (
        "no more files can be opened: this process may have 3 open at once. Raise that number (`ulimit -n`; LimitNOFILE of a "
        "systemd unit), then run it again"
    )
    assert told == f"{WHAT}: {left}."
    assert out_of_files(error) is not None and files_left() is None


def test_sqlite_does_not_say_why_it_opens_nothing_and_the_catalog_does(tmp_path: Path) -> None:
    catalog = Catalog.open(f"sqlite:///{tmp_path}/catalog.db")
    catalog.close()
    with (
        no_open_files(),
        pytest.raises(CatalogUnavailable, match="no more files can be opened: this process may have 3"),
    ):
        catalog.impatient().list_runs("tiny")
    assert catalog.list_runs("tiny") == []
    catalog.close()


@pytest.mark.parametrize("error", [ValueError("a wrong value"), FileNotFoundError(errno.ENOENT, "no such file", "x")])
def test_what_the_machine_has_no_part_in(error: Exception, tmp_path: Path) -> None:
    assert machine_fault(WHAT, error, tmp_path, MEND) is None
