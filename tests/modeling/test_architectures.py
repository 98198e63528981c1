"""Bases that are no Llama: what padding, shared prefixes and the answers' logits rely on holds for them, and they train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.batches import answer_logits, collate
from skillsengine.modeling.encoding import encode
from skillsengine.modeling.generate import generate
from skillsengine.modeling.lora import load_adapter
from skillsengine.spec.schema import Base
from tests.stages.training import TEMPLATE, Training
from tests.tiny import make_tiny_base

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# A window of 8 tokens is far shorter than the texts: a mask that is wrong would show.
ARCHITECTURES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "mistral": ({"sliding_window": 8}, LINEAR),
    "qwen2": ({}, LINEAR),
    "qwen3": ({"head_dim": 16}, LINEAR),
    "gemma2": ({"head_dim": 16, "sliding_window": 8}, LINEAR),
    "phi3": ({}, ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]),
    "gpt2": ({}, ["c_attn", "c_proj", "c_fc"]),
}
SHOTS = TEMPLATE.format(text="We look for a nurse with wound care and first aid.") + ' ["wound care", "first aid"]\n\n'


def _base(folder: Path, architecture: str) -> LoadedBase:
    made = make_tiny_base(folder / "base", architecture=architecture, tied=False, **ARCHITECTURES[architecture][0])
    return load_base(Base(model=str(made)), "cpu", bases=folder, allowed_roots=(folder,))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_computes_what_single_texts_do(tmp_path: Path, architecture: str) -> None:
    loaded = _base(tmp_path, architecture)
    texts = [("a welder, TIG", ["TIG"]), ("a nurse with wound care, first aid and Spanish", ["wound care", "Spanish"])]
    rows = [encode(TEMPLATE.format(text=text), f" {skills}", loaded.tokenizer, None) for text, skills in texts]
    batch = collate(rows, loaded.tokenizer.pad_token_id)
    with torch.no_grad():
        logits, gold = answer_logits(loaded.model, batch["input_ids"], batch["labels"])
        alone = [loaded.model(torch.tensor([row.input_ids])).logits[0, :-1] for row in rows]
    answers = [every[[label != -100 for label in row.labels[1:]]] for every, row in zip(alone, rows, strict=True)]
    assert torch.allclose(logits, torch.cat(answers), atol=1e-5)
    assert len(gold) == sum(map(len, answers))

    prompts = [SHOTS + TEMPLATE.format(text=text) for text, _ in texts]
    one_by_one = [
        loaded.model.generate(
            torch.tensor([loaded.tokenizer(prompt).input_ids]), max_new_tokens=10, do_sample=False, pad_token_id=2
        )[0, len(loaded.tokenizer(prompt).input_ids) :]
        for prompt in prompts
    ]
    expected = [loaded.tokenizer.decode(ids, skip_special_tokens=True) for ids in one_by_one]
    assert generate(loaded, prompts, max_new_tokens=10, batch_size=2) == expected


@pytest.mark.parametrize("architecture", ["mistral", "gpt2"])
def test_it_trains_and_its_adapter_answers(tmp_path: Path, architecture: str) -> None:
    loaded = _base(tmp_path, architecture)
    training = Training(tmp_path, {"lora": {"target_modules": ARCHITECTURES[architecture][1]}})
    summary = training.run()
    assert summary["untrained_matrices"] == 0
    assert summary["train_loss"] < training.metrics()[0]["loss"] - 0.3
    prompts = [TEMPLATE.format(text="Ad 3: we ask for SQL and Docker.")]
    untuned = generate(loaded, prompts, max_new_tokens=8, batch_size=1)
    assert (
        generate(load_adapter(loaded, tmp_path / "out" / "adapter"), prompts, max_new_tokens=8, batch_size=1) != untuned
    )
