"""A `finetune` artifact around a tiny base whose adapter says something of its own, without training."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch

from skillsengine.modeling.base import load_base
from skillsengine.modeling.lora import attach
from skillsengine.spec.schema import Base, Lora
from skillsengine.storage.artifact import Artifact
from tests.stages.support import as_artifact
from tests.tiny import make_tiny_base

TEMPLATE = "### Job Description: {text}\n### Skills:"
BASE = "models/tiny"


def make_finetuned(
    project: Path,
    *,
    trained_on: Iterable[str] = (),
    lexicon: Iterable[str] = ("wound care", "SQL"),
    template: str = TEMPLATE,
    base: str = BASE,
    targets: tuple[str, ...] = ("q_proj", "v_proj", "lm_head"),
    tied: bool = True,
) -> Artifact:
    """Write `<project>/models/tiny` and `<project>/finetuned`; the adapter's matrices are random, by a fixed seed."""
    folder = project / "finetuned"
    make_tiny_base(project / BASE, tied=tied)
    loaded = load_base(Base(model=BASE), "cpu", bases=project / "bases", allowed_roots=(project,))
    model = attach(loaded.model, Lora(r=4, alpha=8, target_modules=targets), seed=1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_B." in name:
                weight.normal_(std=0.2, generator=torch.Generator().manual_seed(len(name)))
    model.save_pretrained(folder / "adapter", save_embedding_layers=False)
    loaded.tokenizer.save_pretrained(folder / "tokenizer")
    record = {
        "model": base,
        "revision": None,
        "quantization": "none",
        "device": "cpu",
        "dtype": loaded.dtype,
        "weights_sha256": loaded.weights_sha256,
    }
    (folder / "base.json").write_text(json.dumps(record))
    (folder / "prompt.json").write_text(json.dumps({"template": template}))
    (folder / "trained_on.txt").write_text("".join(f"{key}\n" for key in sorted(trained_on)))
    (folder / "lexicon.json").write_text(json.dumps(sorted(lexicon)))
    (folder / "metrics.jsonl").write_text("")
    summary = {"steps": 7, "train_loss": 1.25, "train_rows": 120, "validation_rows": 12, "trainable_parameters": 12345}
    return as_artifact(folder, "finetune", summary)
