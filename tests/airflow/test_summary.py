"""What stands at the end of a task's log."""

from __future__ import annotations

from typing import Any

from skillsengine.airflow.summary import scores_told, steps_told, table


def step(name: str, seconds: float | None, **summary: Any) -> dict[str, Any]:
    return {"id": name, "cached": seconds is None, "seconds": seconds or 0.1, "summary": summary}


def test_neighbours_stand_beside_each_other() -> None:
    steps = [step("format[2026-01]", 1.25, rows=1234, rejected=0), step("format[2026-02]", None, rows=8, skills=0)]
    assert steps_told([*steps, step("format[2026-03]", 2.0, rows=9, rejected=1)]) == [
        "format: 2 done in 3.2 s, 1 cached",
        "            2026-01  2026-02  2026-03",
        "  time        1.2 s   cached    2.0 s",
        "  rows        1,234        8        9",
        "  rejected        0        –        1",
    ]
    assert steps_told([step("register", 1.0, model="a", number=1, version="a@1")]) == [
        "register: 1.0 s",
        "  version  a@1",
    ]
    assert steps_told([]) == [] and steps_told([step("gate", 1.0)]) == ["gate: 1.0 s"]


def test_a_score_of_zero_is_told_and_a_count_is_not() -> None:
    cells = {
        "a@1": {"f1": 0.0, "f1_low": 0.0, "f1_high": 0.0, "invented": 0, "macro_f1": 0.5, "rows": 3},
        "lexicon": {"f1": 0.5, "f1_low": 0.4, "f1_high": 0.6, "invented": 0},
    }
    assert scores_told(cells) == [
        "                 a@1       lexicon",
        "  rows             3             –",
        "  f1    0.000 ±0.000  0.500 ±0.100",
    ]


def test_no_line_is_wider_than_a_log() -> None:
    many = {f"2026-{month:02}": {"rows": month, "text": "x" * 400} for month in range(1, 13)}
    lines = table(many)
    assert max(map(len, lines)) <= 6 * 26 + 8 and len(lines) == 6, "twelve columns are two blocks"
    assert lines[0].split() == [f"2026-{month:02}" for month in range(1, 7)]
    assert lines[2].split()[1] == "x" * 23 + "…"
