"""Two processes that train together (gloo, on the CPU) learn what one learns alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from skillsengine.airflow.stopping import Stopping
from skillsengine.stages.contract import HandedOver, Progress, StageError
from skillsengine.stages.team import Team
from tests.stages.training import Training

SECTIONS: dict[str, Any] = {
    "train": {"batch_size": 5, "per_device_batch_size": 2, "epochs": 2, "sample_predictions": 1}
}
"""16 rows: the last step of an epoch has one, so that one of the processes has none of it."""
TWO = SECTIONS | {"resources": {"gpus": 2}}


class Stopped(Exception):
    """As another attempt's taking over would be."""


@pytest.mark.nightly
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    alone, together = _both(tmp_path)
    one, two = alone.run(), together.run()
    _same(together, alone)
    assert two["steps"] == one["steps"] == 8
    assert (two["tokens"], two["train_rows"]) == (one["tokens"], one["train_rows"])
    assert (together.folder / "out" / "samples.jsonl").read_text().count("\n") == 2, "one process answers"


@pytest.mark.nightly
def test_a_stopped_training_goes_on_in_both(tmp_path: Path) -> None:
    alone, together = _both(tmp_path)
    alone.run()

    def stop(progress: Progress) -> None:
        if progress.step == 6:
            raise Stopped

    with pytest.raises(Stopped):
        together.run("stopped", report=stop)
    assert not (together.folder / "stopped" / "adapter").exists()
    assert together.run()["resumed_from_step"] == 5, "the first process' checkpoint is read by both"
    _same(together, alone)


@pytest.mark.nightly
def test_both_hand_over_after_the_same_step(tmp_path: Path) -> None:
    alone, together = _both(tmp_path)
    alone.run()
    mark = tmp_path / "mark"

    def tell(progress: Progress) -> None:
        if progress.step == 3:
            mark.touch()

    with pytest.raises(HandedOver, match=r"the training has stopped after step [34] of 8, with a checkpoint"):
        together.run("stopped", report=tell, stopping=Stopping((mark,)))
    mark.unlink()
    assert together.run()["resumed_from_step"] in (3, 4)
    _same(together, alone)


def _both(folder: Path) -> tuple[Training, Training]:
    return Training(folder / "one", SECTIONS), Training(folder / "two", TWO)


def _same(together: Training, alone: Training) -> None:
    """The curve and the adapter; sums are made in another order."""
    for entry, expected in zip(together.metrics(), alone.metrics(), strict=True):
        assert entry == pytest.approx(expected, rel=1e-4)
    theirs, ours = together.adapter(), alone.adapter()
    assert theirs.keys() == ours.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(theirs[name], weight, rtol=1e-3, atol=1e-5)


def test_each_row_of_a_step_has_one_process() -> None:
    rows = list(range(7))
    shares = [Team(rank, 3).share(rows) for rank in range(3)]
    assert sorted(row for share in shares for row in share) == rows
    assert Team(0, 3).share(rows, 2) == shares[2]


def test_more_gpus_than_there_are(tmp_path: Path) -> None:
    sections = SECTIONS | {"resources": {"gpus": 2, "device": "cuda"}}
    with pytest.raises(StageError, match=r"resources.gpus: 2, but this machine shows \d CUDA devices to torch"):
        Training(tmp_path / "gpus", sections).run()
