"""Lengths without weights: many rows at once equal one by one, and the context is read from the config."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from tokenizers import processors

from skillsengine.modeling.base import ModelError, context_length_of, load_tokenizer
from skillsengine.modeling.encoding import encode, encode_lengths, stream_lengths
from skillsengine.spec.schema import Base
from tests.tiny import make_tiny_base

TEXTS = [
    ("### Job Description: a nurse\n### Skills:", ' ["wound care"]'),
    ("### Job Description: Płatnik 👩‍🔧 " + "and more " * 200 + "\n### Skills:", " []"),
    ("x", ' ["' + "TIG welding" * 90 + '"]'),
]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    make_tiny_base(tmp_path / "base")
    return load_tokenizer(Base(model="base"), bases=tmp_path, allowed_roots=(tmp_path,))


@pytest.mark.parametrize("closes", [False, True], ids=["opens a text", "also closes it"])
def test_many_at_once_equal_one_by_one(tokenizer: Any, closes: bool) -> None:
    if closes:
        special = [("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, special)
    expected = [len(encode(prompt, answer, tokenizer, None)) for prompt, answer in TEXTS]
    assert encode_lengths(TEXTS, tokenizer) == expected
    assert encode_lengths([], tokenizer) == []
    assert [length for batch in stream_lengths(TEXTS * 400, tokenizer) for length in batch] == expected * 400
    assert list(stream_lengths([], tokenizer)) == []


def test_lengths_are_whole_whatever_the_tokenizer_was_told_before(tokenizer: Any) -> None:
    """A tokenizer.json may hold how somebody cut and filled his texts; transformers forgets that at each call."""
    texts = [*TEXTS, ("a nurse</s>", " [</s>]")]
    expected = [len(encode(prompt, answer, tokenizer, None)) for prompt, answer in texts]
    for lengths in (encode_lengths, lambda *given: [*chain(*stream_lengths(*given))]):
        tokenizer.backend_tokenizer.enable_truncation(8)
        tokenizer.backend_tokenizer.enable_padding(length=4000)
        tokenizer.backend_tokenizer.encode_special_tokens = True
        assert lengths(texts, tokenizer) == expected


def test_a_tokenizer_with_a_way_of_its_own_is_asked_its_way(tokenizer: Any) -> None:
    class Own(type(tokenizer)):  # type: ignore[misc]
        def _encode_plus(self, text: Any, *args: Any, **settings: Any) -> Any:
            text = text + "!!" if isinstance(text, str) else [each + "!!" for each in text]
            return super()._encode_plus(text, *args, **settings)

    expected = [length + 4 for length in encode_lengths(TEXTS, tokenizer)]
    tokenizer.__class__ = Own
    assert encode_lengths(TEXTS, tokenizer) == [len(encode(*text, tokenizer, None)) for text in TEXTS] == expected


def test_texts_are_read_no_further_than_a_few_batches_ahead(tokenizer: Any) -> None:
    read = 0

    def texts() -> Any:
        nonlocal read
        while read < 20_000:
            read += 1
            yield "x", " []"

    assert len(next(stream_lengths(texts(), tokenizer))) == 250
    assert read <= 250 * (2 * 16 + 1)


def test_the_context_is_the_configs(tmp_path: Path) -> None:
    make_tiny_base(tmp_path / "base", context=384)
    base = Base(model="base")
    (tmp_path / "base" / "model.safetensors").unlink()  # no weights are read for it
    assert context_length_of(base, bases=tmp_path, allowed_roots=(tmp_path,)) == 384

    config = tmp_path / "base" / "config.json"
    config.write_text(json.dumps({"model_type": "no such architecture"}))
    with pytest.raises(ModelError, match=r"config\.json of `base` in .* cannot be read"):
        context_length_of(base, bases=tmp_path, allowed_roots=(tmp_path,))
