"""The sides of the benchmark measure the same texts, and its ratios say what they should."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.token_profile import SIDES, ratios, run_side
from skillsengine.modeling.base import load_tokenizer
from skillsengine.spec.schema import Base
from skillsengine.stages.rows import Row, row_line
from tests.tiny import make_tiny_base


@pytest.mark.parametrize("side", SIDES)
def test_each_side_measures_every_row_of_every_block(
    side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # restored at the end
    make_tiny_base(tmp_path / "base")
    tokenizer = load_tokenizer(Base(model="base"), bases=tmp_path, allowed_roots=(tmp_path,))
    row = Row("1", "We look for a nurse.", ("first aid",), "0" * 16)
    blocks = [tmp_path / "rows-0.jsonl", tmp_path / "rows-1.jsonl"]
    for block in blocks:
        block.write_text(row_line(row) * 300)
    told = run_side(side, tokenizer, blocks)
    whole = '### Job Description: We look for a nurse.\n### Skills: ["first aid"]'
    closed = side == "ours"  # it counts the end-of-text token, which the notebook has not
    assert (told["rows"], told["tokens"]) == (600, 600 * (len(tokenizer(whole).input_ids) + closed))
    assert told["peak_memory_mb"] >= told["memory_before_mb"] > 0


def test_ratios_are_of_seconds_and_memory_against_the_smallest_size() -> None:
    seconds = {"ours": 2.0, "loop": 6.0, "library": 1.8}
    rows = [
        {"side": side, "rows": size, "seconds": took * size, "cpu_seconds": took, "peak_memory_mb": 500 + size / 1000}
        for size in (1_000, 11_000)
        for side, took in seconds.items()
    ]
    found = ratios(rows)
    assert found["1000 rows"] == {
        "faster_than_the_loop": 3.0,
        "library_seconds_to_ours": 0.9,
        "library_cpu_seconds_to_ours": 0.9,
        "loop_cpu_seconds_to_ours": 3.0,
    }
    assert found["11000 rows"]["bytes_a_further_row"] == 1000.0
