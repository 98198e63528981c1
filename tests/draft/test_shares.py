"""Shares of a small static source: something is left on every side, as the stages will divide it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skillsengine.draft.place import DataFile, Place
from skillsengine.draft.shares import Shares, _share, fit_shares
from skillsengine.stages import splits
from skillsengine.stages.rows import Row, normalized_key


def place(*named: str | None) -> Place:
    files = tuple(DataFile(Path(f"/data/{number}.csv"), split=split) for number, split in enumerate(named))
    return Place(Path("/data"), "", files)


def rows(count: int, start: int = 0, *, labelled: bool = True) -> list[Row]:
    texts = [f"an ad for welder number {number}" for number in range(start, start + count)]
    return [Row(str(i), text, ("welder",) if labelled else None, normalized_key(text)) for i, text in enumerate(texts)]


def sides(rows: list[Row], test: float) -> dict[str, int]:
    """How the stages divide them."""
    counts = {"train": 0, "validation": 0, "test": 0}
    for row in rows:
        key = int(row.key, 16)
        tested, validates = splits._share(key, "test") < test, splits._share(key, "validation") < 0.1
        counts["test" if tested else "validation" if validates else "train"] += 1
    return counts


def test_the_hash_is_that_of_the_stages() -> None:
    for row in rows(200):
        for salt in ("test", "validation"):
            assert _share(row, salt) == splits._share(int(row.key, 16), salt)


@pytest.mark.parametrize("count", [3, 5, 10, 20, 49, 50, 51, 400])
@pytest.mark.parametrize("start", range(0, 4000, 400))
def test_whatever_the_rows_there_is_something_to_learn_from_and_to_be_tested_on(count: int, start: int) -> None:
    given = rows(count, start)
    shares = fit_shares(place(None), given, dated=False, whole=True)
    if shares.doubt:
        assert count < 10
        return
    for part in (given, given[:50]):
        found = sides(part, shares.test)
        assert found["test"] >= 1, found
        assert found["train"] >= 1, found
    assert bool(shares.why) == (shares.test != 0.1)


def test_the_default_is_kept_where_it_serves() -> None:
    assert fit_shares(place(None), rows(400), dated=False, whole=True) == Shares()


def test_one_ad_is_too_few() -> None:
    shares = fit_shares(place(None), rows(1), dated=False, whole=True)
    assert shares.doubt == "1 ads that can be used are too few to learn from some and be tested on others"


def test_ads_without_labels_are_no_matter_of_shares() -> None:
    assert not fit_shares(place(None), rows(30, labelled=False), dated=False, whole=True).doubt


def test_a_dated_source_needs_none() -> None:
    assert fit_shares(place(None), rows(1), dated=True, whole=True) == Shares()


@pytest.mark.parametrize(
    ("named", "doubt"),
    [
        (("train", "validation", "test"), ""),
        (("train", "test"), ""),
        (
            ("test", "validation"),
            "the files are named test and validation, and none `train`: there is nothing to learn from",
        ),
    ],
)
def test_files_that_are_named_as_splits(named: tuple[str, ...], doubt: str) -> None:
    shares = fit_shares(place(*named), rows(5), dated=False, whole=True)
    assert shares.doubt.startswith(doubt) if doubt else shares == Shares()


def test_a_test_that_no_file_is_is_cut_out_of_train() -> None:
    learned = [replace(row, split="train") for row in rows(12)]
    given = [*learned, *(replace(row, split="validation") for row in rows(200, 1000))]
    shares = fit_shares(place("train", "validation"), given, dated=False, whole=True)
    assert shares == fit_shares(place("train"), learned, dated=False, whole=True)
    assert shares.test > 0.1, "of 12 ads a tenth may be none"
    assert sides(learned, shares.test)["test"]
