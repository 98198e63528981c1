"""How a step is divided changes nothing of what is learned, and a lack of memory divides it further."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from skillsengine.modeling.encoding import Encoded
from skillsengine.modeling.memory import out_of_memory
from skillsengine.spec.schema import Train
from skillsengine.stages import answer_trainer
from skillsengine.stages.contract import StageError
from skillsengine.stages.micro_batches import AUTO_TOKENS, MicroBatches
from tests.stages.training import TARGETS, Training

SAID = "CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"
AUTO = {"per_device_batch_size": "auto", "batch_size": 4}


def _rows(*lengths: int) -> list[Encoded]:
    return [Encoded([5] * length, [-100] * length, False) for length in lengths]


def _lengths(parts: list[list[Encoded]]) -> list[list[int]]:
    return [[len(row) for row in part] for part in parts]


def test_dividing() -> None:
    rows = _rows(2, 3, 4, 9, 1)
    assert _lengths(MicroBatches(2).divide(rows)) == [[2, 3], [4, 9], [1]]
    assert _lengths(MicroBatches(None, 9).divide(rows)) == [[2, 3], [4], [9], [1]]
    assert _lengths(MicroBatches(None, 9, flattened=True).divide(rows)) == [[2, 3, 4], [9], [1]]
    assert _lengths(MicroBatches(None, 5, flattened=True).divide(rows)) == [[2, 3], [4], [9], [1]], "9 stands alone"
    assert MicroBatches(2).positions(rows) == 5 * 9 and MicroBatches(2, flattened=True).positions(rows) == 19


def test_shrinking() -> None:
    rows = _rows(4, 4, 4, 4)
    fixed, auto = MicroBatches(4), MicroBatches(None, 16, adapts=True)
    assert not fixed.shrink(rows), "what the spec says outright stays"
    assert auto.shrink(rows) and _lengths(auto.divide(rows)) == [[4, 4], [4, 4]]
    assert auto.shrink(rows[:2]) and _lengths(auto.divide(rows)) == [[4]] * 4
    assert not auto.shrink(rows[:1])


def test_what_auto_begins_with() -> None:
    train = Train.model_validate(AUTO)
    assert MicroBatches.of(train, "cuda", True) == MicroBatches(None, AUTO_TOKENS["cuda"], True, adapts=True)
    assert MicroBatches.of(Train(per_device_batch_size=3), "cpu", False) == MicroBatches(3)


def test_what_a_lack_of_memory_looks_like() -> None:
    cpu = RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
    )
    assert all(map(out_of_memory, (torch.OutOfMemoryError(SAID), cpu, MemoryError())))
    assert not any(map(out_of_memory, (RuntimeError("shape mismatch"), ValueError("CUDA out of memory."))))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Four rows at once, padded."""
    training = Training(tmp_path_factory.mktemp("whole"), {"lora": {"target_modules": [*TARGETS, "lm_head"]}})
    training.run()
    return training


def _near(whole: Training, training: Training) -> float:
    """Greatest difference of any weight; the losses are held to 1e-3."""
    ours, theirs = training.metrics(), whole.metrics()
    for one, other in zip(ours, theirs, strict=True):
        key = "loss" if "loss" in one else "eval_loss"
        assert one[key] == pytest.approx(other[key], rel=1e-3)
    # The first step is before any difference could grow.
    assert ours[0]["loss"] == pytest.approx(theirs[0]["loss"], rel=1e-5)
    assert ours[0]["grad_norm"] == pytest.approx(theirs[0]["grad_norm"], rel=1e-5)
    adapters = whole.adapter(), training.adapter()
    return max(float((adapters[0][name] - adapters[1][name]).abs().max()) for name in adapters[0])


DIVISIONS: dict[str, dict[str, Any]] = {
    "accumulated": {"per_device_batch_size": 1, "gradient_accumulation_steps": 4},
    "uneven": {"per_device_batch_size": 3, "batch_size": 4},
    "flattened": {"batching": "flattened"},
    "flattened, accumulated": {"batching": "flattened", "per_device_batch_size": 2, "gradient_accumulation_steps": 2},
    "auto": AUTO,
    "auto, flattened": {**AUTO, "batching": "flattened"},
}


@pytest.mark.parametrize(
    "train",
    [
        pytest.param(train, id=name, marks=() if name in ("accumulated", "flattened", "auto") else pytest.mark.nightly)
        for name, train in DIVISIONS.items()
    ],
)
def test_the_adapter_does_not_depend_on_how_a_step_is_divided(
    tmp_path: Path, whole: Training, train: dict[str, Any]
) -> None:
    training = Training(tmp_path, {"lora": {"target_modules": [*TARGETS, "lm_head"]}, "train": train})
    summary = training.run()
    # Sums in another order: the differences are those of float32, grown over 12 steps of Adam.
    assert _near(whole, training) < 3e-3
    alone = train.get("batching") == "flattened" or train.get("per_device_batch_size") == 1
    assert (summary["padding_share"] == 0) is alone


def test_sabotage_a_loss_over_each_micro_batch_is_found(
    tmp_path: Path, whole: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the plain Trainer did for years: the mean of the micro-batches' means."""
    monkeypatch.setattr(answer_trainer, "_supervised", lambda rows: len(rows))
    monkeypatch.setattr(answer_trainer, "cross_entropy", lambda logits, gold, reduction: cross_entropy(logits, gold))
    training = Training(
        tmp_path, {"lora": {"target_modules": [*TARGETS, "lm_head"]}, "train": DIVISIONS["accumulated"]}
    )
    training.run()
    with pytest.raises(AssertionError):
        _near(whole, training)


def _short_of_memory(
    monkeypatch: pytest.MonkeyPatch, most: int, error: Callable[[], Exception] = lambda: torch.OutOfMemoryError(SAID)
) -> list[int]:
    """A model that fails with more than `most` rows at once, in the backward's place: the forward has been paid for."""
    real, tried = answer_trainer.answer_logits, []

    def limited(model: Any, ids: torch.Tensor, labels: torch.Tensor, **more: Any) -> Any:
        made = real(model, ids, labels, **more)
        tried.append(len(ids))
        if len(ids) > most:
            raise error()
        return made

    monkeypatch.setattr(answer_trainer, "answer_logits", limited)
    return tried


def test_auto_goes_on_in_smaller_parts_at_the_step_that_failed(
    tmp_path: Path, whole: Training, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    tried = _short_of_memory(monkeypatch, 2)
    training = Training(tmp_path, {"lora": {"target_modules": [*TARGETS, "lm_head"]}, "train": AUTO})
    training.run()
    assert _near(whole, training) < 3e-3
    assert tried[0] == 4 and set(tried) <= {1, 2, 3, 4}
    said = [record.getMessage() for record in caplog.records if "memory ran out" in record.getMessage()]
    assert said and said[0].startswith("step 1: memory ran out with 4 rows (")
    assert "from here on at most" in said[0]


def test_a_fixed_size_says_what_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _short_of_memory(monkeypatch, 2)
    with pytest.raises(StageError) as caught:
        Training(tmp_path).run()
    assert str(caught.value) == (
        "out of memory while training with train.per_device_batch_size: 4: CUDA out of memory. Tried to allocate 2.00 GiB. Set "
        "train.per_device_batch_size: auto with train.batch_size: 4 (the result stays the same), lower tokens.max_length, or "
        "set train.gradient_checkpointing: true or base.quantization: nf4."
    )


def test_auto_says_what_to_change_where_not_even_one_row_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = _short_of_memory(monkeypatch, 0)
    with pytest.raises(
        StageError, match=r"per_device_batch_size: auto: CUDA out of memory.* Not even one row fits: lower"
    ):
        Training(tmp_path, {"train": AUTO}).run()
    assert tried[-1] == 1


def test_another_error_is_no_lack_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = _short_of_memory(monkeypatch, 2, lambda: RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        Training(tmp_path, {"train": AUTO}).run()
    assert tried == [4]


@pytest.mark.nightly
def test_validation_in_smaller_parts(tmp_path: Path, whole: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four validation rows at once are too many, whatever `evaluate.batch_size` says; training takes one at a time."""
    tried = _short_of_memory(monkeypatch, 1)
    training = Training(
        tmp_path, {"lora": {"target_modules": [*TARGETS, "lm_head"]}, "train": DIVISIONS["accumulated"]}
    )
    training.run()
    assert max(tried) == 4 and _near(whole, training) < 3e-3
