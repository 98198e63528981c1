"""Clusters against brute force; what large buckets may miss; and how much memory they take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skillsengine.stages.contract import StageError
from skillsengine.stages.near_copies import Clusters, SignedTexts, bands_for, find_clusters
from skillsengine.stages.signatures import PERMUTATIONS, Signatures
from tests.stages.formatted import signed

THRESHOLDS = st.floats(0.05, 1.0, exclude_max=True)
LOOSE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def stored(folder: Path, signatures: Signatures, keys: Sequence[int] | None = None, name: str = "s") -> SignedTexts:
    np.save(folder / f"{name}.npy", signatures.astype("<u4"))
    numbers = range(len(signatures)) if keys is None else keys
    return SignedTexts(np.array(numbers, np.uint64), folder / f"{name}.npy")


def brute_force(signatures: Signatures, threshold: float) -> NDArray[np.int64]:
    """The first text of each text's cluster, by comparing all with all."""
    first = np.arange(len(signatures))
    for a in range(len(signatures)):
        for b in range(a):
            if (signatures[a] == signatures[b]).sum() >= threshold * PERMUTATIONS - 1e-9:
                first[first == first[a]] = min(first[a], first[b])
                first[first == first[b]] = first[a]
    return np.array([np.flatnonzero(first == each)[0] for each in first])


def related(random: np.random.Generator, texts: int, share: float) -> Signatures:
    """Signatures that take each value from an earlier text with the probability `share`."""
    made = random.integers(0, 2**32, (texts, PERMUTATIONS), dtype=np.uint32)
    for place in range(1, texts):
        if random.random() < 0.7:
            taken = random.random(PERMUTATIONS) < share
            made[place, taken] = made[random.integers(place), taken]
    return made


@given(THRESHOLDS)
def test_near_copies_share_a_band(threshold: float) -> None:
    bands = bands_for(threshold)
    assert bands.needed - 1 < threshold * PERMUTATIONS <= bands.needed + 1e-6
    # The values in which two near copies may differ cannot spoil every band.
    assert bands.number > PERMUTATIONS - bands.needed
    assert bands.number * bands.width <= PERMUTATIONS


def test_the_default_s_bands() -> None:
    bands = bands_for(0.8)
    assert (bands.number, bands.width, bands.needed) == (16, 4, 52)


@LOOSE
@given(st.integers(1, 9), st.floats(0.3, 1.0), THRESHOLDS, st.integers(0, 2**32))
def test_few_texts_are_joined_exactly_as_by_brute_force(
    tmp_path: Path, texts: int, share: float, threshold: float, seed: int
) -> None:
    signatures = related(np.random.default_rng(seed), texts, share)
    clusters = find_clusters([stored(tmp_path, signatures)], threshold)
    assert clusters.first.tolist() == brute_force(signatures, threshold).tolist()


@LOOSE
@given(st.integers(10, 60), st.floats(0.6, 1.0), st.floats(0.5, 0.99), st.integers(0, 2**32))
def test_of_many_texts_none_is_joined_that_brute_force_does_not_join(
    tmp_path: Path, texts: int, share: float, threshold: float, seed: int
) -> None:
    signatures = related(np.random.default_rng(seed), texts, share)
    found, exact = find_clusters([stored(tmp_path, signatures)], threshold).first, brute_force(signatures, threshold)
    assert (exact == exact[found]).all()


@LOOSE
@given(
    st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=14), min_size=1, max_size=8),
    st.sampled_from([0.5, 0.8, 1.0]),
)
def test_texts_exact_copies_always_strangers_never(tmp_path: Path, ads: list[list[int]], threshold: float) -> None:
    texts = [" ".join(f"word{number}" for number in ad) for ad in ads]
    half = len(texts) // 2
    files = [
        signed(tmp_path, list(dict.fromkeys(part)), name) for name, part in (("a", texts[:half]), ("b", texts[half:]))
    ]
    clusters = find_clusters(files, threshold)
    keys = np.concatenate([file.keys for file in files])
    assert clusters.keys.tolist() == sorted(set(keys.tolist()))
    windows = [{tuple(ad[i : i + 5]) for i in range(max(1, len(ad) - 4))} for ad in ads]
    cluster = [int(clusters.first[clusters.places(signed(tmp_path, [text], "c").keys)][0]) for text in texts]
    chain = _chains(windows)
    for one, other in product(range(len(texts)), repeat=2):
        if windows[one] == windows[other] and len(windows[one]) == 1:
            assert cluster[one] == cluster[other]
        if chain[one] != chain[other]:  # not even one sequence in common, over any number of others
            assert cluster[one] != cluster[other]


def _chains(sets: list[set[tuple[int, ...]]]) -> list[int]:
    chain = list(range(len(sets)))
    for a in range(len(sets)):
        for b in range(a):
            if sets[a] & sets[b]:
                chain = [chain[b] if each == chain[a] else each for each in chain]
    return chain


def test_a_cluster_s_id_is_its_smallest_key_over_several_files(tmp_path: Path) -> None:
    signatures = np.random.default_rng(1).integers(0, 2**32, (4, PERMUTATIONS), dtype=np.uint32)
    near = signatures[0].copy()
    near[:5] += 1
    first = stored(tmp_path, signatures, [70, 20, 2**64 - 1, 40], "first")
    second = stored(tmp_path, np.stack([near, signatures[1]]), [30, 20], "second")
    clusters = find_clusters([first, second], 0.8)
    assert clusters.keys.tolist() == [20, 30, 40, 70, 2**64 - 1]
    assert clusters.keys[clusters.first].tolist() == [20, 30, 40, 30, 2**64 - 1]
    assert clusters.near_copies == 2
    assert find_clusters([], 0.8).near_copies == 0


def test_near_copies_among_thousands_with_the_same_boilerplate(tmp_path: Path) -> None:
    """One agency's ads share half of their values, so whole bands: buckets of hundreds, in which neighbours are compared."""
    random = np.random.default_rng(2)
    strangers, pairs = 6_000, 1_000
    signatures = random.integers(0, 2**32, (strangers + pairs, PERMUTATIONS), dtype=np.uint32)
    boilerplate = random.random(signatures.shape) < 0.5
    signatures[boilerplate] = np.broadcast_to(signatures[0], signatures.shape)[boilerplate]
    copies = random.random((pairs, PERMUTATIONS)) < 0.9  # of the first `pairs` texts, 10% of the values changed
    signatures[strangers:][copies] = signatures[:pairs][copies]
    agree = (signatures[strangers:] == signatures[:pairs]).sum(axis=1)
    clusters = find_clusters([stored(tmp_path, signatures)], 0.8)
    found = clusters.first[strangers:] == clusters.first[:pairs]
    assert not found[agree < 52].any()
    assert found[agree >= 52].mean() > 0.99
    assert clusters.near_copies == 2 * found.sum(), "no stranger is joined"


def test_a_bucket_of_copies_larger_than_a_stretch_is_one_cluster(tmp_path: Path) -> None:
    signatures = np.random.default_rng(3).integers(0, 2**32, (40_000, PERMUTATIONS), dtype=np.uint32)
    signatures[:] = signatures[0]
    signatures[np.arange(40_000), np.arange(40_000) % 64] += np.arange(40_000, dtype=np.uint32) % 9 + 1
    clusters = find_clusters([stored(tmp_path, signatures, Random(4).sample(range(10**6), 40_000))], 0.8)
    assert not clusters.first.any()


@pytest.mark.parametrize("alike", [False, True], ids=["strangers", "near copies"])
def test_memory_for_each_text(tmp_path: Path, alike: bool) -> None:
    """At most 100 bytes a text beside the buffers, which are the same for any number of texts."""

    def peak(texts: int) -> int:
        random = np.random.default_rng(5)
        signatures = random.integers(0, 2**32, (texts, PERMUTATIONS), dtype=np.uint32)
        if alike:
            taken = random.random(signatures.shape) < 0.93
            signatures = np.where(taken, signatures[np.arange(texts) // 5 * 5], signatures)
        file = stored(tmp_path, signatures)
        del signatures
        tracemalloc.start()
        clusters = find_clusters([file], 0.8)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (clusters.near_copies > 0.9 * texts) == alike
        return highest

    # Both fill the buffers: their difference is what a text takes.
    each = (peak(120_000) - peak(40_000)) / 80_000
    print(f"{each:.0f} bytes a text")
    assert each < 100


def test_a_threshold_of_one_stands_for_exact_copies(tmp_path: Path) -> None:
    # Texts that differ in one of many words often have equal signatures.
    files = [stored(tmp_path, np.zeros((2, PERMUTATIONS), np.uint32), keys, str(keys[0])) for keys in ([1, 2], [3, 2])]
    assert find_clusters(files, 1.0).first.tolist() == [0, 1, 2]
    assert find_clusters(files, 0.99).first.tolist() == [0, 0, 0]


def test_a_file_of_another_length_is_refused(tmp_path: Path) -> None:
    signatures = np.zeros((3, PERMUTATIONS), np.uint32)
    file = stored(tmp_path, signatures)
    with pytest.raises(
        StageError, match=r"s\.npy: signatures of shape \(3, 64\) and type uint32, for 2 texts .*damaged"
    ):
        find_clusters([SignedTexts(file.keys[:2], file.file)], 0.8)


def test_places() -> None:
    clusters = Clusters(np.array([3, 5, 9], np.uint64), np.array([0, 1, 0], np.int32))
    assert clusters.places(np.array([9, 3, 9], np.uint64)).tolist() == [2, 0, 2]
