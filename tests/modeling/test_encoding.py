"""Texts to tokens: what is supervised, and what is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from skillsengine.modeling.encoding import KEEP_END, closing_tokens, cut_prompt, encode
from tests.tiny import make_tiny_base

PROMPT, ANSWER = "### Job Description: TIG welding in Gdynia\n### Skills:", ' ["TIG welding"]'


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(make_tiny_base(tmp_path_factory.mktemp("base")))


def test_supervises_answer_and_end_alone(tokenizer: Any) -> None:
    text = encode(PROMPT, ANSWER, tokenizer, None)
    supervised = [token for token, label in zip(text.input_ids, text.labels, strict=True) if label == token]
    assert tokenizer.decode(supervised[:-1]) == ANSWER
    assert supervised[-1] == tokenizer.eos_token_id
    assert text.labels[: len(text) - len(supervised)] == [-100] * (len(text) - len(supervised))
    assert text.input_ids[0] == tokenizer.bos_token_id
    assert not text.cut


def test_prompt_has_the_tokens_of_generation(tokenizer: Any) -> None:
    # Joined as strings, the end of the prompt and the beginning of the answer would merge into other tokens.
    text = encode(PROMPT, ANSWER, tokenizer, None)
    prompt = tokenizer(PROMPT).input_ids
    assert text.input_ids[: len(prompt)] == prompt
    assert text.labels[: len(prompt)] == [-100] * len(prompt)


def test_cuts_the_ad_never_the_answer(tokenizer: Any) -> None:
    long_ad = "### Job Description: " + "welding and more " * 40 + "\n### Skills:"
    whole, cut = encode(long_ad, ANSWER, tokenizer, None), encode(long_ad, ANSWER, tokenizer, 64)
    assert len(whole) > 64
    assert len(cut) == 64
    assert cut.cut
    text = tokenizer.decode(cut.input_ids)
    assert text.startswith("<s>### Job Description: welding")
    assert text.endswith('\n### Skills: ["TIG welding"]</s>')
    assert [label for label in cut.labels if label != -100] == [label for label in whole.labels if label != -100]


def test_an_answer_that_fills_the_length_stays_whole(tokenizer: Any) -> None:
    answer = ' ["' + "welding " * 30 + '"]'
    text = encode(PROMPT + "x" * 100, answer, tokenizer, 32)
    assert len(text) > 32
    assert tokenizer.decode([label for label in text.labels if label != -100]) == answer + "</s>"


@given(ids=st.lists(st.integers(3, 300), max_size=60), budget=st.integers(-5, 80), begins=st.booleans())
def test_cut_prompt_keeps_both_ends(tokenizer: Any, ids: list[int], budget: int, begins: bool) -> None:
    prompt = [tokenizer.bos_token_id, *ids] if begins else ids
    kept = cut_prompt(prompt, budget, tokenizer)
    assert len(kept) <= max(budget, KEEP_END + begins)
    assert kept[-KEEP_END:] == prompt[-KEEP_END:]
    assert kept[:1] == prompt[:1] or (not begins and budget <= KEEP_END)
    if len(prompt) <= budget:
        assert kept == prompt


def test_closing_tokens_cover_the_template_after_the_ad(tokenizer: Any) -> None:
    template = "### Job Description: {text}\nList what the ad asks for, as JSON, and nothing else.\n### Skills:"
    keep = closing_tokens(template, tokenizer)
    text = encode(template.replace("{text}", "welding " * 90), ANSWER, tokenizer, keep + 30, keep_end=keep)
    assert "\nList what the ad asks for, as JSON, and nothing else.\n### Skills:" in tokenizer.decode(text.input_ids)


def test_a_tokenizer_that_closes_every_text(tokenizer: Any, tmp_path: Path) -> None:
    from tokenizers import processors

    closing = AutoTokenizer.from_pretrained(make_tiny_base(tmp_path))
    ends = [("<s>", closing.bos_token_id), ("</s>", closing.eos_token_id)]
    closing.backend_tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    assert closing(PROMPT).input_ids[-1] == closing.eos_token_id
    assert encode(PROMPT, ANSWER, closing, None) == encode(PROMPT, ANSWER, tokenizer, None)
