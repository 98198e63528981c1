"""A killed training goes on from its newest whole checkpoint, and ends as if it had not been killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from skillsengine.stages.contract import HandedOver
from tests.stages.training import Stopped, Training, stop_at

DROPOUT = {"lora": {"dropout": 0.2}}


def _same(training: Training, one: str, other: str, resumed: Training | None = None) -> None:
    """Bit for bit, and a log without hole or double."""
    resumed = resumed or training
    first, second = training.adapter(one), resumed.adapter(other)
    assert set(first) == set(second)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert training.metrics(one) == resumed.metrics(other)


def test_after_a_kill(tmp_path: Path) -> None:
    """The promise: SIGKILL after the second checkpoint, resumed by another process, bit for bit."""
    sections = {**DROPOUT, "train": {"checkpoint_steps": 5}}
    training = Training(tmp_path, sections)
    whole = training.run("whole", checkpoints="checkpoints-whole")
    command = [sys.executable, "-m", "tests.stages.training", str(tmp_path), json.dumps(sections), "11"]
    killed = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["checkpoint-10", "checkpoint-5"]
    training.reports.clear()
    summary = training.run("resumed")
    _same(training, "whole", "resumed")
    assert summary["resumed_from_step"] == 10
    assert [p.step for p in training.reports if "tokens/s" in p.text] == [11, 12]
    assert any("going on after step 10 of an earlier attempt" in p.text for p in training.reports)
    volatile = ("seconds", "tokens_per_second", "peak_memory_gb", "model_flop_utilization", "resumed_from_step")
    assert {k: v for k, v in summary.items() if k not in volatile} == {
        k: v for k, v in whole.items() if k not in volatile
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Training]:
    """An uninterrupted training for each number of accumulated micro-batches, without a checkpoint on the way."""
    made = {}
    for accumulated in (1, 2):
        made[accumulated] = _training(tmp_path_factory.mktemp("whole"), 99, accumulated)
        made[accumulated].run("whole")
    return made


def _training(folder: Path, checkpoint_steps: int, accumulated: int = 1) -> Training:
    train = {
        "checkpoint_steps": checkpoint_steps,
        "per_device_batch_size": 4 // accumulated,
        "gradient_accumulation_steps": accumulated,
    }
    return Training(folder, {**DROPOUT, "train": train})


@pytest.mark.parametrize(
    ("checkpoint_steps", "stopped_at", "resumed_from", "accumulated"),
    [
        (4, 6, 4, 1),  # the checkpoint is the end of an epoch, whose evaluation must be in the log once
        pytest.param(4, 6, 4, 2, marks=pytest.mark.nightly),
        pytest.param(7, 9, 7, 1, marks=pytest.mark.nightly),  # neither logging step nor end of an epoch
        (7, 9, 7, 2),
        pytest.param(1, 12, 11, 1, marks=pytest.mark.nightly),
        (5, 3, 0, 1),  # no checkpoint yet
    ],
)
def test_at_any_step(
    tmp_path: Path,
    whole: dict[int, Training],
    checkpoint_steps: int,
    stopped_at: int,
    resumed_from: int,
    accumulated: int,
) -> None:
    training = _training(tmp_path, checkpoint_steps, accumulated)
    with pytest.raises(Stopped):
        training.run("stopped", report=stop_at(stopped_at))
    assert training.run("resumed")["resumed_from_step"] == resumed_from
    _same(whole[accumulated], "whole", "resumed", training)


@pytest.mark.parametrize("step", [4, 7])
def test_a_training_that_is_told_to_stop_hands_over_at_its_next_step(
    tmp_path: Path, whole: dict[int, Training], step: int
) -> None:
    training = _training(tmp_path, 99)
    told = iter([*[False] * (step - 1), True])
    with pytest.raises(HandedOver, match=f"the training has stopped after step {step} of 12, with a checkpoint"):
        training.run("stopped", stopping=lambda: next(told))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [f"checkpoint-{step}"]
    assert training.run("resumed")["resumed_from_step"] == step
    _same(whole[1], "whole", "resumed", training)


def test_a_training_that_is_told_to_stop_at_its_end_ends(tmp_path: Path, whole: dict[int, Training]) -> None:
    training = _training(tmp_path, 99)
    assert training.run("whole", stopping=lambda: any(progress.step == 12 for progress in training.reports))
    _same(whole[1], "whole", "whole", training)


def test_between_an_evaluation_and_its_checkpoint(tmp_path: Path, whole: dict[int, Training]) -> None:
    training = _training(tmp_path, 4)
    with pytest.raises(Stopped):
        training.run("stopped", report=stop_at(8, kind="validation loss"))
    assert training.run("resumed")["resumed_from_step"] == 4
    _same(whole[1], "whole", "resumed", training)


def test_twice_in_one_training(tmp_path: Path, whole: dict[int, Training]) -> None:
    training = _training(tmp_path, 3)
    for step in (5, 10):
        with pytest.raises(Stopped):
            training.run(f"stopped-{step}", report=stop_at(step))
    assert training.run("resumed")["resumed_from_step"] == 9
    _same(whole[1], "whole", "resumed", training)


def test_between_the_last_step_and_the_artifact(tmp_path: Path) -> None:
    training = Training(tmp_path)
    training.run("whole")
    assert training.run("again")["resumed_from_step"] == 12
    _same(training, "whole", "again")


def test_other_micro_batches_after_the_kill(tmp_path: Path, whole: dict[int, Training]) -> None:
    """They are not in the digest, so an edit between two attempts must not change the rows of a step."""
    with pytest.raises(Stopped):
        _training(tmp_path, 5).run("stopped", report=stop_at(6))
    resumed = _training(tmp_path, 5, accumulated=2)
    assert resumed.run("resumed")["resumed_from_step"] == 5
    losses = [
        [line["loss"] for line in training.metrics(name) if "loss" in line]
        for training, name in ((whole[1], "whole"), (resumed, "resumed"))
    ]
    # Dropout falls elsewhere, so the losses are near, not equal; other rows would be far.
    assert losses[0] == pytest.approx(losses[1], abs=0.2)


def test_a_torn_checkpoint_is_passed_over(
    tmp_path: Path, whole: dict[int, Training], caplog: pytest.LogCaptureFixture
) -> None:
    training = _training(tmp_path, 5)
    with pytest.raises(Stopped):
        training.run("stopped", report=stop_at(11))
    newest = tmp_path / "checkpoints" / "checkpoint-10" / "optimizer.pt"
    newest.write_bytes(newest.read_bytes()[:-7])
    (tmp_path / "checkpoints" / ".building-12").mkdir()
    assert training.run("resumed")["resumed_from_step"] == 5
    _same(whole[1], "whole", "resumed", training)
    said = "checkpoint-10 is passed over: optimizer.pt is not what complete.json says"
    assert said in caplog.text
    assert any(said in progress.text for progress in training.reports)
    assert not (tmp_path / "checkpoints" / ".building-12").exists()


def test_another_attempt_has_taken_over(tmp_path: Path) -> None:
    """The guard is asked before a checkpoint is written and before it appears; then nothing of this attempt stays."""
    training, asked = Training(tmp_path), []

    def guard() -> None:
        asked.append(1)
        if len(asked) == 4:
            raise Stopped

    with pytest.raises(Stopped):
        training.run(guard=guard)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["checkpoint-5"]
    assert not (tmp_path / "out" / "adapter").exists()


def test_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    Training(tmp_path, {"train": {"checkpoint_steps": 2}}).run()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["checkpoint-10", "checkpoint-12"]


def test_a_stopped_training_may_be_moved(tmp_path: Path, whole: dict[int, Training]) -> None:
    """Nothing in a checkpoint depends on where it stands."""
    with pytest.raises(Stopped):
        _training(tmp_path / "one", 5).run("stopped", report=stop_at(7))
    shutil.move(tmp_path / "one", tmp_path / "two")
    second = _training(tmp_path / "two", 5)
    assert second.run("resumed")["resumed_from_step"] == 5
    _same(whole[1], "whole", "resumed", second)


def test_a_pissa_training_goes_on_from_the_base_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second attempt may not take the base apart anew: another machine would do it otherwise."""
    lora = {"init_weights": "pissa", "use_dora": True, "dropout": 0.2, "target_modules": ["q_proj", "lm_head"]}
    training = Training(tmp_path, {"lora": lora, "train": {"epochs": 1, "checkpoint_steps": 2}})
    training.run("whole", checkpoints="checkpoints-whole")
    with pytest.raises(Stopped):
        training.run("stopped", report=stop_at(3))
    monkeypatch.setattr(torch.linalg, "svd", None)
    assert training.run("resumed")["resumed_from_step"] == 2
    _same(training, "whole", "resumed")
