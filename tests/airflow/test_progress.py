"""Progress at a pace that people read."""

from __future__ import annotations

import logging

import pytest

from skillsengine.airflow.progress import ProgressLog, time_left
from skillsengine.stages.contract import Progress


def lines(caplog: pytest.LogCaptureFixture, moments: list[tuple[float, str, Progress]]) -> list[str]:
    caplog.set_level(logging.INFO)
    now = 0.0
    observer = ProgressLog(logging.getLogger("progress"), clock=lambda: now)
    for at, step, progress in moments:
        now = at
        observer(step, progress)
    return [record.getMessage() for record in caplog.records]


def test_every_ten_seconds_and_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    moments = [(float(s), "finetune", Progress(f"step {s}", s / 1000)) for s in range(35)]
    moments += [(35.0, "finetune", Progress("step 35", 1.0)), (35.1, "finetune", Progress("again", 1.0))]
    found = lines(caplog, moments)
    assert [line.split(" · ")[0] for line in found] == [
        "finetune: step 0",
        "finetune: step 10",
        "finetune: step 20",
        "finetune: step 30",
        "finetune: step 35",
    ]


def test_every_twentieth_of_the_work_but_not_faster_than_one_reads(caplog: pytest.LogCaptureFixture) -> None:
    slow = [(s * 1.0, "a", Progress("x", s / 100)) for s in range(0, 21)]
    assert len(lines(caplog, slow)) == 5
    caplog.clear()
    fast = [(s * 0.001, "b", Progress("x", s / 100)) for s in range(0, 100)]
    assert len(lines(caplog, fast)) == 1


def test_each_step_says_something(caplog: pytest.LogCaptureFixture) -> None:
    found = lines(
        caplog, [(0, "evaluate[base]", Progress("1/4", 0.25, 75.0)), (0.1, "evaluate[adapter]", Progress("x"))]
    )
    assert found == ["evaluate[base]: 1/4 · 25% · about 75 s left", "evaluate[adapter]: x"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (12000, "3 h 20 min")]
)
def test_time_left(seconds: float, text: str) -> None:
    assert time_left(seconds) == text
