"""What an adapter carries of its training texts, and which ads are near copies of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skillsengine.stages.rows import normalized_key
from skillsengine.stages.signatures import signatures_of
from skillsengine.stages.trained_on import near_copies_of_trained, read_keys, write_trained_on
from skillsengine.storage.artifact import Artifact
from tests.stages.formatted import ad_text, formatted, row
from tests.stages.support import as_artifact


def text(number: int, edits: int = 0) -> str:
    return ad_text(number, edits, length=200)


def key(ad: str) -> int:
    return int(normalized_key(ad), 16)


@pytest.fixture
def finetuned(tmp_path: Path) -> Artifact:
    """Trained on the texts 0 to 4 of two months, of which the second repeats one of the first; 5 and 6 were not used."""
    months = [
        formatted(tmp_path / "m1", [row(text(number)) for number in (5, 0, 1, 2)], "2026-01"),
        formatted(tmp_path / "m2", [row(text(number)) for number in (3, 1, 4, 6)], "2026-02"),
    ]
    (tmp_path / "finetuned").mkdir()
    keys = np.array([key(text(number)) for number in (4, 0, 1, 2, 3, 1)], np.uint64)
    write_trained_on(tmp_path / "finetuned", months, keys)
    return as_artifact(tmp_path / "finetuned", "finetune", {})


def test_keys_and_signatures_stand_in_the_same_order(finetuned: Artifact) -> None:
    texts = sorted((text(number) for number in range(5)), key=key)
    assert read_keys(finetuned).tolist() == [key(each) for each in texts]
    assert finetuned.file("trained_on.txt").read_text() == "".join(f"{key(each):016x}\n" for each in texts)
    assert (np.load(finetuned.file("trained_on.npy")) == signatures_of(texts)).all()


def test_near_copies_of_what_was_trained(finetuned: Artifact, tmp_path: Path) -> None:
    ads = [text(0, 1), text(3), text(5), text(6, 1), text(7), text(7, 1)]
    partition = formatted(tmp_path / "m3", [row(ad) for ad in ads], "2026-03")
    assert near_copies_of_trained(finetuned, partition, 0.8).tolist() == [key(ads[0]), key(ads[1])]
    assert near_copies_of_trained(finetuned, partition, 1.0).tolist() == [key(ads[1])]


def test_a_near_copy_of_a_near_copy_is_one_too(finetuned: Artifact, tmp_path: Path) -> None:
    """Each step changes a few words; the last text and the trained one have too little in common to be near copies."""
    steps = [text(0, edits) for edits in (8, 16, 24, 32, 40)]
    partition = formatted(tmp_path / "m3", [row(ad) for ad in steps], "2026-03")
    assert near_copies_of_trained(finetuned, partition, 0.8).tolist() == [key(ad) for ad in steps]
    alone = formatted(tmp_path / "m4", [row(steps[-1])], "2026-04")
    assert near_copies_of_trained(finetuned, alone, 0.8).tolist() == []


def test_an_older_adapter_knows_no_signatures(finetuned: Artifact, tmp_path: Path) -> None:
    finetuned.file("trained_on.npy").unlink()
    older = as_artifact(finetuned.path, "finetune", {})
    partition = formatted(tmp_path / "m3", [row(text(0, 1)), row(text(0))], "2026-03")
    assert near_copies_of_trained(older, partition, 0.8).tolist() == []
    assert key(text(0)) in read_keys(older).tolist()


def test_an_adapter_that_was_trained_on_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "finetuned"
    folder.mkdir()
    write_trained_on(folder, [], np.empty(0, np.uint64))
    empty = as_artifact(folder, "finetune", {})
    partition = formatted(tmp_path / "m", [row(text(0))], "2026-03")
    assert read_keys(empty).tolist() == [] and near_copies_of_trained(empty, partition, 0.8).tolist() == []
