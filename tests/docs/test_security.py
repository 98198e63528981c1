"""SECURITY.md: the tests that it names are there, and as many as it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TEXT = "SECURITY.md"
_ROW = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<files>[^|]*`tests/[^|]+) \| (?P<count>\d+)(?: \+ (?P<night>\d+) by night)? \|$", re.M
)
_FILE = re.compile(r"`(tests/[\w/.]+)`")


def rows(project: Path) -> list[tuple[str, list[str], tuple[int, int]]]:
    """(what is attacked, files, (tests of each commit, tests by night)) as the text has them."""
    text = (project / TEXT).read_text(encoding="utf-8")
    return [
        (each["what"], _FILE.findall(each["files"]), (int(each["count"]), int(each["night"] or 0)))
        for each in _ROW.finditer(text)
    ]


def written(file: Path) -> tuple[int, int]:
    """(tests of each commit, tests by night): functions, most of which pytest runs with many inputs. Read, not imported."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    whole = any(ast.unparse(each) == "pytestmark = pytest.mark.nightly" for each in tree.body)
    tests = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")]
    late = [each for each in tests if whole or "pytest.mark.nightly" in map(ast.unparse, each.decorator_list)]
    return len(tests) - len(late), len(late)


def test_every_file_that_it_names_is_there(project: Path) -> None:
    named = set(
        re.findall(r"`((?:tests|tools|locks|docs|\.ci)/[\w/.-]+)`", (project / TEXT).read_text(encoding="utf-8"))
    )
    assert len(named) > 20
    assert not [name for name in sorted(named) if not (project / name).exists()]


def test_there_are_as_many_as_it_says(project: Path) -> None:
    table = rows(project)
    assert len(table) >= 8
    found = {what: [written(project / file) for file in files] for what, files, _ in table}
    there = {what: (sum(day for day, _ in counts), sum(night for _, night in counts)) for what, counts in found.items()}
    assert there == {what: told for what, _, told in table}, f"{TEXT} counts other tests than there are"
