"""Lengths without weights: many rows at once equal one by one, and the context is read from the config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import processors

from skillsengine.modeling.base import ModelError, context_length_of, load_tokenizer
from skillsengine.modeling.encoding import encode, encode_lengths
from skillsengine.spec.schema import Base
from tests.tiny import make_tiny_base

TEXTS = [
    ("### Job Description: a nurse\n### Skills:", ' ["wound care"]'),
    ("### Job Description: Płatnik 👩‍🔧 " + "and more " * 200 + "\n### Skills:", " []"),
    ("x", ' ["' + "TIG welding" * 90 + '"]'),
]


@pytest.mark.parametrize("closes", [False, True], ids=["opens a text", "also closes it"])
def test_many_at_once_equal_one_by_one(tmp_path: Path, closes: bool) -> None:
    make_tiny_base(tmp_path / "base")
    tokenizer = load_tokenizer(Base(model="base"), bases=tmp_path, allowed_roots=(tmp_path,))
    if closes:
        special = [("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, special)
    expected = [len(encode(prompt, answer, tokenizer, None)) for prompt, answer in TEXTS]
    assert encode_lengths(TEXTS, tokenizer) == expected
    assert encode_lengths([], tokenizer) == []


def test_the_context_is_the_configs(tmp_path: Path) -> None:
    make_tiny_base(tmp_path / "base", context=384)
    base = Base(model="base")
    (tmp_path / "base" / "model.safetensors").unlink()  # no weights are read for it
    assert context_length_of(base, bases=tmp_path, allowed_roots=(tmp_path,)) == 384

    config = tmp_path / "base" / "config.json"
    config.write_text(json.dumps({"model_type": "no such architecture"}))
    with pytest.raises(ModelError, match=r"config\.json of `base` in .* cannot be read"):
        context_length_of(base, bases=tmp_path, allowed_roots=(tmp_path,))
