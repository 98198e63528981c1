"""Sources that are not there, not files, not allowed, or not the same any more when the run comes to them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.stages.bad_input_files import ad, ads, encode, packed
from tests.stages.bad_input_run import Door
from tests.storage.support import at_once

Place = Callable[[Door, Path], str]
"""Makes the place in an empty folder of the project, and tells what becomes of it."""
PLACES: dict[str, Place] = {}


def place(work: Place) -> Place:
    """The case is called as its function is."""
    PLACES[work.__name__.replace("_", " ")] = work
    return work


def _tell(door: Door, path: Path, between: Callable[[], object] | None = None) -> str:
    return door.tell({"source": str(path.relative_to(door.project))}, between=between)


def _put(path: Path, content: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode("jsonl", ads()) if content is None else content)
    return path


def _unprivileged(work: Callable[[], str]) -> str:
    """What `work` returns where permissions count, which they do not for root."""

    def told(_: int) -> str:
        if os.geteuid() == 0:
            os.seteuid(65534)
        return work()

    (found,) = at_once(1, told)
    return str(found)


@place
def nothing_there(door: Door, folder: Path) -> str:
    return _tell(door, folder / "ads.jsonl")


@place
def an_empty_folder(door: Door, folder: Path) -> str:
    return _tell(door, folder)


@place
def a_folder_with_nothing_that_is_read(door: Door, folder: Path) -> str:
    for name in ("ads.zip", "ads.xlsx", "notes.txt"):
        _put(folder / name)
    return _tell(door, folder)


@place
def a_glob_that_fits_nothing(door: Door, folder: Path) -> str:
    _put(folder / "ads.jsonl")
    return _tell(door, folder / "*.csv")


@place
def files_of_two_formats(door: Door, folder: Path) -> str:
    _put(folder / "a.jsonl")
    _put(folder / "b.csv", encode("csv", ads()))
    return _tell(door, folder)


@place
def two_files_with_the_same_ids(door: Door, folder: Path) -> str:
    _put(folder / "a.jsonl")
    _put(folder / "b.jsonl", encode("jsonl", [ad(3), ad(23, id="ad-4")]))
    return _tell(door, folder)


@place
def a_zip_archive(door: Door, folder: Path) -> str:
    return _tell(door, _put(folder / "ads.zip", b"PK\x03\x04"))


@place
def a_zip_archive_of_csv(door: Door, folder: Path) -> str:
    return _tell(door, _put(folder / "ads.csv.zip", b"PK\x03\x04"))


@place
def packed_Parquet(door: Door, folder: Path) -> str:
    return _tell(door, _put(folder / "ads.parquet.gz", packed(encode("parquet", ads()))))


@place
def an_Excel_workbook(door: Door, folder: Path) -> str:
    return _tell(door, _put(folder / "ads.xlsx", b"PK\x03\x04"))


@place
def a_pickle(door: Door, folder: Path) -> str:
    return _tell(door, _put(folder / "ads.pkl", b"\x80\x04"))


@place
def a_name_without_an_ending(door: Door, folder: Path) -> str:
    return _tell(door, _put(folder / "ads"))


@place
def a_name_with_spaces_in_Latin_1(door: Door, folder: Path) -> str:
    rows = [ad(number, job_description=f"Café {number}", skills=["Café"]) for number in range(3)]
    return _tell(door, _put(folder / "my ads.csv.gz", encode("csv.gz", rows, encoding="latin-1")))


@place
def a_folder_that_is_called_like_a_file(door: Door, folder: Path) -> str:
    (folder / "ads.jsonl").mkdir()
    return _tell(door, folder / "ads.jsonl")


@place
def a_pipe(door: Door, folder: Path) -> str:
    os.mkfifo(folder / "ads.jsonl")
    return _tell(door, folder / "ads.jsonl")


@place
def a_pipe_in_a_folder(door: Door, folder: Path) -> str:
    os.mkfifo(folder / "ads.jsonl")
    return _tell(door, folder)


@place
def a_pipe_that_fits_a_glob(door: Door, folder: Path) -> str:
    os.mkfifo(folder / "ads.jsonl")
    return _tell(door, folder / "*.jsonl")


@place
def a_socket(door: Door, folder: Path) -> str:
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(folder)  # the address of a socket has at most 107 characters
        try:
            listening.bind("ads.jsonl")
        finally:
            os.chdir(before)
        return _tell(door, folder / "ads.jsonl")


@place
def a_link_to_a_device(door: Door, folder: Path) -> str:
    (folder / "ads.jsonl").symlink_to("/dev/zero")
    return door.tell({"source": str((folder / "ads.jsonl").relative_to(door.project))}, trusted=True)


@place
def a_link_out_of_the_project(door: Door, folder: Path) -> str:
    (folder / "ads.jsonl").symlink_to("/etc/hostname")
    return _tell(door, folder / "ads.jsonl")


@place
def a_link_out_of_the_project_in_a_folder(door: Door, folder: Path) -> str:
    (folder / "ads.jsonl").symlink_to("/etc/hostname")
    return _tell(door, folder)


@place
def a_link_that_leads_nowhere(door: Door, folder: Path) -> str:
    (folder / "ads.jsonl").symlink_to("gone.jsonl")
    return _tell(door, folder / "ads.jsonl")


@place
def a_link_that_leads_to_itself(door: Door, folder: Path) -> str:
    (folder / "ads.jsonl").symlink_to("ads.jsonl")
    return _tell(door, folder / "ads.jsonl")


@place
def a_path_up_and_out(door: Door, folder: Path) -> str:
    return door.tell({"source": "../../../../../../../../etc/hostname.jsonl"})


@place
def an_absolute_path_out(door: Door, folder: Path) -> str:
    return door.tell({"source": "/etc/hostname.jsonl"})


@place
def a_name_with_a_NUL(door: Door, folder: Path) -> str:
    return door.tell({"source": f"data/{folder.name}/a\0b.jsonl"})


@place
def a_file_without_permission(door: Door, folder: Path) -> str:
    path = _put(folder / "ads.jsonl")
    path.chmod(0)
    return _unprivileged(lambda: door.plan({"source": str(path.relative_to(door.project))}))


@place
def a_folder_without_permission(door: Door, folder: Path) -> str:
    _put(folder / "closed" / "ads.jsonl").parent.chmod(0)
    source = str((folder / "closed").relative_to(door.project))
    try:
        return _unprivileged(lambda: door.plan({"source": source}))
    finally:
        (folder / "closed").chmod(0o700)


@place
def a_glob_in_a_folder_without_permission(door: Door, folder: Path) -> str:
    _put(folder / "closed" / "ads.jsonl").parent.chmod(0)
    source = str((folder / "closed" / "*.jsonl").relative_to(door.project))
    try:
        return _unprivileged(lambda: door.plan({"source": source}))
    finally:
        (folder / "closed").chmod(0o700)


@place
def gone_since_the_plan(door: Door, folder: Path) -> str:
    path = _put(folder / "ads.jsonl")
    return _tell(door, path, path.unlink)


@place
def longer_since_the_plan(door: Door, folder: Path) -> str:
    path = _put(folder / "ads.jsonl")
    return _tell(door, path, lambda: _put(path, encode("jsonl", ads(ad(50)))))


@place
def another_letter_since_the_plan(door: Door, folder: Path) -> str:
    path = _put(folder / "ads.parquet", encode("parquet", ads()))
    return _tell(door, path, lambda: _put(path, encode("parquet", ads()[::-1])))


@place
def empty_since_the_plan(door: Door, folder: Path) -> str:
    path = _put(folder / "ads.csv.gz", encode("csv.gz", ads()))
    return _tell(door, path, lambda: _put(path, b""))


@place
def a_pipe_since_the_plan(door: Door, folder: Path) -> str:
    path = _put(folder / "ads.jsonl")

    def swap() -> None:
        path.unlink()
        os.mkfifo(path)

    return _tell(door, path, swap)


@place
def a_folder_since_the_plan(door: Door, folder: Path) -> str:
    path = _put(folder / "ads.jsonl")

    def swap() -> None:
        path.unlink()
        path.mkdir()

    return _tell(door, path, swap)


@place
def a_month_that_changed_since_the_plan(door: Door, folder: Path) -> str:
    path = _put(folder / "ads.jsonl")
    data = {"source": str(path.relative_to(door.project)), "date_column": "posted"}
    changed = encode("jsonl", [*ads(), ad(50, posted="2026-02-09")])
    return door.tell(data, partition="2026-02", between=lambda: _put(path, changed))


@place
def another_month_that_changed_since_the_plan(door: Door, folder: Path) -> str:
    path = _put(folder / "ads.jsonl")
    data = {"source": str(path.relative_to(door.project)), "date_column": "posted"}
    changed = encode("jsonl", [*ads(), ad(50, posted="2026-05-09")])
    return door.tell(data, partition="2026-02", between=lambda: _put(path, changed))


@place
def a_month_that_is_not_there(door: Door, folder: Path) -> str:
    _put(folder / "2026-01.jsonl")
    return door.tell({"source": f"data/{folder.name}/{{partition}}.jsonl"}, partition="2026-03")


@place
def no_month_before_it(door: Door, folder: Path) -> str:
    _put(folder / "2026-01.jsonl")
    return door.tell({"source": f"data/{folder.name}/{{partition}}.jsonl"}, partition="2026-01")


@place
def a_partition_that_is_none(door: Door, folder: Path) -> str:
    _put(folder / "2026-01.jsonl")
    return door.tell({"source": f"data/{folder.name}/{{partition}}.jsonl"}, partition="../2026-01")
