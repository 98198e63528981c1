"""Answers in the order of the texts, and no more in memory than was said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count, islice

import pytest

from skillsengine.serving.extract import Extractor
from skillsengine.serving.stream import Ahead, in_order
from skillsengine.serving.texts import Text, Unread
from tests.serving.conftest import LONG, SHORT


def ads(*texts: str) -> Iterator[Text]:
    return (Text("ads.jsonl", line, f"ads.jsonl:{line}", text, None) for line, text in enumerate(texts, 1))


def test_answers_come_in_the_order_of_the_texts(extractor: Extractor) -> None:
    texts = [LONG, *SHORT, LONG[30:], *SHORT]
    found = list(in_order(extractor, ads(*texts), pytest.fail, ahead=6))
    assert [text.line for text, _ in found] == list(range(1, len(texts) + 1))
    assert [answer for _, answer in found] == extractor.extract(texts)


def test_what_cannot_be_read_is_told_and_the_rest_answered(extractor: Extractor) -> None:
    told: list[Unread] = []
    first, second = ads(SHORT[0], SHORT[1])
    items = iter([Unread("a"), first, Unread("b"), second, Unread("c")])
    found = list(in_order(extractor, items, told.append, ahead=4))
    assert [text for text, _ in found] == [first, second]
    assert [each.told for each in told] == ["a", "b", "c"]
    assert list(in_order(extractor, iter([Unread("d")]), told.append, ahead=4)) == []
    assert told[-1].told == "d"


def test_an_input_without_end_is_answered_with_bounded_memory(extractor: Extractor) -> None:
    read = 0

    def endless() -> Iterator[Text]:
        nonlocal read
        for line in count(1):
            read = line
            yield Text("-", line, str(line), SHORT[line % len(SHORT)] if line % 5 else LONG, None)

    found = list(islice(in_order(extractor, endless(), pytest.fail, ahead=8), 40))
    assert [text.line for text, _ in found] == list(range(1, 41))
    assert read <= 40 + 3 * 8


def test_an_answer_does_not_wait_for_texts_to_come(extractor: Extractor) -> None:
    """As with `tail -f`: one line is there, and nobody knows when the next one will be."""
    more = threading.Event()

    def slow() -> Iterator[Text]:
        yield from ads(SHORT[0], "")
        more.wait(60)

    found = in_order(extractor, slow(), pytest.fail, ahead=8)
    assert [next(found)[0].line, next(found)[0].line] == [1, 2]
    assert not more.is_set()
    more.set()
    assert list(found) == []


def test_what_the_reader_raises_is_raised(extractor: Extractor) -> None:
    def broken() -> Iterator[Text]:
        yield from ads(SHORT[0])
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(in_order(extractor, broken(), pytest.fail, ahead=2))


def test_a_reader_gives_what_is_there() -> None:
    ahead = Ahead(iter(range(5)), 2)
    taken: list[int] = []
    while (items := ahead.take(3, True)) is not None:
        assert 1 <= len(items) <= 3
        taken += items
    assert taken == list(range(5))
    assert ahead.take(3, True) is None and ahead.take(3, False) is None
