"""Signatures are the same in every process, and agree as their texts do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.stages.rows import normalized_words
from skillsengine.stages.signatures import PERMUTATIONS, SHINGLE, NpyWriter, shingles, signatures_of

AD = "We look for a nurse with wound care and first aid, full time."


def test_golden_signature() -> None:
    """Stored signatures are compared with new ones: another hash, seed or order of permutations would find no copy."""
    [signature] = signatures_of([AD])
    assert signature.dtype == np.dtype("<u4") and signature.shape == (64,)
    assert signature[:6].tolist() == [3320224450, 2322394032, 3397359344, 1786845033, 3274771820, 3296226676]
    assert int(signature.sum(dtype=np.uint64)) == 171635450770


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_makes_the_same(seed: str) -> None:
    code = f"from skillsengine.stages.signatures import signatures_of; print(signatures_of([{AD!r}])[0].tolist())"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == str(signatures_of([AD])[0].tolist())


def test_case_punctuation_and_line_breaks_do_not_matter() -> None:
    assert shingles("Wound care,\nfirst AID & more; now!") == [b"wound care first aid more", b"care first aid more now"]
    assert shingles("SQL") == [b"sql"]
    assert shingles("a b c d") == [b"a b c d"]
    assert (signatures_of([AD]) == signatures_of([AD.upper().replace(" ", "\n")])).all()
    assert signatures_of([]).shape == (0, PERMUTATIONS)


@given(
    st.text(max_size=80) | st.lists(st.sampled_from(["Go’s", "SQL,", "\ud83d", "İ", "²", "_", "٣", "–"])).map("".join)
)
def test_words_are_the_runs_of_letters_and_digits(text: str) -> None:
    runs = re.findall(r"[^\W_]+", text.casefold())
    assert [word.decode() for word in normalized_words(text)] == runs


@given(
    st.text(max_size=80) | st.lists(st.sampled_from(["Go", "SQL,", "ß", "İ", "\u2028", "3", "-", "a_b"])).map(" ".join)
)
def test_shingles_are_the_runs_of_five_words(text: str) -> None:
    words = normalized_words(text)
    runs = [b" ".join(words[place : place + SHINGLE]) for place in range(len(words) - SHINGLE + 1)]
    assert shingles(text) == (runs if len(words) >= SHINGLE else [b" ".join(words)])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(0, 150), st.integers(0, 2**32))
def test_the_share_of_equal_values_estimates_the_jaccard_similarity(common: int, own: int, salt: int) -> None:
    words = [f"{salt}x{number}" for number in range(common + 2 * own + 8)]
    first, second = words[: common + own + 4], words[own : common + 2 * own + 4]
    a, b = (set(shingles(" ".join(text))) for text in (first, second))
    similarity = len(a & b) / len(a | b)
    one, two = signatures_of([" ".join(first), " ".join(second)])
    # Five standard deviations.
    assert abs((one == two).mean() - similarity) <= 5 * (similarity * (1 - similarity) / 64) ** 0.5 + 1e-9


def test_a_file_grows_by_batches(tmp_path: Path) -> None:
    batches = [np.arange(12, dtype="<u4").reshape(3, 4), np.zeros((0, 4), "<u4"), np.full((2, 4), 2**32 - 1, "<u4")]
    with NpyWriter(tmp_path / "a.npy", np.dtype("<u4"), 4) as writer:
        for batch in batches:
            writer.add(batch)
    assert (np.load(tmp_path / "a.npy") == np.concatenate(batches)).all()
    with NpyWriter(tmp_path / "empty.npy", np.dtype("<u4"), 4):
        pass
    assert np.load(tmp_path / "empty.npy").shape == (0, 4)
