"""Flattened batches: the loss, its gradients and each text's logits are those of the texts alone; and what would break that."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from skillsengine.modeling import flattened
from skillsengine.modeling.base import load_base
from skillsengine.modeling.batches import answer_logits, collate
from skillsengine.modeling.encoding import Encoded
from skillsengine.modeling.flattened import (
    VARLEN,
    fastest_attention,
    flatten,
    flattened_logits,
    isolates,
    with_attention,
)
from skillsengine.modeling.lora import attach
from skillsengine.spec.schema import Base, Lora
from tests.modeling.test_architectures import ARCHITECTURES
from tests.tiny import make_tiny_base

PATHS = ("sdpa", "eager", VARLEN)
LORA = Lora(r=4, alpha=8, target_modules=("q_proj", "v_proj", "down_proj", "lm_head"))


def _row(length: int, answer: int, seed: int) -> Encoded:
    ids = torch.randint(3, 320, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return Encoded(ids, [-100] * (length - answer) + ids[length - answer :], False)


ROWS = [_row(9, 3, 1), _row(23, 7, 2), _row(14, 14, 3), _row(1, 1, 4), _row(17, 2, 5)]


def _one_by_one(q: Any, k: Any, v: Any, borders: Any, _: Any, longest: int, *__: Any, scale: float, **more: Any) -> Any:
    """What torch's varlen kernel computes, which runs on CUDA alone: plain causal attention, text by text."""
    assert more["window_size"] == (-1, 0)
    edges = borders.tolist()
    assert longest == max(end - start for start, end in pairwise(edges))
    parts = []
    for start, end in pairwise(edges):
        one = [states[start:end].transpose(0, 1)[None] for states in (q, k, v)]
        out = torch.nn.functional.scaled_dot_product_attention(
            *one, is_causal=True, scale=scale, enable_gqa=more["enable_gqa"]
        )
        parts.append(out[0].transpose(0, 1))
    return torch.cat(parts)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A tiny Llama with an adapter whose B is not zero, so that A has gradients too."""
    monkeypatch.setattr(flattened, "varlen_attn", _one_by_one)
    base = load_base(
        Base(model=str(make_tiny_base(tmp_path / "base", tied=False))), "cpu", bases=tmp_path, allowed_roots=[tmp_path]
    )
    made = attach(base.model, LORA, seed=1)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if ".lora_B." in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.05)
    return made


def _loss(pair: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return cross_entropy(pair[0], pair[1], reduction="sum")


def _gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {n: w.grad.clone() for n, w in model.named_parameters() if w.requires_grad and w.grad is not None}


def _far(one: torch.Tensor, other: torch.Tensor) -> float:
    """Greatest difference, relative to the greatest value."""
    return float((one - other).abs().max() / other.abs().max())


def _compare(model: Any, make: Callable[[list[Encoded]], dict[str, torch.Tensor]] = flatten) -> tuple[float, float]:
    """How far the flattened loss, and the worst of its gradients, is from the sum over the texts alone."""
    alone: torch.Tensor = sum(  # type: ignore[assignment]
        _loss(answer_logits(model, torch.tensor([row.input_ids]), torch.tensor([row.labels])))
        for row in ROWS
        if len(row) > 1
    )
    right = _gradients(model, alone)
    together = _loss(flattened_logits(model, make(ROWS)))
    found = _gradients(model, together)
    assert set(found) == set(right) and len(right) == 2 * (2 * 3 + 1)
    return _far(together.detach(), alone.detach()), max(_far(found[name], right[name]) for name in right)


@pytest.mark.parametrize("path", PATHS)
def test_loss_and_gradients_are_those_of_the_texts_alone(model: Any, path: str) -> None:
    with with_attention(model, path):
        assert flattened.attention_of(model) == path
        loss, gradients = _compare(model)
    assert loss < 1e-5 and gradients < 1e-5
    assert flattened.attention_of(model) == "sdpa", "the model's own is back"


@pytest.mark.parametrize("path", ["sdpa", "eager"])
def test_sabotage_positions_that_do_not_begin_anew(model: Any, path: str) -> None:
    def joined(rows: list[Encoded]) -> dict[str, torch.Tensor]:
        batch = flatten(rows)
        return batch | {"position_ids": torch.arange(batch["input_ids"].shape[1])[None]}

    with with_attention(model, path):
        loss, gradients = _compare(model, joined)
    assert loss > 1e-4 and gradients > 1e-2


def test_sabotage_a_text_that_is_asked_for_the_next_one_s_first_token(model: Any) -> None:
    def unmasked(rows: list[Encoded]) -> dict[str, torch.Tensor]:
        return flatten(rows) | {"labels": torch.tensor([[label for row in rows for label in row.labels]])}

    assert _compare(model, unmasked)[0] > 1e-2


@pytest.mark.parametrize("path", PATHS)
def test_no_text_sees_another(model: Any, path: str) -> None:
    rows = [Encoded(row.input_ids, row.input_ids, False) for row in ROWS[:3]]
    changed = [rows[0], Encoded(rows[1].input_ids[::-1], rows[1].input_ids[::-1], False), rows[2]]
    with with_attention(model, path), torch.no_grad():
        before, after = (flattened_logits(model, flatten(texts))[0] for texts in (rows, changed))
    first, second = len(rows[0]) - 1, len(rows[0]) + len(rows[1]) - 2
    assert torch.equal(before[:first], after[:first]) and torch.equal(before[second:], after[second:])
    assert not torch.allclose(before[first:second], after[first:second])


def test_layout() -> None:
    batch = flatten(ROWS[:2])
    assert batch["position_ids"].tolist() == [[*range(9), *range(23)]]
    assert batch["borders"].tolist() == [0, 9, 32] and batch["borders"].dtype == torch.int32
    assert int(batch["tokens"]) == batch["input_ids"].numel() == 32


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_keeps_texts_apart_and_computes_what_padding_does(tmp_path: Path, architecture: str) -> None:
    folder = make_tiny_base(tmp_path / "b", architecture=architecture, tied=False, **ARCHITECTURES[architecture][0])
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert fastest_attention(model) == flattened.attention_of(model)
    batch = collate(ROWS, pad_id=2)
    with torch.no_grad():
        padded = answer_logits(model, batch["input_ids"], batch["labels"])[0]
        assert torch.allclose(flattened_logits(model, flatten(ROWS))[0], padded, atol=1e-5)


def test_sabotage_a_model_that_ignores_positions_is_found(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isolates(model)
    real = flattened.answer_logits
    monkeypatch.setattr(flattened, "answer_logits", lambda model, ids, labels, **places: real(model, ids, labels))
    assert not isolates(model)
    assert fastest_attention(model) is None


@pytest.mark.parametrize(
    ("dtype", "off", "seen", "apart"),
    [
        ("float32", 0.0, 0.0, True),
        ("float32", 0.05, 0.0, False),  # another order of sums does not reach that in float32
        ("bfloat16", 0.05, 0.0, True),  # in 16 bits it does, through the 40 layers of a 13B
        ("bfloat16", 0.0, 0.01, False),  # but nothing may depend on who the neighbour is
        ("float32", 0.0, 0.01, False),
    ],
)
def test_rounding_is_told_from_a_neighbour_that_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, off: float, seen: float, apart: bool
) -> None:
    folder = make_tiny_base(tmp_path / "base", tied=False)
    base = Base(model=str(folder))
    loaded = load_base(base, "cpu", bases=tmp_path, allowed_roots=(tmp_path,), dtype=dtype)
    real = flattened._logits_of

    def computed(model: Any, rows: list[Encoded]) -> torch.Tensor:
        logits = real(model, rows)
        if len(rows) == 1:
            return logits
        noise = (
            torch.rand(logits.shape, generator=torch.Generator().manual_seed(0)).to(logits.dtype) * logits.abs().max()
        )
        return logits + noise * (off + seen * (rows[0].input_ids[0] % 7))

    monkeypatch.setattr(flattened, "_logits_of", computed)
    assert isolates(loaded.model) is apart


def test_varlen_refuses_what_it_would_leave_out(model: Any) -> None:
    states = torch.zeros(1, 2, 4, 8)
    borders = torch.tensor([0, 4], dtype=torch.int32)
    for name in ("softcap", "sliding_window", "s_aux"):
        with pytest.raises(NotImplementedError, match=f"varlen attention with {name}"):
            flattened._varlen(model, states, states, states, None, None, borders, 4, **{name: 8})
