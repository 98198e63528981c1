"""What a running stage tells: all numbers to the tracker, the newest of each to the catalog at a pace."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from skillsengine.pipeline.execute import Reporter
from skillsengine.stages.contract import Progress
from tests.stages.support import Recorder


def test_the_catalog_keeps_the_newest_number_of_each_name() -> None:
    kept: list[dict[str, Any]] = []
    catalog = SimpleNamespace(update_step=lambda run, step, shown, attempt: kept.append(shown))
    catalog.impatient = lambda: catalog
    tracker = Recorder()
    around: Any = SimpleNamespace(catalog=catalog, run_pk=1, observer=None)
    step: Any = SimpleNamespace(id="finetune")
    report = Reporter(step, around, tracker)
    report(Progress("loading"))
    report(Progress("step 1/2", 0.5, 9.0, {"train/loss": 2.0, "train/mfu": 0.4}, 1))  # within the same second
    report(Progress("step 2/2", 1.0, 0.0, {"train/loss": 1.0}, 2))
    assert kept == [
        {"text": "loading", "fraction": None, "seconds_left": None},
        {
            "text": "step 2/2",
            "fraction": 1.0,
            "seconds_left": 0.0,
            "metrics": {"train/loss": 1.0, "train/mfu": 0.4},
            "history": [{"step": 1, "train/loss": 2.0}, {"step": 2, "train/loss": 1.0}],
        },
    ]
    assert tracker.logged == [{"train/loss": 2.0, "train/mfu": 0.4}, {"train/loss": 1.0}]
