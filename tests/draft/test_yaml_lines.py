"""Commented YAML: whatever a column is called, the file reads back what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skillsengine.draft.yaml_lines import WIDTH, Line, comment, prose, scalar, section
from skillsengine.spec.load import load_spec

UGLY = [
    "Ad Text",
    "text",
    "null",
    "yes",
    "No",
    "1e3",
    "12",
    "0x1F",
    "2026-03-09",
    "1:30",
    "~",
    "- a",
    "a: b",
    "a #b",
    "#a",
    "'quoted'",
    '"double"',
    " leading",
    "trailing ",
    "${oc.env:HOME}",
    "\\${x}",
    "\\\\${x}",
    "a\\b",
    "{a}",
    "[a]",
    "*a",
    "&a",
    "!a",
    "|",
    ">",
    "%a",
    "@a",
    "`a`",
    "Ünïcode Straße",
    "職務",
    "a\tb",
    "a\nb",
    "\u2028",
    "\x85",
    "\ufeff",
    "?",
    "=",
    "<<",
]


def read_back(text: str, folder: Path) -> str:
    path = folder / "experiments" / "x.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"name: x\nschedule: none\ndata:\n  source: a.csv\n  text: {scalar(text)}\n", encoding="utf-8")
    return load_spec(path).experiment.data.text


@pytest.mark.parametrize("text", UGLY)
def test_a_spec_reads_back_what_was_written(text: str, tmp_path: Path) -> None:
    assert read_back(text, tmp_path) == text


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_back(text: str, tmp_path: Path) -> None:
    assert read_back(text, tmp_path) == text


@pytest.mark.parametrize("text", ["Ad Text", "job_description", "data/own/x/{partition}.jsonl", "Straße"])
def test_what_needs_no_quotes_has_none(text: str) -> None:
    assert scalar(text) == text


def test_a_comment_is_one_printable_line() -> None:
    assert comment("a\n  b\x1b[31m\u2028c") == "a b [31m c"


def test_comments_stand_in_one_column() -> None:
    lines = section("data", [Line("text", "ad", "the longest"), Line("id", "ref", "short"), Line("x", "1")])
    assert lines[0] == "data:"
    assert lines[1].index("#") == lines[2].index("#") == 34
    assert lines[3] == "  x: 1"


def test_a_line_that_is_switched_off_keeps_its_place() -> None:
    [_, line] = section("data", [Line("labels", "skills", "none was found", off=True)])
    assert line.startswith("  # labels: skills ")
    assert line.endswith(" # none was found")


def test_a_long_comment_stands_above() -> None:
    long = "so many words that they never fit beside " * 3
    lines = section("data", [Line("text", "ad", long.strip()), Line("id", "ref", "short")])
    assert lines[1].startswith("  # so many words")
    assert lines[3] == "  text: ad"
    assert all(len(line) <= WIDTH for line in lines)


def test_a_long_value_keeps_its_comment_above_and_moves_no_other() -> None:
    lines = section("data", [Line("source", "x" * 70, "CSV"), Line("id", "ref", "short")])
    assert lines[1:3] == ["  # CSV", f"  source: {'x' * 70}"]
    assert lines[3].index("#") == 34


def test_prose_is_wrapped() -> None:
    lines = prose("word " * 60)
    assert len(lines) == 3
    assert all(line.startswith("# word") and len(line) <= WIDTH for line in lines)
