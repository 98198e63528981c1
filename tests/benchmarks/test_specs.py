"""What docs/scale.md quotes, and that the measurement measures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks._record import read_rows
from benchmarks._specs_files import write_ours
from benchmarks.specs import table
from tests.conftest import PROJECT


def test_the_page_quotes_the_recorded_figures() -> None:
    """`python -m benchmarks.specs` prints the tables."""
    assert table(read_rows("specs")) in (PROJECT / "docs" / "scale.md").read_text()


@pytest.mark.parametrize("what", ["full", "edit"])
@pytest.mark.nightly
def test_our_side_is_measured(what: str, tmp_path: Path) -> None:
    write_ours(tmp_path, 9)
    command = [sys.executable, "-m", "benchmarks._specs_child", "ours", what, str(tmp_path)]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    told = json.loads(ran.stdout.splitlines()[-1])
    if what == "full":
        assert (told["dags"], told["tasks"]) == (27, 99)
        assert told["seconds"] == pytest.approx(
            told["compile_seconds"] + told["parse_seconds"] + told["serialize_seconds"]
        )
    else:
        assert (told["read"], told["read_at_rest"], told["dags"]) == (1, 0, 3)
    assert told["compile_seconds"] > 0 and told["parse_seconds"] > 0 and told["serialize_seconds"] > 0
