"""Digests: the same determinants give the same name, any other gives another."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.pipeline.digest import canonical, digest, folder_fingerprint

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), plain, max_size=5))
def test_the_order_of_keys_does_not_matter(config: dict[str, object]) -> None:
    turned = dict(reversed(list(config.items())))
    assert digest("format", 1, None, config, {}) == digest("format", 1, None, turned, {})


@given(plain, plain)
def test_canonical_text_is_equal_for_equal_values_only(a: object, b: object) -> None:
    if canonical(a) == canonical(b):
        assert a == b


def test_every_determinant_changes_the_digest() -> None:
    plain_digest = digest("format", 1, "2026-01", {"data.text": "a"}, {"x": "1"})
    others = [
        digest("profile", 1, "2026-01", {"data.text": "a"}, {"x": "1"}),
        digest("format", 2, "2026-01", {"data.text": "a"}, {"x": "1"}),
        digest("format", 1, "2026-02", {"data.text": "a"}, {"x": "1"}),
        digest("format", 1, "2026-01", {"data.text": "b"}, {"x": "1"}),
        digest("format", 1, "2026-01", {"data.text": "a"}, {"x": "2"}),
    ]
    assert len({plain_digest, *others}) == 6


def test_a_number_that_equals_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"rate": float("nan")})


def test_a_local_base_is_told_by_its_bytes(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"a" * 3_000_000)
    first = folder_fingerprint(tmp_path)
    assert folder_fingerprint(tmp_path) == first
    weights.write_bytes(b"a" * 2_999_999 + b"b")
    assert folder_fingerprint(tmp_path) != first
