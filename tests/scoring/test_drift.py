"""Drift: what always holds, cases counted by hand, and that chance is not taken for drift."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.scoring.drift import DRAWS, Ads, Reference, edges, held_out, js, measure, psi
from skillsengine.scoring.matching import skill_set
from skillsengine.spec.schema import Drift

COUNTS = st.lists(st.integers(0, 500), min_size=1, max_size=12).filter(any)
PAIRS = st.integers(1, 12).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 500), min_size=bins, max_size=bins).filter(any)] * 2)
)
MEASURES = ("length", "tokens_per_word", "skills_per_ad", "unseen_skills", "top_skills")


def array(counts: list[int]) -> np.ndarray:
    return np.array(counts, np.float64)


@settings(max_examples=40)
@given(PAIRS)
def test_both_distances_are_the_same_either_way_and_never_negative(pair: tuple[list[int], list[int]]) -> None:
    a, b = map(array, pair)
    assert psi(a, b) >= 0 and psi(a, b) == pytest.approx(psi(b, a))
    assert 0 <= js(a, b) <= 1 and js(a, b) == pytest.approx(js(b, a), abs=1e-7)


@settings(max_examples=40)
@given(COUNTS, st.integers(1, 50))
def test_equal_shares_are_no_distance_however_many_ads_have_them(counts: list[int], times: int) -> None:
    a, b = array(counts), array(counts) * times
    assert psi(a, b) == pytest.approx(0, abs=1e-9)
    assert js(a, b) == pytest.approx(0, abs=1e-7)


def test_by_hand() -> None:
    textbook = (0.5 - 0.3) * math.log(0.5 / 0.3) + (0.5 - 0.7) * math.log(0.5 / 0.7)
    assert psi(array([50_000, 50_000]), array([30_000, 70_000])) == pytest.approx(textbook, rel=1e-3)
    assert js(array([3, 0]), array([0, 9])) == 1
    # Half of the divergence of (1, 0) from (3/4, 1/4), and half of that of (1/2, 1/2).
    middle = 0.5 * math.log2(4 / 3) + 0.5 * (0.5 * math.log2(2 / 3) + 0.5 * math.log2(2))
    assert js(array([2, 0]), array([1, 1])) == pytest.approx(math.sqrt(middle))


def test_shares_that_are_equal_but_for_rounding_are_no_distance() -> None:
    assert js(array([10**9, 2 * 10**9 + 2]), array([10**9 + 1, 2 * 10**9])) == pytest.approx(0, abs=1e-6)


def test_an_empty_bin_is_no_infinity_and_weighs_less_with_fewer_ads() -> None:
    of_few, of_many = psi(array([0, 8]), array([50, 50])), psi(array([0, 800]), array([50, 50]))
    assert 0.5 < of_few < of_many < 5


def test_several_at_once_are_as_one_by_one() -> None:
    a, b = np.array([[1.0, 2, 3], [4, 0, 0]]), np.array([[3.0, 2, 1], [1, 1, 1]])
    for distance in (psi, js):
        assert distance(a, b).tolist() == pytest.approx([float(distance(x, y)) for x, y in zip(a, b, strict=True)])


@pytest.mark.parametrize("distance", [psi, js])
def test_nothing_cannot_be_compared(distance: object) -> None:
    with pytest.raises(ValueError, match="nothing can be compared with a sample of no counts"):
        distance(array([0, 0]), array([1, 2]))  # type: ignore[operator]


@settings(max_examples=40)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_every_bin_of_the_reference_holds_some_of_it_unless_one_value_is_nearly_all(values: list[int]) -> None:
    borders = edges(array(values))
    assert len(borders) <= 9 and (np.diff(borders) > 0).all()
    filled = np.bincount(np.searchsorted(borders, values), minlength=len(borders) + 1)
    most = Counter(values).most_common(1)[0][1]
    assert (filled > 0).all() or most >= 0.9 * len(values)


def test_a_value_that_all_have_is_a_bin_of_its_own() -> None:
    borders = edges(array([5] * 40))
    assert np.searchsorted(borders, [4, 5, 6]).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("count", "size", "held"), [(100, 24, 24), (24, 24, 12), (3, 8, 1)])
def test_what_is_held_out_is_of_the_partition_s_size_and_at_most_half(count: int, size: int, held: int) -> None:
    drawn = held_out(count, size)
    assert drawn.shape == (DRAWS, count) and (drawn.sum(axis=1) == held).all()
    assert np.array_equal(drawn, held_out(count, size)), "always the same"
    assert (drawn.sum(axis=0) > 0).all(), "each is held out some time"


def ads(count: int, seed: int, *, longer: float = 1.0, skills: range = range(40), each: float = 4.0) -> Ads:
    """Ads of 60 words, with skills of which a few are asked for again and again and many once."""
    random = np.random.default_rng(seed)
    words = random.gamma(9, 7 * longer, count).round() + 1
    weights = 1 / (np.arange(len(skills)) + 3.0)
    said = [
        skill_set(f"skill {n}" for n in random.choice(skills, random.poisson(each), p=weights / weights.sum()))
        for _ in range(count)
    ]
    return Ads(words, random.normal(1.4, 0.1, count), said)


def reference(of: Ads) -> Reference:
    return Reference(of, Counter(skill for ad in of.skills for skill in ad))


def beyond_chance(found: dict[str, object]) -> list[str]:
    """What is farther away than held-out ads of the training data."""
    pairs = [(name, found[name]) for name in MEASURES]
    return [name for name, of in pairs if isinstance(of, dict) and next(iter(of.values())) > of["chance"]]


@pytest.mark.parametrize("size", [24, 120])
def test_months_of_the_same_source_are_rarely_beyond_chance(size: int) -> None:
    """12 months, five measures each: a hundredth of 60 is none or one."""
    known = reference(ads(144, 0))
    beyond = [name for seed in range(1, 13) for name in beyond_chance(measure(ads(size, seed), known))]
    assert len(beyond) <= 3, Counter(beyond)


@pytest.mark.nightly
def test_chance_is_exceeded_as_rarely_as_it_says() -> None:
    """200 partitions and training data anew each time: a hundredth of each measure's 200 is 2."""
    beyond = Counter(
        name
        for seed in range(200)
        for name in beyond_chance(measure(ads(24, 2 * seed), reference(ads(144, 2 * seed + 1))))
    )
    assert max(beyond.values(), default=0) <= 7, beyond


@pytest.mark.parametrize(
    ("changed", "seen"),
    [
        ({"longer": 2.0}, "length"),
        ({"each": 9.0}, "skills_per_ad"),
        ({"skills": range(30, 70)}, "unseen_skills"),
        ({"skills": range(39, -1, -1)}, "top_skills"),
    ],
)
def test_what_has_shifted_is_seen(changed: dict[str, object], seen: str) -> None:
    assert seen in beyond_chance(measure(ads(24, 1, **changed), reference(ads(144, 0))))  # type: ignore[arg-type]


def test_chance_makes_more_of_fewer_ads() -> None:
    known = reference(ads(144, 0))
    chances = [measure(ads(size, 1), known)["length"]["chance"] for size in (3, 24, 72)]
    assert chances == sorted(chances, reverse=True) and chances[0] > 2 * chances[-1]


def test_unseen_skills_by_hand() -> None:
    numbers = np.ones(3)
    known = reference(Ads(numbers, numbers, [skill_set(["SQL", "Go"]), skill_set(["SQL"]), skill_set([])]))
    partition = Ads(numbers, numbers, [skill_set(["sql", "Rust"]), skill_set(["Rust", "Zig"]), skill_set(["SQL"])])
    found = measure(partition, known)
    assert (found["unseen_skills"]["share"], found["unseen_skills"]["distinct"]) == (0.6, 0.6667)
    assert (found["ads"], found["reference_ads"]) == (3, 3)


def test_skills_that_are_asked_for_once_are_unseen_in_any_month() -> None:
    """A long tail: a third of a month's skills are new, and so are those of training ads that are held out."""
    known = reference(ads(144, 0, skills=range(4_000)))
    found = measure(ads(24, 1, skills=range(4_000)), known)["unseen_skills"]
    assert found["share"] > 0.3 and found["share"] < found["chance"] < 0.9


def test_unseen_skills_are_among_the_others_of_the_top_ones() -> None:
    numbers = np.ones(2)
    known = reference(Ads(numbers, numbers, [skill_set(["SQL"]), skill_set(["SQL", "Go"])]))
    assert measure(Ads(numbers, numbers, [skill_set(["Rust"])]), known)["top_skills"]["js"] == 1


def test_labels_beyond_the_sample_are_seen_too() -> None:
    numbers = np.ones(2)
    known = Reference(Ads(numbers, numbers, [skill_set(["SQL"])] * 2), {"sql": 9, "rust": 1})
    assert measure(Ads(numbers, numbers, [skill_set(["Rust"])]), known)["unseen_skills"]["share"] == 0


EMPTY = Ads(np.empty(0), np.empty(0), [])


def test_what_cannot_be_told_is_none() -> None:
    known = reference(ads(144, 0))
    assert all(measure(EMPTY, known)[name] is None for name in MEASURES)
    assert all(measure(ads(24, 1), reference(EMPTY))[name] is None for name in MEASURES)
    without = Ads(np.ones(2), np.ones(2), [skill_set([])] * 2)
    found = measure(without, known)
    assert found["unseen_skills"] is found["top_skills"] is None and found["skills_per_ad"]["psi"] > 0
    bare = measure(ads(24, 1), reference(without))
    assert bare["unseen_skills"]["share"] == 1 and bare["top_skills"] is None


def test_one_ad_is_told_and_is_no_drift() -> None:
    found = measure(ads(1, 3), reference(ads(144, 0)))
    assert found["ads"] == 1 and beyond_chance(found) == []
    json.dumps(found, allow_nan=False)


@pytest.mark.shared
def test_five_years_of_real_ads(shared_data: Path) -> None:
    """React and Docker came between 2013 and 2018; the months after the training are much like it."""

    def months(*keys: str) -> Ads:
        lines = [
            line for key in keys for line in (shared_data / f"history/hn/{key}.jsonl").read_text().split("\n") if line
        ]
        rows = [json.loads(line) for line in lines]
        words = np.array([len(row["job_description"].split()) for row in rows], np.float64)
        return Ads(words, np.ones(len(rows)), [skill_set(row["skills"]) for row in rows])

    known = reference(months("2013-08", "2013-09", "2013-10", "2013-11", "2013-12", "2014-01"))
    soon, late = measure(months("2014-02"), known), measure(months("2018-04"), known)
    assert "top_skills" not in beyond_chance(soon)
    assert {"top_skills", "unseen_skills"} <= set(beyond_chance(late))
    assert soon["top_skills"]["js"] < Drift().js < late["top_skills"]["js"]
    assert late["ads"] == 120 and late["reference_ads"] == 720
