"""Which ads are exported to be labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skillsengine.spec.schema import Split
from skillsengine.stages.to_label import choose_rows
from skillsengine.stages.unseen import sample
from skillsengine.storage.artifact import Artifact
from tests.stages.formatted import ad_text, formatted, row


def chosen(artifact: Artifact, size: int, *, labelled: bool = False, dated: bool = True) -> tuple[list[str], int]:
    rows, of = choose_rows(artifact, Split(), dated=dated, seed=7, size=size, labelled=labelled)
    return [each.id for each in rows], of


def test_they_are_those_that_an_evaluation_scores_first(tmp_path: Path) -> None:
    rows = [row(ad_text(number), None, id=str(number)) for number in range(12)]
    artifact = formatted(tmp_path / "all", rows)
    keys = np.asarray([int(each.key, 16) for each in rows], np.uint64)
    scored = [str(place) for place in sample(keys, 5, 7)]
    assert chosen(artifact, 5) == (scored, 12)
    assert set(chosen(artifact, 3)[0]) < set(scored)
    assert chosen(artifact, 50)[0] == [each.id for each in rows]


def test_each_text_once_without_labels_or_with(tmp_path: Path) -> None:
    rows = [row(ad_text(number % 3), () if number == 2 else None, id=str(number)) for number in range(6)]
    artifact = formatted(tmp_path / "all", rows)
    assert chosen(artifact, 9) == (["0", "1"], 2)
    assert chosen(artifact, 9, labelled=True) == (["2"], 1)


def test_of_a_static_source_test_rows_alone(tmp_path: Path) -> None:
    rows = [row(ad_text(n), None, id=str(n), split=("train", "validation", "test")[n % 3]) for n in range(9)]
    assert chosen(formatted(tmp_path / "all", rows), 9, dated=False) == (["2", "5", "8"], 3)
