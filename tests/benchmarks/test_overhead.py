"""What `benchmarks.overhead` makes of its figures, and that the page quotes those that were recorded."""

from __future__ import annotations

from benchmarks._record import read_rows
from benchmarks.overhead import ratios, summary, table
from tests.docs.pages import PROJECT

ROWS = [
    {"airflow": "embedded", **row}
    for row in (
        summary("bare", [{"seconds": second, "work": 0.0, "cpu_seconds": 8.0} for second in (9.0, 10.0, 12.0)]),
        summary("cached", [{"seconds": 18.0, "work": 0.0, "cpu_seconds": 16.0}]),
        summary("whole", [{"seconds": 50.0, "work": 30.0, "cpu_seconds": 40.0}]),
    )
]


def test_a_summary_has_the_median_and_the_ends() -> None:
    assert ROWS[0] == {
        **{"airflow": "embedded", "what": "bare", "runs": 3, "seconds": 10.0, "work": 0.0, "cpu_seconds": 8.0},
        **{"shortest": 9.0, "longest": 12.0},
    }


def test_ratios_are_ours_to_the_bare_dag_of_the_same_airflow() -> None:
    assert ratios([*ROWS, {"airflow": "celery", "what": "10 at once", "runs": 10}]) == {
        "embedded": {
            "cached_to_bare": 1.8,
            "whole_without_its_work_to_bare": 2.0,
            "seconds_a_task_more_than_bare": 1.0,
            "cpu_cached_to_bare": 2.0,
            "cpu_seconds_a_task_more_than_bare": 1.0,
        }
    }


def test_the_page_has_the_recorded_table() -> None:
    rows = read_rows("overhead")
    assert {row["what"] for row in rows} >= {"bare", "cached", "whole"}
    assert table(rows) in (PROJECT / "benchmarks" / "README.md").read_text("utf-8")
