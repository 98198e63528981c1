"""Generation and teacher forcing on tiny bases, batched against one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from skillsengine.modeling import decoding
from skillsengine.modeling import generate as generating
from skillsengine.modeling.answers import parse_answer
from skillsengine.modeling.backend import TransformersBackend
from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.encoding import encode
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.generate import Batch, generate
from skillsengine.modeling.teacher_forced import forward_token_predictions
from skillsengine.spec.schema import Base
from tests.tiny import make_tiny_base

PROMPTS = ["short", "### Job Description: a nurse with wound care\n### Skills:", "abc " * 30, "Python, SQL"]


@pytest.fixture(scope="module", params=[True, False], ids=["pad", "no pad token"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedBase:
    root = tmp_path_factory.mktemp("root")
    make_tiny_base(root / "base", tied=False, seed=5, pad=request.param)
    base = load_base(Base(model="base"), "cpu", bases=root, allowed_roots=[root])
    for weight in base.model.parameters():
        weight.data.mul_(4)  # far from ties, so that the likeliest token is the same in any batch
    return base


def _one_by_one(loaded: LoadedBase, prompt: str, count: int) -> list[int]:
    """Greedy decoding without cache, padding or batch."""
    ids = loaded.tokenizer(prompt).input_ids
    new: list[int] = []
    with torch.no_grad():
        while len(new) < count and new[-1:] != [loaded.tokenizer.eos_token_id]:
            new.append(int(loaded.model(torch.tensor([ids + new])).logits[0, -1].argmax()))
    return new


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_batches_give_what_one_by_one_gives(loaded: LoadedBase, batch_size: int) -> None:
    expected = [loaded.tokenizer.decode(_one_by_one(loaded, p, 12), skip_special_tokens=True) for p in PROMPTS]
    assert generate(loaded, PROMPTS, max_new_tokens=12, batch_size=batch_size) == expected


def _until(text: str, stop: str) -> str:
    """The text before the first of the letters `stop` after its first letter."""
    begin = len(text) - len(text.lstrip())
    return text[: min((at for mark in stop if (at := text.find(mark, begin)) >= 0), default=len(text))]


@pytest.mark.parametrize("before", ["", "the same for all " * 8])
@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_rows_leave_and_join_a_batch_at_work(loaded: LoadedBase, batch_size: int, before: str) -> None:
    """Answers of all lengths: a row leaves when its answer ends, another one takes its place, and no answer changes."""
    prompts = [before + "abc " * (number * 7 % 11) + f"ad {number}" for number in range(12)]
    stop, count = "aeiou \n", 24
    whole = [loaded.tokenizer.decode(_one_by_one(loaded, p, count), skip_special_tokens=True) for p in prompts]
    expected = [_until(text, stop) for text in whole]
    shapes: list[torch.Size] = []
    hook = loaded.model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    told: list[Batch] = []
    try:
        answers = generate(
            loaded, prompts, max_new_tokens=count, batch_size=batch_size, stop=list(stop), on_batch=told.append
        )
    finally:
        hook.remove()
    assert answers == expected
    assert len({len(text) for text in answers}) > 3
    assert max(rows for rows, _ in shapes) == batch_size
    # Nothing is computed for a row that has ended: each forward pass of a row is one new token, but for that of the beginning.
    assert sum(rows for rows, _ in shapes) == told[-1].tokens + bool(before)
    # Prompts do not wait until a whole batch has ended.
    assert sum(tokens > 1 for _, tokens in shapes) - bool(before) > len(prompts) / batch_size or batch_size == 1


@pytest.mark.parametrize("plain", [True, False])
def test_an_answer_ends_with_its_list(loaded: LoadedBase, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generating, "is_plain", lambda model: plain)
    told: list[Batch] = []
    written = ' ["a [b]", "c"]. And so on'
    answers = generate(_always(loaded, written), PROMPTS, max_new_tokens=50, batch_size=3, on_batch=told.append)
    assert [parse_answer(answer) for answer in answers] == [(["a [b]", "c"], True)] * 4
    assert set(answers) <= {' ["a [b]", "c"]', ' ["a [b]", "c"].'}
    assert told[-1].tokens <= 4 * len(loaded.tokenizer(' ["a [b]", "c"].', add_special_tokens=False).input_ids)


def test_a_backend_is_the_model_itself(loaded: LoadedBase) -> None:
    backend = TransformersBackend(loaded)
    ids = [backend.tokenizer(prompt).input_ids for prompt in PROMPTS]
    answers = backend.generate(ids, max_new_tokens=6, batch_size=3)
    assert answers == generate(loaded, PROMPTS, max_new_tokens=6, batch_size=3)
    assert backend.context_length == loaded.context_length


def test_few_tokens_are_read_at_once(loaded: LoadedBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is larger than what one pass reads is filled by several passes, and no answer changes."""
    prompts = ["abc " * (number * 7 % 11) + f"ad {number}" for number in range(9)]
    expected = generate(loaded, prompts, max_new_tokens=6, batch_size=9)
    monkeypatch.setattr(decoding, "_READ_AT_ONCE", 40)
    shapes: list[torch.Size] = []
    hook = loaded.model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    try:
        assert generate(loaded, prompts, max_new_tokens=6, batch_size=9) == expected
    finally:
        hook.remove()
    read = [shape for shape in shapes if shape[1] > 1]
    assert len(read) > 2
    assert max(rows for rows, _ in read) > 1  # as many as fit
    assert all(shape.numel() <= 40 or shape[0] == 1 for shape in read)
    assert max(rows for rows, tokens in shapes if tokens == 1) == 9


SHOTS = "".join(f"### Job Description: ad {n} with SQL\n### Skills: [{n}]\n\n" for n in range(4))
"""Much more than `WORTHWHILE` tokens."""


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_a_shared_beginning_is_read_once_and_changes_nothing(loaded: LoadedBase, batch_size: int) -> None:
    prompts = [SHOTS + prompt for prompt in PROMPTS]
    expected = [loaded.tokenizer.decode(_one_by_one(loaded, p, 12), skip_special_tokens=True) for p in prompts]
    widths: list[int] = []
    hook = loaded.model.register_forward_pre_hook(
        lambda module, args, kwargs: widths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        assert generate(loaded, prompts, max_new_tokens=12, batch_size=batch_size) == expected
    finally:
        hook.remove()
    shared = len(loaded.tokenizer(SHOTS).input_ids)
    assert max(widths) <= shared + 2 < len(loaded.tokenizer(prompts[2]).input_ids)
    assert sum(width > shared // 2 for width in widths) <= 2  # the prefix, and the longest of the rest


def test_equal_prompts_keep_a_token_of_their_own(loaded: LoadedBase) -> None:
    alone = generate(loaded, [SHOTS], max_new_tokens=6, batch_size=1)
    assert generate(loaded, [SHOTS] * 3, max_new_tokens=6, batch_size=2) == alone * 3


def test_tells_each_batch(loaded: LoadedBase) -> None:
    told: list[Batch] = []
    generate(loaded, PROMPTS, max_new_tokens=5, batch_size=3, on_batch=told.append)
    assert [(batch.done, batch.total) for batch in told] == [(3, 4), (4, 4)]
    assert 0 < told[0].tokens < told[1].tokens <= 20


def _always(loaded: LoadedBase, text: str) -> LoadedBase:
    """A model that writes `text` token by token after any prompt, then end of text."""
    script = [*loaded.tokenizer(text, add_special_tokens=False).input_ids, loaded.tokenizer.eos_token_id]

    class Scripted(type(loaded.model)):  # type: ignore[misc]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            out = super().forward(*args, **kwargs)
            cached = kwargs["past_key_values"].get_seq_length()
            prefill = kwargs["input_ids"].shape[1] > 1
            self.told = 0 if prefill else self.told + 1
            assert cached
            out.logits[:, -1] = torch.nn.functional.one_hot(
                torch.tensor(script[min(self.told, len(script) - 1)]), out.logits.shape[-1]
            ).float()
            return out

    model = Scripted(loaded.model.config).eval()
    return replace(loaded, model=model)


def test_ends_at_end_of_text(loaded: LoadedBase) -> None:
    told: list[Batch] = []
    answers = generate(_always(loaded, " a, b"), PROMPTS, max_new_tokens=50, batch_size=2, on_batch=told.append)
    assert answers == [" a, b"] * 4
    length = len(loaded.tokenizer(" a, b", add_special_tokens=False).input_ids) + 1
    assert told[-1].tokens == 4 * length


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (" a, b\n\n### Job Description: and on and on it goes", " a, b"),
        ("\n\n a, b ### more", "\n\n a, b "),
        (" a, b\nand on", " a, b\nand on"),
    ],
)
def test_stop_texts_after_the_first_letter(loaded: LoadedBase, written: str, kept: str) -> None:
    told: list[Batch] = []
    answers = generate(
        _always(loaded, written), ["x"], max_new_tokens=60, batch_size=2, stop=("\n\n", "###"), on_batch=told.append
    )
    assert answers == [kept]
    whole = len(loaded.tokenizer(written, add_special_tokens=False).input_ids)
    assert told[-1].tokens <= whole + 1
    if kept != written:
        assert told[-1].tokens < whole  # it did not go on after the stop text


def test_a_prompt_longer_than_the_context_is_cut_before_its_end(loaded: LoadedBase) -> None:
    small = replace(loaded, context_length=64)
    seen: list[torch.Tensor] = []
    hook = small.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True
    )
    try:
        generate(small, ["welding " * 100 + "\n### Skills:"], max_new_tokens=8, batch_size=1)
    finally:
        hook.remove()
    assert seen[0].shape == (1, 56)
    assert loaded.tokenizer.decode(seen[0][0]).endswith("\n### Skills:")


def test_no_room_for_a_prompt(loaded: LoadedBase) -> None:
    with pytest.raises(ModelError, match=r"evaluate.max_new_tokens: 512 leaves no room .* context of 512 tokens"):
        generate(loaded, ["x"], max_new_tokens=512, batch_size=1)


def test_no_prompts(loaded: LoadedBase) -> None:
    assert generate(loaded, [], max_new_tokens=8, batch_size=4) == []


@pytest.mark.parametrize("before", ["", SHOTS])
def test_token_predictions_are_those_of_one_forward_pass(loaded: LoadedBase, before: str) -> None:
    rows = [("### Job Description: a nurse\n### Skills:", ' ["wound care"]'), ("b" * 40, " []"), ("c", ' ["SQL", "x"]')]
    rows = [(before + prompt, answer) for prompt, answer in rows]
    encoded = [encode(prompt, answer, loaded.tokenizer, None) for prompt, answer in rows]
    pairs = list(forward_token_predictions(loaded, encoded, batch_size=2))
    assert len(pairs) == 3
    for text, (prompt, answer), (gold, predicted) in zip(encoded, rows, pairs, strict=True):
        assert loaded.tokenizer.decode(gold) == answer + "</s>"
        with torch.no_grad():
            every = loaded.model(torch.tensor([text.input_ids])).logits[0].argmax(-1).tolist()
        start = len(loaded.tokenizer(prompt).input_ids)
        assert predicted == every[start - 1 : -1]


def test_no_token_predictions(loaded: LoadedBase, tmp_path: Path) -> None:
    assert list(forward_token_predictions(loaded, [], batch_size=2)) == []


def test_an_answer_that_goes_round_in_circles_ends_with_the_same_skills(loaded: LoadedBase) -> None:
    told: list[Batch] = []
    written = ' ["Java", ' + '"SQL", "Excel", ' * 40
    (answer,) = generate(_always(loaded, written), ["x"], max_new_tokens=400, batch_size=2, on_batch=told.append)
    assert written.startswith(answer) and 96 <= told[-1].tokens < 200
    assert parse_answer(answer) == (["Java", "SQL", "Excel"], False) == parse_answer(written)
