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


def test_every_fifteen_seconds_and_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    moments = [(float(s), "finetune", Progress(f"step {s}", s / 50)) for s in range(45)]
    moments += [(45.0, "finetune", Progress("step 45", 1.0)), (45.1, "finetune", Progress("again", 1.0))]
    found = lines(caplog, moments)
    assert [line.split(" · ")[0] for line in found] == [
        "finetune: step 0",
        "finetune: step 15",
        "finetune: step 30",
        "finetune: step 45",
    ]


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
