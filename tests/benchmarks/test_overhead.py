"""What `benchmarks.overhead` makes of its figures, and that the page quotes those that were recorded."""

from __future__ import annotations

from benchmarks._record import read_rows
from benchmarks.overhead import kept, ratios, summary, table
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


def test_rows_that_are_measured_anew_go_and_no_others() -> None:
    many = {"airflow": "embedded", "what": "10 at once"}
    other = {"airflow": "celery", "what": "10 at once"}
    assert kept([*ROWS, many, other], "embedded", None) == [other]
    assert kept([*ROWS, many, other], "embedded", ["10 at once", "100 at once"]) == [*ROWS, other]


def test_failed_runs_stand_in_the_table() -> None:
    many = {
        "seconds": 1,
        "cpu_seconds_a_run": 1,
        "memory_mb": 1,
        "database_kb_a_run": 1,
        "what": "",
        "airflow": "celery",
    }
    assert "| celery | 1,000, 2 failed | 1 |" in table([{**many, "runs": 1000, "failed": 2}])
    assert "| celery | 1,000 | 1 |" in table([{**many, "runs": 1000, "failed": 0}])


def test_the_page_has_the_recorded_table() -> None:
    rows = read_rows("overhead")
    assert {row["what"] for row in rows} >= {"bare", "cached", "whole"}
    assert table(rows) in (PROJECT / "benchmarks" / "README.md").read_text("utf-8")
