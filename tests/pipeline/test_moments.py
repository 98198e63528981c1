"""The course of a training in the catalog: whole after a resume, and never longer than a chart is wide."""

from __future__ import annotations

from pathlib import Path

from skillsengine.pipeline.moments import MOST, Moments
from skillsengine.storage.catalog import Catalog
from tests.storage.support import pin


def test_one_entry_a_step_with_what_charts_are_drawn_from() -> None:
    moments = Moments()
    moments.add(10, {"train/loss": 1.23456789, "train/mfu": 0.4, "train/tokens_per_second": 109.7144})
    moments.add(20, {"train/loss": 1.0})
    moments.add(20, {"eval/loss": 0.9})
    moments.add(None, {"train/loss": 9.0})
    moments.add(30, {"examples_per_second": 3.0})
    assert moments.as_json() == [
        {"step": 10, "train/loss": 1.2346, "train/tokens_per_second": 109.71},
        {"step": 20, "train/loss": 1.0, "eval/loss": 0.9},
    ]


def test_an_attempt_that_goes_on_after_its_checkpoint_wipes_what_came_after_it() -> None:
    moments = Moments(
        [{"step": 10, "train/loss": 2.0}, {"step": 20, "train/loss": 1.5}, {"step": 30, "train/loss": 1.2}]
    )
    moments.add(20, {"train/loss": 1.5})
    moments.add(30, {"train/loss": 1.1})
    assert [(m["step"], m["train/loss"]) for m in moments.as_json()] == [(10, 2.0), (20, 1.5), (30, 1.1)]


def test_a_long_training_is_thinned_but_for_its_evaluations() -> None:
    moments = Moments()
    for step in range(1, 5001):
        moments.add(step, {"train/loss": 1 / step})
        if step % 1000 == 0:
            moments.add(step, {"eval/loss": 0.5})
    kept = moments.as_json()
    assert MOST / 2 <= len(kept) <= MOST and kept[-1]["step"] == 5000
    assert [m["step"] for m in kept if "eval/loss" in m] == [1000, 2000, 3000, 4000, 5000]


def test_it_outlives_the_next_attempt_of_its_step(tmp_path: Path) -> None:
    catalog = Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}")
    run, history = pin(catalog, "r").id, [{"step": 1, "train/loss": 2.0}]
    catalog.start_step(run, "finetune", "finetune", None, "a" * 64)
    catalog.update_step(run, "finetune", {"text": "step 1/9", "history": history})
    again = catalog.start_step(run, "finetune", "finetune", None, "a" * 64)
    assert again.progress == {"history": history}
    assert catalog.history_of("job-skills", "a" * 64) == history and catalog.history_of("other", "a" * 64) == []
    assert catalog.start_step(run, "finetune", "finetune", None, "b" * 64).progress == {}, "another training"
