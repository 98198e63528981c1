"""Packed texts are the texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.modeling.encoding import IGNORED, Encoded
from skillsengine.modeling.packed import PackedTexts


def text(prompt: list[int], answer: list[int], cut: bool) -> Encoded:
    return Encoded(prompt + answer, [IGNORED] * len(prompt) + answer, cut)


IDS = st.lists(st.integers(0, 130_000), max_size=6)


@given(st.lists(st.builds(text, IDS, IDS, st.booleans()), max_size=8))
def test_what_is_put_in_comes_out(texts: list[Encoded]) -> None:
    packed = PackedTexts()
    for each in texts:
        packed.append(each)
    assert list(packed) == texts
    assert len(packed) == len(texts)
    assert packed[1:] == texts[1:] and packed[::-2] == texts[::-2]
    assert [packed.length(place) for place in range(len(texts))] == [len(each) for each in texts]
    if texts:
        assert packed[-1] == texts[-1]
    with pytest.raises(IndexError):
        packed[len(texts)]
