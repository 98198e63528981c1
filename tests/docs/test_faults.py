"""docs/faults.md quotes what was recorded, and the tests that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks._record import read_rows
from tests.docs.pages import PROJECT

PAGE = PROJECT / "docs" / "faults.md"
_ROW = re.compile(r"^\| (.+) \| (.+) \| (\d+) \| (\d+) \| (\d+) s \| `(tests/e2e/cluster/[^`]+)` \|$", re.M)

_NUMBERS = ("attempts", "steps_repeated", "seconds")


def section(name: str) -> str:
    """The text below a heading, up to the next of its kind."""
    found = re.search(rf"^{re.escape(name)}\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.M | re.S)
    assert found, name
    return found[1]


def test_the_cluster_table_has_the_recorded_rows() -> None:
    recorded = {
        (row["fault"], row["outcome"], *(f"{row[name]:.0f}" for name in _NUMBERS), row["test"])
        for row in read_rows("cluster_faults")
    }
    assert recorded and set(_ROW.findall(section("## On the cluster"))) == recorded


@pytest.mark.parametrize("row", read_rows("cluster_faults"), ids=lambda row: str(row["test"]).partition("::")[2])
def test_a_row_names_a_test_that_is_there(row: dict[str, str]) -> None:
    file, _, name = row["test"].partition("::")
    assert f"def {name.partition('[')[0]}(" in Path(PROJECT / file).read_text("utf-8")


def test_the_soaks_figures_are_the_recorded_ones() -> None:
    text = section("## On the cluster")
    for row in read_rows("soak"):
        kills = ", ".join(f"{count} of {what}" for what, count in row["kills"].items())
        assert f"| {row['form']} | {row['experiments']} | {row['runs']} | {row['versions']} | {kills} |" in text
