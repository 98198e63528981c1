"""Which runs fill missing cells, and what they will take."""

from __future__ import annotations

from skillsengine.pipeline.fill_cost import Pace, fill_cost
from skillsengine.pipeline.filling import asked_of_runs, pairs, runs_for
from skillsengine.pipeline.matrix import Cell
from tests.pipeline.project import tiny_experiment

MISSING = [Cell(number, "all", "missing", "d", subject) for number in (1, 2) for subject in ("adapter", "base")]


def test_a_source_that_is_not_dated_has_versions_to_score_and_no_cells() -> None:
    runs = runs_for(MISSING)
    assert list(asked_of_runs(tiny_experiment(data={"source": "ads"}), runs)) == [{"versions": ["1", "2"]}]
    assert list(asked_of_runs(tiny_experiment(), runs)) == [{"cells": ["1@all", "2@all"]}]


def test_a_baseline_is_made_beside_its_version_and_runs_are_bounded() -> None:
    assert pairs(MISSING) == [(1, "all"), (2, "all")]
    many = [Cell(number, "2026-01", "missing", "") for number in range(1001)]
    assert [len(run) for run in runs_for(many)] == [500, 500, 1]


def test_what_it_takes_is_the_median_of_what_others_took() -> None:
    known = [Cell(1, str(n), "scored", "", "adapter", {"seconds": took}) for n, took in enumerate((1.0, 2.0, 30.0))]
    before = Cell(1, "9", "missing", "", "adapter", outdated={"seconds": 2.0})
    cost = fill_cost([*known, before], MISSING)
    assert (cost.seconds, cost.unknown) == (None, ("base",)) and cost.paces == {"adapter": Pace(2.0, 4)}
    cost = fill_cost([*known, Cell(1, "1", "scored", "", "base", {"seconds": 0.5})], MISSING)
    assert cost.seconds == 5.0 and not cost.unknown
    assert fill_cost([], []).seconds == 0
