"""Whatever stands in a spec, the loader returns it or raises SpecError, in time, in little memory, and keeps secrets."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import Loaded
from tests.spec.damage import SEEDS, VALUES, damaged, planted
from tests.spec.support import GOOD
from tests.spec.test_hostile import guard
from tests.spec.test_properties import load

OFTEN = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
PEAK = 8_000_000
"""Bytes that a spec of some kilobytes may take while it is loaded; most take a tenth of it."""


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """What is imported, or made once, is not the spec's."""
    load(GOOD + "owner: ${name}\n")
    load(GOOD + "ownr: x\ntrain: {epochs: x}\nextends: nothing.yaml\nschedule: x\n")


def bounded(text: str | bytes) -> Loaded | SpecError:
    tracemalloc.start()
    try:
        with guard():
            result = load(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < PEAK + 40 * len(text), f"{peak:,} bytes for a text of {len(text):,}"
    return result


@OFTEN
@given(damaged())
def test_a_real_spec_with_damage(text: str) -> None:
    bounded(text)


@OFTEN
@given(st.sampled_from(SEEDS), st.data())
def test_the_bytes_of_a_spec_with_damage(seed: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(start, len(seed)))
    insert = data.draw(st.binary(max_size=20) | st.sampled_from([value.encode() for value in VALUES]))
    bounded(seed[:start] + insert * data.draw(st.sampled_from([1, 3, 200])) + seed[end:])


@OFTEN
@given(planted())
def test_a_secret_in_a_spec_is_never_said(drawn: tuple[str, str]) -> None:
    text, secret = drawn
    result = bounded(text)
    assert isinstance(result, SpecError)
    assert secret not in str(result)


GROWING: dict[str, Callable[[int], str]] = {
    "keys": lambda n: GOOD + "".join(f"k{i}: 1\n" for i in range(n)),
    "one list": lambda n: GOOD + f"tags: [{'a, ' * n}]\n",
    "wrong items": lambda n: GOOD + f"tags: [{'1, ' * n}]\n",
    "levels": lambda n: GOOD + "tags: " + "[" * n,
    "aliases": lambda n: GOOD + f"description: &a {'x' * n}\ntags: [{'*a, ' * n}]\n",
    "references": lambda n: GOOD + f"tags: [{'x, ' * n}]\nlora: {{target_modules: [{'${name}, ' * n}]}}\n",
    "bases": lambda n: GOOD + f"extends: [{'base.yaml, ' * n}]\n",
    "anchors": lambda n: GOOD + f"tags: [{', '.join(f'&a{i} x' for i in range(n))}]\n",
    "blank lines": lambda n: GOOD + "\n" * n + "zzz: 1\n",
    "backslashes": lambda n: GOOD + "description: '" + "\\" * n + "${name}'\n",
    "opened braces": lambda n: GOOD + "description: '" + "${" * n + "'\n",
    "words of secrets": lambda n: GOOD + "# " + "key-" * n + "\nzzz: 1\n",
    "tokens": lambda n: GOOD + "# " + "eyJ-hf_sk-AKIA://:@" * n + "\nzzz: 1\n",
}


@pytest.mark.parametrize("title", GROWING)
@pytest.mark.parametrize("count", [100, 3_000, 40_000])
def test_what_grows_stays_in_its_bounds(title: str, count: int) -> None:
    """Time is the guard's; memory grows with the file's size alone, which is 1 MB at most."""
    text = GROWING[title](count)
    with guard():
        load(text)
    tracemalloc.start()
    try:
        load(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * PEAK, f"{peak:,} bytes for a text of {len(text):,}"
