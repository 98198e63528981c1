"""Texts that come one after the other have the answers that they have together, and alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch

from skillsengine.modeling import generate as generating
from skillsengine.serving.extract import Extraction, Extractor
from tests.serving.conftest import LONG, SHORT

TEXTS = [*SHORT, LONG, *SHORT[:3], LONG[40:]]


def arriving(texts: Sequence[str], steps: Sequence[int]) -> Iterator[list[tuple[int, str]]]:
    """The texts in groups of these sizes; 0 is a time at which none is there."""
    at = 0
    for step in steps:
        yield [(number, texts[number]) for number in range(at, min(at + step, len(texts)))]
        at += step
    yield from ([(number, texts[number])] for number in range(at, len(texts)))


def streamed(extractor: Extractor, texts: Sequence[str], steps: Sequence[int]) -> dict[int, Extraction]:
    groups = arriving(texts, steps)
    left: list[tuple[int, str]] = []

    def take(most: int, wait: bool) -> list[tuple[int, str]] | None:
        nonlocal left
        if not left:
            group = next(groups, None)
            while group == [] and wait:
                group = next(groups, None)
            if group is None:
                return None
            left = group
        taken, left = left[:most], left[most:]
        return taken

    return dict(extractor.stream(take))


@pytest.fixture(scope="module")
def alone(extractor: Extractor) -> list[Extraction]:
    return [extractor.extract(text) for text in TEXTS]


@pytest.mark.parametrize(
    ("batch_size", "steps"), [(1, ()), (2, (100,)), (5, (3, 0, 0, 1, 0, 6)), (16, ())], ids=lambda value: str(value)
)
def test_answers_are_those_of_each_text_alone(
    extractor: Extractor, alone: list[Extraction], batch_size: int, steps: tuple[int, ...]
) -> None:
    rolling = replace(extractor, asker=replace(extractor.asker, batch_size=batch_size))
    found = streamed(rolling, TEXTS, steps)
    assert [found[number] for number in range(len(TEXTS))] == alone
    assert len({answer.raw for answer in alone}) > 5


def test_a_list_has_the_answers_of_its_texts(extractor: Extractor, alone: list[Extraction]) -> None:
    assert extractor.extract(TEXTS) == alone


def test_models_whose_rows_stay_together_answer_too(
    extractor: Extractor, alone: list[Extraction], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generating, "is_plain", lambda model: False)
    found = streamed(extractor, TEXTS, (2, 0, 5))
    assert [found[number] for number in range(len(TEXTS))] == alone


def test_a_long_text_holds_up_no_short_one(extractor: Extractor) -> None:
    order: list[int] = []
    texts = [LONG * 2, *SHORT[:3]]
    for number in streamed(replace(extractor, asker=replace(extractor.asker, batch_size=2)), texts, (9,)):
        order.append(number)
    assert order[-1] == 0


def test_a_text_joins_while_others_are_at_work(extractor: Extractor) -> None:
    """The model is never given a batch of its own for it."""
    shapes: list[torch.Size] = []
    model = extractor.asker.backend.loaded.model  # type: ignore[attr-defined]
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    try:
        streamed(extractor, [SHORT[0], SHORT[1]], (1, 0, 0, 1))
    finally:
        hook.remove()
    first_alone = next(place for place, (rows, tokens) in enumerate(shapes) if tokens > 1 and place)
    assert shapes[0][0] == 1 and first_alone < len(shapes) - 1
    assert max(rows for rows, _ in shapes) == 2


def test_half_a_character_is_no_reason_to_fail(extractor: Extractor) -> None:
    assert extractor.extract("SQL \ud83d") == extractor.extract("SQL ") or extractor.extract("SQL \ud83d").raw
