"""Bad input, through the door that every run takes: each kind of bad file for each reader, and the exact text that tells it.

What should become of each stands in `bad_input.txt`. A packed file is told as the plain one is, but for its name and where
the table says otherwise. After a change that is meant: GOLDEN=write in the environment writes the table anew; read the
difference with the eyes of the person who made the mistake.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.pipeline.project import make_project
from tests.sources.servers import GS, S3, Hub, gs, gs_server, hub, moto_port, s3
from tests.stages.bad_input_cases import Case, all_cases, spec_for
from tests.stages.bad_input_files import PACKED
from tests.stages.bad_input_memory import GROWING, Growing, measured
from tests.stages.bad_input_places import PLACES
from tests.stages.bad_input_remote import GS_CASES, HUB_CASES, S3_CASES
from tests.stages.bad_input_run import HIDDEN, Door, read_table, write_table

TABLE = Path(__file__).with_name("bad_input.txt")
ABOUT = """
What becomes of bad input, and what people read. Each case is a file called ads.FORMAT in a project at PROJECT; ten good ads
stand in it beside what is bad, where nothing else is said. `id = file:place: reason | text` are lines of rejected.jsonl.
A packed file (ads.csv.gz) is told as the plain one, but for its name, where it has no case of its own.
"""


def _packed(case: Case) -> str | None:
    """The packed format that stands for all of them, where the case is of no plain one."""
    if any(kind not in PACKED for kind in case.readers):
        return None
    return next((kind for kind in ("csv.gz", "jsonl.gz", "json.gz") if kind in case.readers), None)


CASES = [
    # Packed ones by night: what is inside goes to the same reader.
    pytest.param(
        case,
        kind,
        marks=[pytest.mark.nightly] * (kind in PACKED and kind != _packed(case)),
        id=f"{case.title} | {kind}",
    )
    for case in all_cases()
    for kind in case.readers
]
GROWTH = 100
"""MB by which a run may grow over a run of ten ads: the longest row is 16 MB, and is held as bytes, as text and as values."""
__all__ = ["gs", "gs_server", "hub", "moto_port", "s3"]
WRITES = os.environ.get("GOLDEN") == "write"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """In memory where that is possible: nearly all the time of a run of ten ads is waiting for a disk."""
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK):
        yield Door.made(tmp_path_factory.mktemp("bad"))
        return
    with TemporaryDirectory(prefix="bad-input-", dir=shm) as folder:
        Path(folder).chmod(0o755)
        yield Door.made(Path(folder))


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, str]]:
    """Title -> what is told; with GOLDEN=write what the tests that ran found stands in it then."""
    found: dict[str, str] = read_table(TABLE) if TABLE.exists() else {}
    yield found
    if WRITES:
        write_table(TABLE, ABOUT, found)


def check(table: dict[str, str], title: str, told: str) -> None:
    """`told` must be what the table says of this case; a packed file without a case of its own is told as the plain one."""
    plain = title.removesuffix(".gz")
    as_plain = told.replace(".gz", "")
    if WRITES:
        table.pop(title, None)
        if title == plain or table.get(plain) != as_plain:
            table[title] = told
    elif title in table:
        assert told == table[title]
    else:
        assert as_plain == table[plain]


@pytest.fixture
def folder(door: Door) -> Iterator[Path]:
    """The project's data/bad, empty."""
    path = door.project / "data" / "bad"
    path.mkdir(parents=True)
    yield path
    rmtree(path)


@pytest.mark.parametrize(("case", "kind"), CASES)
def test_a_bad_file(case: Case, kind: str, door: Door, folder: Path, table: dict[str, str]) -> None:
    (folder / f"ads.{kind}").write_bytes(case.make(kind))
    told = door.tell(spec_for(kind, case, f"data/bad/ads.{kind}"), partition=case.partition)
    check(table, f"{case.title} | {kind}", told)


@pytest.fixture
def afar(door: Door) -> Iterator[Door]:
    """Ports, times and request ids differ from run to run."""
    door.hidden += [
        (r"127\.0\.0\.1(:|', )\d+", "HOST"),
        (r"\b\d{13,}\b", "NUMBER"),
        (r"\(Request ID: [^)]*\)", "(Request ID)"),
    ]
    yield door
    door.hidden = list(HIDDEN)


@pytest.mark.parametrize("title", S3_CASES)
def test_bad_s3(title: str, afar: Door, s3: S3, monkeypatch: pytest.MonkeyPatch, table: dict[str, str]) -> None:
    check(table, title, S3_CASES[title](afar, s3, monkeypatch))


@pytest.mark.parametrize("title", GS_CASES)
def test_bad_gs(title: str, afar: Door, gs: GS, monkeypatch: pytest.MonkeyPatch, table: dict[str, str]) -> None:
    check(table, title, GS_CASES[title](afar, gs, monkeypatch))


@pytest.mark.parametrize("title", HUB_CASES)
def test_bad_hub(title: str, afar: Door, hub: Hub, monkeypatch: pytest.MonkeyPatch, table: dict[str, str]) -> None:
    check(table, title, HUB_CASES[title](afar, hub, monkeypatch))


def _grown(tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[Growing, int]]) -> dict[str, Mapping[str, Any]]:
    return measured(make_project(tmp_path_factory.mktemp("grown") / "project", (), base=False).project, sizes)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Mapping[str, Any]]:
    """What became of the files that grow beyond the bounds: measured by the first worker of a session that comes here."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    found = place / "grown.json"
    with (place / "grown.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            found.write_text(json.dumps(_grown(tmp_path_factory, [(each, each.size) for each in GROWING])))
    return dict(json.loads(found.read_text()))


@pytest.fixture(scope="module")
def grown_large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Mapping[str, Any]]:
    """And of those that grow far beyond."""
    return _grown(tmp_path_factory, [(each, each.nightly) for each in GROWING if each.nightly])


@pytest.mark.parametrize("title", [f"{each.title} | {kind}" for each in GROWING for kind in each.readers])
def test_what_grows(title: str, grown: dict[str, Mapping[str, Any]], table: dict[str, str]) -> None:
    check(table, title, grown[title]["told"])
    assert grown[title]["grown"] < GROWTH


@pytest.mark.nightly
@pytest.mark.parametrize(
    "title", [f"{each.title} | {kind}" for each in GROWING if each.nightly for kind in each.readers]
)
def test_what_grows_to_a_gigabyte(title: str, grown_large: dict[str, Mapping[str, Any]], table: dict[str, str]) -> None:
    """It is told as the smaller one is, and takes no more memory."""
    check(table, title, grown_large[title]["told"])
    assert grown_large[title]["grown"] < GROWTH


@pytest.mark.parametrize("title", PLACES)
def test_a_bad_place(title: str, door: Door, folder: Path, table: dict[str, str]) -> None:
    check(table, title, PLACES[title](door, folder))


def test_the_table_has_no_case_that_is_gone(table: dict[str, str]) -> None:
    known = {f"{case.title} | {kind}" for case in all_cases() for kind in case.readers}
    known |= {f"{each.title} | {kind}" for each in GROWING for kind in each.readers}
    assert set(table) <= known | PLACES.keys() | S3_CASES.keys() | GS_CASES.keys() | HUB_CASES.keys()
