"""What `benchmarks.matrix` makes of its rows, and that docs/matrix.md has its figures."""

from __future__ import annotations

from benchmarks._record import read_rows
from benchmarks.matrix import ratios, table
from tests.conftest import PROJECT


def test_the_page_has_the_recorded_figures() -> None:
    """`python -m benchmarks.matrix` prints the table."""
    assert table(read_rows("matrix")) in (PROJECT / "docs" / "matrix.md").read_text("utf-8")


def test_a_further_run_is_its_fixed_cost_and_the_rest_of_a_cell_its_marginal_one() -> None:
    rows = [
        {"series": "reality", "what": "first fill", "seconds": 100.0, "cells": 20, "runs": 1},
        {
            "series": "reality",
            "what": "grouped: one run",
            "seconds": 34.0,
            "cells": 6,
            "runs": 1,
            "of_which_generating": 24.0,
        },
        {
            "series": "reality",
            "what": "grouped: a run a cell",
            "seconds": 54.0,
            "cells": 6,
            "runs": 6,
            "of_which_generating": 24.0,
        },
    ]
    assert ratios(rows) == {
        "reality": {
            "fixed_seconds_a_run": 4.0,
            "marginal_seconds_a_cell": 5.0,
            "beside_answering_a_run_a_cell_to_one_run": 3.0,
            "all_a_run_a_cell_to_one_run": 1.59,
            "first_fill_seconds_a_cell": 5.0,
        }
    }
    assert ratios(rows[:2]) == {"reality": {"first_fill_seconds_a_cell": 5.0}}
