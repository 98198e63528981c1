"""Which adapter of a training is kept, when it stops, and that a killed one decides the same; and what people see of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from skillsengine.spec.schema import Train
from skillsengine.stages import answer_trainer
from skillsengine.stages.answer_trainer import BEST, AnswerTrainer
from skillsengine.stages.best import Choice
from skillsengine.stages.contract import Limit, Progress, StageError
from tests.stages.training import Training, rows

# Evaluated after each second step, this learning rate is too high to be ever better: 6 is better than 8, and 10 is the best.
FIELDS: dict[str, Any] = {"learning_rate": 0.03, "lr_scheduler": "constant", "eval_steps": 2}
BY_LOSS = {**FIELDS, "best_by": "validation_loss"}
STOPS = {**BY_LOSS, "early_stopping_patience": 1, "checkpoint_steps": 7}


def _evaluations(*losses: float) -> list[dict[str, float]]:
    return [{"step": 10 * (i + 1), "eval_loss": loss, "eval_f1": 1 - loss} for i, loss in enumerate(losses)]


@pytest.mark.parametrize("metric", ["validation_loss", "validation_f1"])
def test_the_best_of_some_evaluations(metric: str) -> None:
    some = _evaluations(0.5, 0.3, 0.4, 0.3, 0.35)
    assert Choice(metric).of(some) is some[1], "the earlier of equal ones"
    assert Choice().of(some) is some[-1] and Choice(metric).of([]) is None
    ends = [Choice(metric, patience=2).ends(some[:count]) for count in range(6)]
    assert ends == [False, False, False, False, True, True], "an equal one is no better one"
    assert not any(Choice(metric).ends(some[:count]) for count in range(6))


def _training(folder: Path, train: dict[str, Any]) -> Training:
    return Training(folder, {"lora": {"dropout": 0.2}, "train": train})


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert set(one) == set(other)
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, torch.Tensor]]:
    """The last adapters of trainings of so many steps, none of which chooses."""
    found = {}
    for steps in (6, 10, 12):
        training = _training(tmp_path_factory.mktemp("last"), {**FIELDS, "epochs": steps / 4})
        assert training.run()["best_step"] == steps
        found[steps] = training.adapter()
    return found


def test_the_adapter_of_the_best_evaluation_is_what_is_written(
    tmp_path: Path, at: dict[int, dict[str, torch.Tensor]]
) -> None:
    training = _training(tmp_path, BY_LOSS)
    summary = training.run()
    losses = {int(line["step"]): line["eval_loss"] for line in training.metrics() if "eval_loss" in line}
    assert list(losses) == [2, 4, 6, 8, 10, 12] and min(losses, key=lambda step: losses[step]) == 10
    assert (summary["steps"], summary["best_step"]) == (12, 10)
    assert summary["validation_loss"] == pytest.approx(losses[10], abs=1e-4) and summary["validation_f1"] is None
    assert _same(training.adapter(), at[10]) and not _same(training.adapter(), at[12])


@pytest.mark.nightly
def test_sabotage_a_best_one_that_is_forgotten(
    tmp_path: Path, at: dict[int, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnswerTrainer, "_trained", lambda self: {})
    training = _training(tmp_path, BY_LOSS)
    training.run()
    assert _same(training.adapter(), at[12]) and not _same(training.adapter(), at[10])


def test_it_stops_where_nothing_gets_better(tmp_path: Path, at: dict[int, dict[str, torch.Tensor]]) -> None:
    training = _training(tmp_path, STOPS)
    summary = training.run()
    assert (summary["steps"], summary["epochs"], summary["best_step"]) == (8, 2.0, 6)
    assert _same(training.adapter(), at[6])
    assert training.metrics()[-1]["step"] == 8
    again = training.run("again")
    assert again["resumed_from_step"] == 8, "killed between the stop and the artifact: not a step more"
    assert _same(training.adapter("again"), at[6]) and training.metrics("again") == training.metrics()


class Stopped(Exception):
    """Stands for whatever ends an attempt."""


def _killed_at(training: Training, step: int) -> None:
    def report(progress: Progress) -> None:
        if progress.step == step and "tokens/s" in progress.text:
            raise Stopped

    with pytest.raises(Stopped):
        training.run(f"killed-{step}", report=report)


def test_a_resumed_training_knows_the_best_so_far(tmp_path: Path, at: dict[int, dict[str, torch.Tensor]]) -> None:
    """The best is from before the kill, the checkpoint from after it."""
    training = _training(tmp_path, STOPS)
    _killed_at(training, 8)
    assert (tmp_path / "checkpoints" / "checkpoint-7" / BEST).is_file()
    summary = training.run("resumed")
    assert (summary["resumed_from_step"], summary["steps"], summary["best_step"]) == (7, 8, 6)
    assert _same(training.adapter("resumed"), at[6])


@pytest.mark.parametrize(
    "batching",
    [
        pytest.param({"batching": "flattened"}, id="flattened"),
        pytest.param({"per_device_batch_size": "auto", "batch_size": 4}, id="auto", marks=pytest.mark.nightly),
    ],
)
def test_a_resumed_training_is_the_same_however_rows_go_through(tmp_path: Path, batching: dict[str, Any]) -> None:
    training = _training(tmp_path, {**BY_LOSS, "checkpoint_steps": 7, "epochs": 2, **batching})
    whole = training.run("whole", checkpoints="checkpoints-whole")
    _killed_at(training, 8)
    resumed = training.run("resumed")
    assert resumed["resumed_from_step"] == 7 and resumed["best_step"] == whole["best_step"]
    assert _same(training.adapter("whole"), training.adapter("resumed"))
    assert training.metrics("whole") == training.metrics("resumed")


def test_sabotage_a_checkpoint_without_the_best_so_far(
    tmp_path: Path, at: dict[int, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = _training(tmp_path, STOPS)
    _killed_at(training, 8)
    monkeypatch.setattr(answer_trainer, "load_file", lambda path: {})
    assert training.run("resumed")["best_step"] == 6
    assert not _same(training.adapter("resumed"), at[6])


def test_sabotage_steps_that_are_not_seeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnswerTrainer, "_seed_step", lambda self: None)
    training = _training(tmp_path, {"checkpoint_steps": 5})
    training.run("whole", checkpoints="checkpoints-whole")
    _killed_at(training, 7)
    torch.manual_seed(5)
    monkeypatch.setattr(AnswerTrainer, "_load_rng_state", lambda self, checkpoint: None)
    training.run("resumed")
    assert not _same(training.adapter("whole"), training.adapter("resumed"))


def test_by_generated_f1(tmp_path: Path) -> None:
    training = Training(tmp_path, {"train": {"best_by": "validation_f1", "eval_rows": 3, "sample_predictions": 2}})
    summary = training.run()
    scores = [line["eval_f1"] for line in training.metrics() if "eval_loss" in line]
    assert len(scores) == 3 and all(0 <= score <= 1 for score in scores)
    assert summary["validation_f1"] == pytest.approx(max(scores), abs=1e-4)
    assert summary["best_step"] == 4 * (1 + scores.index(max(scores)))
    told = [progress for progress in training.reports if "eval/f1" in progress.metrics]
    assert [progress.step for progress in told] == [4, 8, 12] and " · F1 0." in told[0].text
    samples = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    assert [sample["step"] for sample in samples] == [4, 4, 8, 8, 12, 12]
    ads = {row.text: list(row.skills or ()) for row in (*rows(10), *rows(10, start=10)) if row.split == "validation"}
    assert all(ads[sample["ad"]] == sample["gold"] for sample in samples), "the ad without the prompt around it"
    assert len({sample["ad"] for sample in samples}) == 2
    table = training.tables["sample_predictions"]
    assert table[0] == ["step", "ad", "gold", "predicted"] and [row[0] for row in table[1:]] == [12, 12]
    assert training.run("again")["validation_f1"] == summary["validation_f1"]
    assert (tmp_path / "again" / "samples.jsonl").read_bytes() == (tmp_path / "out" / "samples.jsonl").read_bytes()


def test_a_smoke_test_shows_no_samples(tmp_path: Path) -> None:
    training = Training(tmp_path, {"train": {"sample_predictions": 4}})
    training.run(limit=Limit(rows=20, steps=2, generated=3))
    assert not (tmp_path / "out" / "samples.jsonl").exists() and not training.tables


def test_nothing_to_choose_by(tmp_path: Path) -> None:
    training = Training(tmp_path, {"train": {"best_by": "validation_loss"}})
    for key in ("2026-01", "2026-02"):
        training.give_rows(key, [row for row in rows(10, start=int(key[-1])) if row.split == "train"])
    with pytest.raises(StageError) as caught:
        training.run()
    assert str(caught.value) == (
        "train.best_by: validation_loss compares evaluations, and there is no validation row. Raise data.split.validation, "
        "give the source a file `validation.jsonl`, or remove train.best_by."
    )


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"per_device_batch_size": "auto"}, "Say that with `batch_size: 16`, or write a number here"),
        (
            {"per_device_batch_size": "auto", "batch_size": 8, "gradient_accumulation_steps": 2},
            "gradient_accumulation_steps: 2 and `per_device_batch_size: auto` exclude each other",
        ),
        (
            {"per_device_batch_size": 4, "batch_size": 16, "gradient_accumulation_steps": 2},
            r"batch_size: 16 rows an optimizer step, but 4 \(per_device_batch_size\) x 2 .* are 8. Remove",
        ),
        ({"early_stopping_patience": 3}, "`best_by: null` does not say by what. Write `best_by: validation_loss`"),
    ],
)
def test_fields_that_do_not_go_together(train: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Train.model_validate(train)


def test_the_digest_knows_of_a_choice_only_where_there_is_one() -> None:
    def choice(**fields: Any) -> Any:
        return Train.model_validate(fields).choice

    assert choice(eval_steps=3, eval_rows=9, batching="flattened") is None
    by_loss = {"best_by": "validation_loss", "early_stopping_patience": None, "eval_steps": 3}
    assert choice(best_by="validation_loss", eval_steps=3, eval_rows=9) == by_loss
    assert choice(best_by="validation_f1", eval_rows=9)["eval_rows"] == 9
    sizes = (
        {"per_device_batch_size": 4, "gradient_accumulation_steps": 4},
        {"per_device_batch_size": "auto", "batch_size": 16},
    )
    assert [Train.model_validate(size).effective_batch_size for size in sizes] == [16, 16]
