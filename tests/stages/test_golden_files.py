"""The golden check itself: it must catch a change, and must not be silenced without a new VERSION."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stages import golden_files
from tests.stages.golden_files import check_golden


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(golden_files, "FOLDER", tmp_path)
    monkeypatch.setenv("GOLDEN", "write")
    check_golden("format", 1, {"rows.jsonl": "a\n"})
    monkeypatch.delenv("GOLDEN")
    return tmp_path / "format"


def test_the_same_output_passes() -> None:
    check_golden("format", 1, {"rows.jsonl": "a\n"})


def test_a_changed_output_fails_and_says_what_to_do() -> None:
    with pytest.raises(
        AssertionError, match=r"rows\.jsonl changed while VERSION did not: raise VERSION in skillsengine"
    ):
        check_golden("format", 1, {"rows.jsonl": "b\n"})


def test_a_new_version_needs_new_golden_files() -> None:
    with pytest.raises(pytest.fail.Exception, match="VERSION is 2, the golden files are of 1"):
        check_golden("format", 2, {"rows.jsonl": "a\n"})


def test_writing_over_a_change_needs_a_new_version(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDEN", "write")
    with pytest.raises(pytest.fail.Exception, match="VERSION is still 1, so the golden files are not overwritten"):
        check_golden("format", 1, {"rows.jsonl": "b\n"})
    check_golden("format", 2, {"rows.jsonl": "b\n"})
    assert (folder / "rows.jsonl").read_text() == "b\n"
