"""docs/faults.md quotes what was recorded, and the tests that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks._record import read_rows
from tests.docs.pages import PROJECT
from tests.faults.recorded import table_rows

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


_ONE_MACHINE = re.compile(r"^\| (.+) \| (.+) \| (.+) \| `(tests/faults/[^`]+)` \|$", re.M)
_SMALLER = re.compile(r"^\| .+ \| .+ \| `(tests/[^`]+)` \|$", re.M)


def test_the_table_of_one_machine_has_the_recorded_rows() -> None:
    """`python -m tests.faults.recorded` prints them."""
    recorded = table_rows()
    assert recorded and _ONE_MACHINE.findall(section("## On one machine")) == recorded


def test_the_tests_that_the_page_names_are_there() -> None:
    text = section("## On one machine")
    for test in {row[3] for row in _ONE_MACHINE.findall(text)}:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (PROJECT / file).read_text("utf-8")
    smaller = _SMALLER.findall(text.partition("### Smaller ones")[2])
    assert len(smaller) > 10 and all((PROJECT / path).exists() for path in smaller)
