"""What `--data` means, and what is said where it means nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skillsengine.draft.errors import DraftError
from skillsengine.draft.place import Place, find_place
from skillsengine.sources.errors import SourceError

ENDINGS = ".jsonl, .ndjson, .json, .csv, .tsv, .parquet"
READ = f"a source is a file whose name ends in {ENDINGS} (all but Parquet also with .gz behind it)"


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    return folder


def seen(place: Place) -> list[tuple[str, str | None, str | None]]:
    return [(file.path.relative_to(place.root).as_posix(), file.key, file.split) for file in place.files]


def error_of(data: str, folder: Path) -> str:
    with pytest.raises((DraftError, SourceError)) as raised:
        find_place(data, folder)
    return str(raised.value)


@pytest.mark.parametrize("name", ["ads.csv", "ads.tsv", "ads.jsonl.gz", "ads.json", "ads.parquet", "My Ads (2).CSV"])
def test_one_file(name: str, tmp_path: Path) -> None:
    place = find_place(name, touch(tmp_path, name))
    assert (place.root, place.rest, place.period, place.notes) == (tmp_path, name, None, ())
    assert (seen(place), place.size) == ([(name, None, None)], 2)


def test_from_another_folder_and_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/ads.csv", "b/other.csv")
    assert find_place("../a/ads.csv", tmp_path / "b").root == tmp_path / "a"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_place("~/a/ads.csv", tmp_path / "b").root == tmp_path / "a"


def test_a_folder_of_files_that_say_nothing(tmp_path: Path) -> None:
    place = find_place(".", touch(tmp_path, "b.csv", "a.csv", ".hidden.csv", "README.md"))
    assert (place.rest, seen(place)) == ("", [("a.csv", None, None), ("b.csv", None, None)])


def test_files_called_as_splits(tmp_path: Path) -> None:
    place = find_place("ads", touch(tmp_path / "ads", "train.jsonl", "dev.jsonl", "test.jsonl").parent)
    assert seen(place) == [
        ("dev.jsonl", None, "validation"),
        ("test.jsonl", None, "test"),
        ("train.jsonl", None, "train"),
    ]


def test_folders_called_as_splits(tmp_path: Path) -> None:
    place = find_place(".", touch(tmp_path, "train/0.parquet", "test/0.parquet"))
    assert (place.rest, [split for _, _, split in seen(place)]) == ("*/", ["test", "train"])


@pytest.mark.parametrize(
    ("names", "rest", "period"),
    [
        (["2026-01.jsonl", "2026-02.jsonl"], "{partition}.jsonl", "month"),
        (["ads_2026-W08.csv", "ads_2026-W09.csv"], "ads_{partition}.csv", "week"),
        (["2026-Q1.csv", "2026-Q2.csv"], "{partition}.csv", "quarter"),
        (["2026-01-31.csv.gz", "2026-02-01.csv.gz"], "{partition}.csv.gz", "day"),
        (["2026-01/a.csv", "2026-01/b.csv", "2026-02/a.csv"], "{partition}", "month"),
    ],
)
def test_names_that_hold_dates(names: list[str], rest: str, period: str, tmp_path: Path) -> None:
    place = find_place(str(tmp_path), touch(tmp_path, *names))
    assert (place.rest, place.period, len(place.files)) == (rest, period, len(names))
    assert len(place.keys) == 2


@pytest.mark.parametrize(
    "names", [["2026-13.csv", "2026-14.csv"], ["2026-02-30.csv", "2026-02-31.csv"], ["12026-01.csv"]]
)
def test_what_is_no_date_makes_nothing_dated(names: list[str], tmp_path: Path) -> None:
    assert find_place(str(tmp_path), touch(tmp_path, *names)).period in (None, "month")
    assert "2026-13" not in find_place(str(tmp_path), tmp_path).keys


def test_files_beside_dated_ones_are_said(tmp_path: Path) -> None:
    place = find_place(".", touch(tmp_path, "2026-01.csv", "2026-02.csv", "2026-03.csv", "old.csv"))
    assert place.keys == ("2026-01", "2026-02", "2026-03")
    assert place.notes == ("old.csv left out: 3 of 4 names hold a month, a source has one pattern",)


def test_a_path_with_partition(tmp_path: Path) -> None:
    touch(tmp_path, "ads/2026-01/part.csv", "ads/2026-02/part.csv", "ads/2026-02/other.csv", "ads/old/part.csv")
    place = find_place("ads/{partition}/part.csv", tmp_path)
    assert (place.root, place.rest, place.period) == (tmp_path / "ads", "{partition}/part.csv", "month")
    assert seen(place) == [("2026-01/part.csv", "2026-01", None), ("2026-02/part.csv", "2026-02", None)]


def test_a_glob(tmp_path: Path) -> None:
    place = find_place("ads/*-new.csv", touch(tmp_path, "ads/a-new.csv", "ads/b-new.csv", "ads/c-old.csv"))
    assert (place.root, place.rest, len(place.files)) == (tmp_path / "ads", "*-new.csv", 2)


def test_one_month_of_many_is_noted(tmp_path: Path) -> None:
    place = find_place("2026-01.csv", touch(tmp_path, "2026-01.csv", "2026-02.csv"))
    assert place.notes == (
        f"beside it are files of other months (2026-02.csv): `--data {tmp_path}` takes all of them, dated by their names",
    )


def test_one_split_of_many_is_noted(tmp_path: Path) -> None:
    place = find_place("train.csv", touch(tmp_path, "train.csv", "test.csv"))
    assert place.notes == (
        f"its name says train, and it is taken alone: `--data {tmp_path}` takes the files beside it too",
    )


CASES: list[tuple[str, list[str], str, str]] = [
    (
        "a near name",
        ["ads.csv", "b.csv"],
        "adds.csv",
        "--data adds.csv: no such file or folder. Did you mean `ads.csv`?",
    ),
    ("another name", ["ads.csv"], "zzz", "--data zzz: no such file or folder. {folder} holds ads.csv."),
    (
        "no folder",
        [],
        "a/b/c.csv",
        "--data a/b/c.csv: no such file or folder. There is no {folder}/a/b; {folder} is there.",
    ),
    ("no ads", ["ads.xlsx"], "ads.xlsx", f"--data: {{folder}}/ads.xlsx is not read: {READ}. Save the sheet as CSV."),
    ("nothing", [], ".", f"--data: no data in {{folder}}: {READ}. It is empty."),
    ("papers", ["a.pdf", "b.md"], ".", f"--data: no data in {{folder}}: {READ}. It holds a.pdf, b.md."),
    (
        "a sheet",
        ["ads.xlsx"],
        ".",
        f"--data: no data in {{folder}}: {READ}. It holds ads.xlsx (save the sheet as CSV).",
    ),
    (
        "a sheet beside",
        ["a.csv", "b.xlsx"],
        ".",
        "--data: {folder} holds b.xlsx (save the sheet as CSV) beside a.csv. Move away what is no data, or name the data with "
        "a glob (--data '{folder}/*.csv').",
    ),
    ("an empty glob", ["a.csv"], "*.tsv", f"--data *.tsv: no data. It matches nothing: {READ}."),
    ("a glob of papers", ["a.pdf"], "*.pdf", f"--data *.pdf: no data. It matches a.pdf, which are not read: {READ}."),
    (
        "folders of data",
        ["x/a.csv", "y/a.csv"],
        ".",
        "--data: {folder} holds no data itself, only folders with data: x, y. Name one of them, or all of them with "
        "--data '{folder}/*/'.",
    ),
    (
        "no partition",
        ["old.csv", "new.csv"],
        "{{partition}}.csv",
        "--data {{partition}}.csv: no file has a day (2026-03-09), week (2026-W10), month (2026-03) or quarter "
        "(2026-Q1) in the place of `{{partition}}`. There is new.csv, old.csv.",
    ),
    (
        "two formats",
        ["a.csv", "b.jsonl"],
        ".",
        "{folder} holds CSV (a.csv) and JSON lines (b.jsonl): the files of a source are of one format. Name those that are "
        "meant with a glob, such as *.csv, or move the others away.",
    ),
    (
        "a bucket",
        [],
        "s3://ads/2026.csv",
        "--data s3://ads/2026.csv: `new` looks at files of this machine. Download one file of it, draft with that, and set "
        "`source: s3://ads/2026.csv` in the spec afterwards; it stays the same otherwise.",
    ),
    (
        "a star",
        ["a*.csv"],
        "a*.csv",
        "--data: the name a*.csv holds one of `*?[]`, which stand for other letters in a source. Rename the file.",
    ),
]


@pytest.mark.parametrize(("names", "data", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_cannot_be_taken_is_said(names: list[str], data: str, said: str, tmp_path: Path) -> None:
    touch(tmp_path, *names)
    assert error_of(data.format(), tmp_path) == said.format(folder=tmp_path)


def test_a_split_beside_others(tmp_path: Path) -> None:
    said = error_of(".", touch(tmp_path, "train.csv", "more.csv"))
    assert "train.csv name their split, and beside them more.csv does not" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    closed = touch(tmp_path / "closed", "ads.csv")
    closed.chmod(0)
    try:
        assert error_of("closed/ads.csv", tmp_path).endswith("permission denied. Mend its permissions (chmod).")
    finally:
        closed.chmod(0o700)
