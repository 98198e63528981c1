"""Whether a training computes with compiled layers: what `train.compile` asks for, where it works."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from skillsengine.modeling.batches import answer_logits, collate
from skillsengine.modeling.compiled import input_casts, why_not_compiled
from skillsengine.modeling.encoding import Encoded
from skillsengine.modeling.flattened import flatten, flattened_logits, with_attention
from skillsengine.spec.schema import Train, compiles
from skillsengine.stages.contract import StageError

_LENGTHS = (40, 24)
"""Tokens of the texts that are tried: two, since a single one would be compiled as a special case."""

log = logging.getLogger(__name__)


def compiled_here(model: Any, train: Train, device: str, *, attention: str, flattened: bool) -> bool:
    """Try a step on the model with its adapter; takes a minute where it compiles, and what it compiled serves the training.

    Raises StageError where `train.compile: true` cannot be had. With `auto` a warning says why it is not.
    """
    if not compiles(train.compile, device, sum(weight.numel() for weight in model.parameters())):
        return False

    def step() -> torch.Tensor:
        autocast = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")
        with autocast, with_attention(model, attention), input_casts(model, device != "cuda"):
            logits, gold = _logits(model, flattened)
            return cross_entropy(logits.float(), gold)

    log.info("compiling the layers (train.compile: %s)", train.compile)
    reason = why_not_compiled(model, step)
    if reason is None:
        return True
    if train.compile == "auto":
        log.warning("the layers are not compiled, which costs speed and memory: %s", reason)
        return False
    raise StageError(
        f"train.compile: true, and torch {torch.__version__} cannot compile the layers of this base here: {reason} Write "
        "`train.compile: auto` to train without where it does not work, or `false`."
    )


def _logits(model: Any, flattened: bool) -> tuple[torch.Tensor, torch.Tensor]:
    most = model.get_input_embeddings().weight.shape[0]
    texts = [[place % most for place in range(length)] for length in _LENGTHS]
    rows = [Encoded(ids, ids, False) for ids in texts]
    if flattened:
        return flattened_logits(model, {name: tensor.to(model.device) for name, tensor in flatten(rows).items()})
    batch = collate(rows, 0)
    return answer_logits(model, batch["input_ids"].to(model.device), batch["labels"].to(model.device))
