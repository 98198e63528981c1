"""Who trains, who validates, who is tested: by the source's word, by the hash of a cluster, and never on both sides."""

from __future__ import annotations

import hashlib
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skillsengine.spec.schema import Split
from skillsengine.stages.row_writer import SPLITS
from skillsengine.stages.rows import Row, read_rows
from skillsengine.stages.signatures import PERMUTATIONS
from skillsengine.stages.splits import (
    TEST,
    TRAIN,
    UNNAMED,
    VALIDATION,
    TrainingRows,
    formatted_inputs,
    scored_rows,
    signed_texts,
    training_rows,
)
from skillsengine.storage.artifact import Artifact
from tests.stages.formatted import ad_text, formatted, index_only, row

HALVES = Split(validation=0.3, test=0.3)


def ids(rows: TrainingRows, part: int) -> list[str]:
    return [each.id for of, each in rows if of == part]


def test_codes_are_those_of_the_index() -> None:
    assert [SPLITS[code] for code in (UNNAMED, TRAIN, VALIDATION, TEST)] == [None, "train", "validation", "test"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 2), st.booleans(), st.sampled_from(SPLITS), st.integers(0, 1)),
        min_size=1,
        max_size=25,
    ),
    st.booleans(),
    st.booleans(),
)
def test_no_copy_stands_on_two_sides(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[int, int, bool, str | None, int]],
    dated: bool,
    named: bool,
) -> None:
    """`drawn`: (ad, edits, labelled, split, partition). Ads of one number are near copies; with equal edits, exact ones."""
    folder = tmp_path_factory.mktemp("split")
    partitions: list[list[Row]] = [[], []]
    for number, (ad, edits, labelled, split, partition) in enumerate(drawn):
        made = row(
            ad_text(ad, edits), [] if labelled else None, id=f"{ad}/{edits}/{number}", split=split if named else None
        )
        partitions[partition if dated else 0].append(made)
    artifacts = [formatted(folder / str(n), rows) for n, rows in enumerate(partitions) if rows]
    used = training_rows(artifacts, HALVES, dated=dated)
    sides: dict[str, set[int]] = {}
    taken = []
    for part, each in used:
        assert each.skills is not None
        sides.setdefault(each.id.split("/")[0], set()).add(part)
        taken.append(each.key)
    assert len(taken) == len(set(taken)) == len(used), "of exact copies one is taken"
    if not dated:
        tested = list(read_rows(artifacts[0], scored_rows(artifacts[0], HALVES, dated=False).tobytes()))
        for each in tested:
            sides.setdefault(each.id.split("/")[0], set()).add(TEST)
    # Also where the source's files put copies of one ad into several splits.
    assert all(len(found) == 1 for found in sides.values())
    labelled = sum(each[2] for each in drawn)
    tested_and_labelled = labelled - len(used) - used.copies_left_out - used.near_copies_left_out
    assert used.labelled == labelled and used.rows == len(drawn)
    assert tested_and_labelled >= 0
    if dated and not named:
        assert tested_and_labelled == 0 and used.near_copies_left_out == 0


def test_the_hash_of_a_lone_text_decides_as_it_always_did(tmp_path: Path) -> None:
    """The same shares as before there were clusters: adapters that are registered keep their test rows."""
    rows = [row(ad_text(seed), [], id=str(seed)) for seed in range(200)]
    artifact = formatted(tmp_path / "f", rows)
    used = training_rows([artifact], HALVES, dated=False)

    def share(key: str, salt: str) -> float:
        return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode()).digest()[:8], "big") / 2**64

    tested = {each.id for each in rows if share(each.key, "test") < 0.3}
    assert ids(used, VALIDATION) == [
        each.id for each in rows if each.id not in tested and share(each.key, "validation") < 0.3
    ]
    assert {each.id for each in read_rows(artifact, scored_rows(artifact, HALVES, dated=False).tobytes())} == tested
    assert {*ids(used, TRAIN), *ids(used, VALIDATION), *tested} == {each.id for each in rows}
    assert 30 < len(tested) < 90
    assert used.summary() == {"copies_left_out": 0, "near_copies_left_out": 0, "near_copies": 0}
    assert not set(ids(training_rows([artifact], HALVES, dated=True), TRAIN)) >= tested, (
        "a dated source has no hashed test"
    )


def test_the_source_s_own_test_and_validation_hold_their_near_copies_back(tmp_path: Path) -> None:
    rows = [
        row(ad_text(1), [], id="train 1", split="train"),
        row(ad_text(1, 1), [], id="validation, near train 1", split="validation"),
        row(ad_text(2), [], id="train 2", split="train"),
        row(ad_text(2, 1), None, id="test, near train 2", split="test"),
        row(ad_text(3), [], id="validation 3", split="validation"),
        row(ad_text(3, 1), [], id="test, near validation 3", split="test"),
        row(ad_text(4), [], id="train 4", split="train"),
        row(ad_text(4), [], id="again train 4", split="train"),
        row(ad_text(4, 1), [], id="near train 4", split="train"),
        row(ad_text(5), [], id="train 5, as the test", split="train"),
        row(ad_text(5), [], id="test 5", split="test"),
        row(ad_text(6), None, id="unlabelled", split="train"),
    ]
    artifact = formatted(tmp_path / "f", rows)
    used = training_rows([artifact], Split(), dated=False)
    assert ids(used, TRAIN) == ["train 4", "near train 4"]
    assert ids(used, VALIDATION) == ["validation, near train 1"]
    assert used.summary() == {
        "copies_left_out": 2,  # again train 4; train 5
        "near_copies_left_out": 3,  # train 1, train 2, validation 3
        "near_copies": 8,
    }
    assert scored_rows(artifact, Split(), dated=False).tolist() == [each.split == "test" for each in rows]
    # Where only exact copies are copies, the rest may train.
    exact = training_rows([artifact], Split(near_copies=1.0), dated=False)
    assert exact.near_copies_left_out == 0
    assert ids(exact, TRAIN) == ["train 1", "train 2", "train 4", "near train 4"]


def test_copies_in_several_partitions_are_one_cluster(tmp_path: Path) -> None:
    """A text and its near copies in other months fall on one side, and the first labelled one of a text is taken."""
    months = [
        [
            row(ad_text(seed, edits), None if edits == month == 0 else [], id=f"{month}:{seed}/{edits}")
            for seed in range(40)
        ]
        for month, edits in ((0, 0), (1, 0), (2, 1))
    ]
    used = training_rows(
        [formatted(tmp_path / str(month), rows, str(month)) for month, rows in enumerate(months)], HALVES, dated=True
    )
    sides: dict[str, set[int]] = {}
    for part, each in used:
        sides.setdefault(each.id.split(":")[1].split("/")[0], set()).add(part)
    assert all(len(found) == 1 for found in sides.values()) and len(sides) == 40
    assert {each.id[0] for _, each in used} == {"1", "2"}
    assert {part for found in sides.values() for part in found} == {TRAIN, VALIDATION}
    assert used.near_copies == 80 and len(used) == 80


def test_only_the_wanted_rows_are_given(tmp_path: Path) -> None:
    artifacts = [
        formatted(
            tmp_path / str(month),
            [row(ad_text(month * 10 + n), [] if n % 3 else None, id=f"{month}{n}") for n in range(9)],
        )
        for month in range(2)
    ]
    used = training_rows(artifacts, Split(), dated=True)
    everyone = [each.id for _, each in used]
    wanted = np.arange(len(used)) % 2 == 1
    assert [each.id for _, each in used.only(wanted)] == everyone[1::2]
    assert [each.id for _, each in used.only(np.zeros(len(used), np.bool_))] == []


def test_inputs_are_read_in_the_partitions_order(tmp_path: Path) -> None:
    a, b = (formatted(tmp_path / key, [row(key)], key) for key in ("2026-01", "2026-02"))
    assert formatted_inputs({"format[2026-02]": b, "profile": a, "format[2026-01]": a}) == [a, b]


def test_texts_are_signed_in_the_order_of_their_first_occurrence(tmp_path: Path) -> None:
    rows = [row(each) for each in ("b", "a", "B", "c", "a")]
    texts = signed_texts(formatted(tmp_path / "f", rows))
    assert [f"{key:016x}" for key in texts.keys.tolist()] == [rows[0].key, rows[1].key, rows[3].key]


@pytest.mark.parametrize("shape", ["strangers", "near copies", "exact copies"])
def test_the_index_takes_at_most_200_bytes_a_row(tmp_path: Path, shape: str) -> None:
    """Everything that numpy allocates while the split is decided, its result included."""

    def artifact(rows: int) -> Artifact:
        random = np.random.default_rng(6)
        keys = random.integers(0, 2**64, rows, dtype=np.uint64)
        if shape == "exact copies":
            keys = keys[random.integers(0, rows // 10, rows)]
        texts = len(np.unique(keys))
        signatures = random.integers(0, 2**32, (texts, PERMUTATIONS), dtype=np.uint32)
        if shape == "near copies":
            taken = random.random(signatures.shape) < 0.93
            signatures = np.where(taken, signatures[np.arange(texts) // 5 * 5], signatures)
        return index_only(tmp_path / str(rows), keys, signatures)

    def peak(rows: int) -> int:
        made = artifact(rows)
        tracemalloc.start()
        used = training_rows([made], Split(), dated=False)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(used) > rows // 20
        return highest

    each = (peak(90_000) - peak(30_000)) / 60_000
    print(f"{each:.0f} bytes a row")
    assert each < 200


@pytest.mark.parametrize(
    ("files", "cut"),
    [
        (("train",), {VALIDATION, TEST}),
        (("train", "validation"), {TEST}),
        (("train", "test"), {VALIDATION}),
        (("train", "validation", "test"), set()),
    ],
)
def test_a_side_that_no_file_is_is_cut_out_of_train(tmp_path: Path, files: tuple[str, ...], cut: set[int]) -> None:
    rows = [
        row(ad_text(100 * place + n), id=f"{split}-{n}", split=split)
        for place, split in enumerate(files)
        for n in range(40)
    ]
    artifact = formatted(tmp_path / "all", rows)
    used = training_rows([artifact], HALVES, dated=False)
    tested = {each.id for each in read_rows(artifact, scored_rows(artifact, HALVES, dated=False).tobytes())}
    sides = {TRAIN: set(ids(used, TRAIN)), VALIDATION: set(ids(used, VALIDATION)), TEST: tested}
    assert sum(map(len, sides.values())) == len(rows), "every row is on one side"
    assert all(any(name.startswith("train-") for name in sides[side]) == (side in cut) for side in (VALIDATION, TEST))
    for split in set(files) - {"train"}:
        assert {f"{split}-{n}" for n in range(40)} <= sides[SPLITS.index(split)], "what files say holds"


def test_a_test_file_of_which_nothing_is_left_is_not_made_up_for(tmp_path: Path) -> None:
    made = formatted(tmp_path / "all", [row(ad_text(n), split="train") for n in range(40)])
    said = Artifact(made.path, replace(made.manifest, summary=made.summary | {"splits": ["train", "test"]}))
    assert not scored_rows(said, HALVES, dated=False).any()
    assert scored_rows(made, HALVES, dated=False).any()
