"""Training and answering on a GPU: what only there is another path. Skipped where torch sees none.

python -m pytest tests/gpu
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from skillsengine.modeling.base import load_base
from skillsengine.modeling.batches import answer_logits, collate
from skillsengine.modeling.encoding import Encoded
from skillsengine.modeling.flattened import (
    VARLEN,
    attention_of,
    fastest_attention,
    flatten,
    flattened_logits,
    with_attention,
)
from skillsengine.modeling.generate import generate
from skillsengine.modeling.lora import attach
from skillsengine.modeling.recorded import load_recorded
from skillsengine.spec.schema import Base, Lora
from tests.stages.training import TARGETS, TEMPLATE, Stopped, Training, stop_at
from tests.tiny import make_tiny_base

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]
CUDA: dict[str, dict[str, Any]] = {"resources": {"device": "cuda"}}
ALL = [*TARGETS, "lm_head"]


def _row(length: int, answer: int, seed: int) -> Encoded:
    ids = torch.randint(3, 320, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return Encoded(ids, [-100] * (length - answer) + ids[length - answer :], False)


@pytest.mark.parametrize("heads", [2, 4])
def test_the_varlen_kernel_keeps_texts_apart_and_has_the_loss_of_padding(tmp_path: Path, heads: int) -> None:
    base = make_tiny_base(tmp_path / "base", hidden=256, num_key_value_heads=heads)
    loaded = load_base(Base(model=str(base)), "cuda", bases=tmp_path, allowed_roots=(tmp_path,), for_training=True)
    model = attach(loaded.model, Lora(r=4, alpha=8, target_modules=tuple(ALL)), seed=1)
    # torch had no grouped heads here before 2.12.
    grouped = heads == 4 or tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 12)
    attention = fastest_attention(model)
    assert attention == (VARLEN if grouped else attention_of(model))
    rows = [_row(9, 3, 1), _row(23, 7, 2), _row(130, 14, 3), _row(17, 2, 5)]
    with torch.autocast("cuda", torch.bfloat16):
        padded = {name: tensor.cuda() for name, tensor in collate(rows, 0).items()}
        logits, gold = answer_logits(model, padded["input_ids"], padded["labels"])
        with with_attention(model, attention):
            flat, same = flattened_logits(model, {name: tensor.cuda() for name, tensor in flatten(rows).items()})
    assert torch.equal(gold, same)
    losses = [cross_entropy(part.float(), gold).item() for part in (logits, flat)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


@pytest.mark.parametrize("quantization", ["none", "nf4", "int8"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_training_learns_and_its_adapter_answers(tmp_path: Path, quantization: str, compiled: bool) -> None:
    sections: dict[str, dict[str, Any]] = {
        **CUDA,
        "base": {"quantization": quantization},
        "train": {"compile": compiled, "epochs": 6},
        "lora": {"target_modules": ALL},
    }
    training = Training(tmp_path, sections)
    summary = training.run()
    assert summary["untrained_matrices"] == 0 and summary["padding_share"] == 0
    losses = [line["loss"] for line in training.metrics("out") if "loss" in line]
    assert losses[-1] < 0.8 * losses[0]
    assert summary["validation_loss"] < losses[0]
    folder = tmp_path / "out"
    recorded = json.loads((folder / "base.json").read_text())
    loaded = load_recorded(recorded, folder / "adapter", "cuda", bases=tmp_path, allowed_roots=(tmp_path,))
    [answer] = generate(loaded, [TEMPLATE.replace("{text}", "We look for SQL.")], max_new_tokens=8, batch_size=1)
    assert isinstance(answer, str)


def test_compiled_layers_train_what_layers_as_written_train(tmp_path: Path) -> None:
    curves = []
    for compiled in (False, True):
        training = Training(tmp_path, {**CUDA, "train": {"compile": compiled}, "lora": {"target_modules": ALL}})
        training.run(str(compiled), checkpoints=f"checkpoints-{compiled}")
        curves.append([line["loss"] for line in training.metrics(str(compiled)) if "loss" in line])
    assert curves[1] == pytest.approx(curves[0], rel=3e-2)


def test_a_resumed_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    training = Training(tmp_path, {**CUDA, "lora": {"dropout": 0.1, "target_modules": ALL}})
    training.run("whole", checkpoints="checkpoints-whole")
    with pytest.raises(Stopped):
        training.run("killed", report=stop_at(8))
    summary = training.run("resumed")
    assert summary["resumed_from_step"] == 5
    whole, resumed = training.adapter("whole"), training.adapter("resumed")
    assert set(whole) == set(resumed)
    for name, matrix in whole.items():
        assert (resumed[name] - matrix).norm() <= 0.05 * matrix.norm(), name


def test_auto_finds_what_fits(tmp_path: Path) -> None:
    """The card's memory is made small, so that what `auto` begins with does not fit."""
    make_tiny_base(tmp_path / "base", hidden=1024, tied=False)
    sections: dict[str, dict[str, Any]] = {
        **CUDA,
        "train": {"per_device_batch_size": "auto", "batch_size": 16, "epochs": 2, "sample_predictions": 0},
        "lora": {"target_modules": ALL},
    }
    training = Training(tmp_path, sections)
    free = training.run("free", checkpoints="checkpoints-free")
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(0.75 * free["peak_memory_gb"] * 1024**3 / total)
    try:
        narrow = training.run("narrow")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert narrow["peak_memory_gb"] < free["peak_memory_gb"]
    curves = [[line["loss"] for line in training.metrics(name) if "loss" in line] for name in ("free", "narrow")]
    assert curves[1] == pytest.approx(curves[0], rel=3e-2)
