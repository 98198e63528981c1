"""Flattened batches: texts one after the other in a single row, each blind to the others, and no padding.

What keeps them apart is the position that begins anew with each text: transformers reads the borders from it and masks
what lies before (sdpa, eager), and the varlen kernel of torch is told them. `isolates` puts that to the test on the very
model and device: an architecture that does not look at positions would learn from its neighbours' ads, and no loss shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from skillsengine.modeling.batches import answer_logits
from skillsengine.modeling.encoding import IGNORED, Encoded

VARLEN = "skillsengine_varlen"
"""Name of torch's varlen kernel among transformers' attention implementations."""
_NEIGHBOUR, _PROBE = 24, 16
"""Tokens of the two texts that `isolates` tries."""
_ROUNDING = 1e-3
"""Share of the largest logit that another order of float32 sums may change."""


def flatten(rows: Sequence[Encoded]) -> dict[str, torch.Tensor]:
    """Rows one after the other, without padding.

    `input_ids`, `labels`, `position_ids`: shape (1, tokens of all), int64, positions from 0 in each row; `borders`: shape
    (rows + 1,), int32, where each row begins, and the end of the last; `tokens`: shape (), how many there are.
    """
    ids: list[int] = []
    labels: list[int] = []
    positions: list[int] = []
    for row in rows:
        ids += row.input_ids
        # No text says the first token of the next.
        labels += [IGNORED, *row.labels[1:]]
        positions += range(len(row))
    return {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "position_ids": torch.tensor([positions]),
        "borders": torch.tensor([0, *accumulate(len(row) for row in rows)], dtype=torch.int32),
        "tokens": torch.tensor(len(ids)),
    }


def flattened_logits(model: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits, gold) of a flattened batch, as `answer_logits` gives them."""
    places: dict[str, Any] = {"position_ids": batch["position_ids"]}
    if attention_of(model) == VARLEN:
        longest = int(batch["position_ids"].max()) + 1
        places |= {"cu_seq_lens_q": batch["borders"], "max_length_q": longest}
    return answer_logits(model, batch["input_ids"], batch["labels"], **places)


def attention_of(model: Any) -> str:
    """Name of the attention implementation that `model` computes with."""
    return str(model.config.get_text_config()._attn_implementation)


@contextmanager
def with_attention(model: Any, name: str) -> Iterator[None]:
    """Compute with another attention implementation; the model's own comes back after it."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    own = attention_of(model)
    base.set_attn_implementation(name)
    try:
        yield
    finally:
        base.set_attn_implementation(own)


def fastest_attention(model: Any) -> str | None:
    """Name of the fastest implementation that keeps flattened texts apart on this model and device; None if none does.

    On CUDA torch's varlen kernel, which never looks at pairs of texts, where it takes the model: it wants 16-bit numbers
    and knows no sliding window here. Elsewhere the model's own (sdpa; eager where the architecture has no other). flex is
    not tried: it compiles anew for each shape, and gave NaN for short texts on CPU (torch 2.13).
    """
    names = [VARLEN, attention_of(model)] if model.device.type == "cuda" else [attention_of(model)]
    return next((name for name in names if _works(model, name)), None)


def _works(model: Any, name: str) -> bool:
    with with_attention(model, name):
        # An architecture without transformers' attention interface keeps its own, and says so in a warning.
        if attention_of(model) != name:
            return False
        try:
            return isolates(model)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, NotImplementedError):
            # The kernel does not know this processor, head size or dtype; which of them is no concern of the training.
            return False


def isolates(model: Any) -> bool:
    """Whether a text in a flattened batch is computed as if it stood there alone, whatever text stands before it.

    Two things are asked. Its logits are the same beside two different neighbours of one length: every row of a matrix product
    and every text of an attention kernel is summed in its own order, so hardly a bit may differ. And they are those of a plain
    forward; that is computed in another order, and in 16 bits the difference grows with the layers (over 3% of the largest
    logit with the 40 of a 13B), so there it is held against what the neighbour would do if it were seen.
    """
    generator = torch.Generator().manual_seed(0)
    most = model.get_input_embeddings().weight.shape[0]
    first, second = (_text(_NEIGHBOUR, most, generator) for _ in range(2))
    text = _text(_PROBE, most, generator)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=model.device.type == "cuda"):
            ids = torch.tensor([text.input_ids], device=model.device)
            alone, _ = answer_logits(model, ids, ids)
            count = len(alone)
            beside_first, beside_second = (_logits_of(model, [other, text])[-count:] for other in (first, second))
            # What it would be if it saw its neighbour: as the end of one text.
            seeing = _logits_of(model, [_joined(first, text)])[-count:]
    finally:
        model.train(was_training)

    def apart(one: torch.Tensor, other: torch.Tensor) -> float:
        return float((one.float() - other.float()).abs().max())

    rounding, seen = _ROUNDING * float(alone.abs().max()), apart(seeing, alone) / 4
    # In int8 a column with an outlier in any text of the batch is computed in 16 bits for all (Dettmers et al., 2022,
    # arXiv:2208.07339, section 3.2), so there a neighbour does change numbers, without being seen.
    same = max(rounding, seen) if _is_int8(model) else rounding
    own = rounding if alone.dtype == torch.float32 and not _is_int8(model) else max(rounding, seen)
    return apart(beside_first, beside_second) <= same and apart(beside_first, alone) <= own


def _logits_of(model: Any, rows: Sequence[Encoded]) -> torch.Tensor:
    return flattened_logits(model, {name: tensor.to(model.device) for name, tensor in flatten(rows).items()})[0]


def _joined(first: Encoded, second: Encoded) -> Encoded:
    return Encoded(first.input_ids + second.input_ids, first.labels + second.labels, False)


def _is_int8(model: Any) -> bool:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return bool(getattr(base, "is_loaded_in_8bit", False))


def _text(length: int, most: int, generator: torch.Generator) -> Encoded:
    ids = torch.randint(0, most, (length,), generator=generator).tolist()
    return Encoded(ids, ids, False)


def _varlen(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each of the texts that `cu_seq_lens_q` borders. Raises NotImplementedError for what it cannot.

    `query`: shape (1, heads, tokens, size of a head), `key` and `value` with their own number of heads; out: shape
    (1, tokens, heads, size of a head). Without borders it is plain sdpa, as for a batch of one text.
    """
    if cu_seq_lens_q is None or max_length_q is None:
        out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        return out, None
    unknown = [name for name in ("softcap", "sliding_window", "s_aux") if kwargs.get(name) is not None]
    if unknown:
        raise NotImplementedError(f"varlen attention with {', '.join(unknown)}")
    q, k, v = (states[0].transpose(0, 1).contiguous() for states in (query, key, value))
    # torch knew no grouped heads here before 2.12, and refuses the word.
    grouped: dict[str, Any] = {"enable_gqa": True} if q.shape[1] != k.shape[1] else {}
    attended: Any = varlen_attn(
        q,
        k,
        v,
        cu_seq_lens_q,
        cu_seq_lens_q,
        max_length_q,
        max_length_q,
        scale=scaling,
        window_size=(-1, 0),
        **grouped,
    )
    return attended[None], None


AttentionInterface.register(VARLEN, _varlen)
