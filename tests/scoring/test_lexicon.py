from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.scoring.lexicon import Lexicon


@pytest.mark.parametrize(
    ("labels", "text", "expected"),
    [
        (["wound care", "SQL"], "SQL first, Wound  Care next.", ["SQL", "Wound  Care"]),
        (["care"], "childcare and care", ["care"]),
        (["care"], "childcare", []),
        (["java"], "JavaScript", []),
        (["c"], "C++, C# and C", ["C"]),
        (["C++", "c#"], "c++/C#", ["c++", "C#"]),
        ([".NET"], "ASP .NET or.NET", [".NET"]),
        (
            ["wound", "wound care", "wound care plans"],
            "wound care plan, wound care plans",
            ["wound care", "wound care plans"],
        ),
        (["fork lift", "lift truck licence"], "fork lift truck licence", ["lift truck licence"]),
        (["a b", "b a"], "a b a", ["a b"]),
        (["Excel"], "Excel, excel and EXCEL.", ["Excel"]),
        (["wound care"], "wound-care", []),
        (["permit-to-work"], "permit-to-work permit - to - work", ["permit-to-work"]),
        (["(CPR)"], "knows (CPR) and CPR", ["(CPR)"]),
        (["crème"], "CRÈME and cre\u0300me", ["CRÈME"]),
        ([], "anything", []),
        (["", " "], "anything", []),
        (["x"], "", []),
        (["budget planning"], "Budget\nplanning", ["Budget\nplanning"]),
    ],
)
def test_matches(labels: list[str], text: str, expected: list[str]) -> None:
    assert Lexicon(labels).extract(text) == expected


WORDS = st.sampled_from(["ab", "AB", "cd", "e", "f", "gh"])
PHRASES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)


@given(st.lists(PHRASES, max_size=6), st.lists(WORDS, max_size=15).map(" ".join))
def test_same_as_trying_every_label_longest_first(labels: list[str], text: str) -> None:
    taken: list[tuple[int, int]] = []
    for label in sorted({label.lower() for label in labels}, key=lambda label: (-len(label), label)):
        for match in re.finditer(rf"(?<!\w)(?=({re.escape(label)})(?!\w))", text, re.IGNORECASE):
            span = match.span(1)
            if all(span[1] <= start or end <= span[0] for start, end in taken):
                taken.append(span)
    found = Lexicon(labels).extract(text)
    # Labels of one length may be tried in another order, so overlaps of equals are compared by coverage alone.
    if len({end - start for start, end in taken}) == len(taken):
        order = [text[start:end].lower() for start, end in sorted(taken)]
        assert [skill.lower() for skill in found] == list(dict.fromkeys(order))
    assert all(skill in text and skill.lower() in {label.lower() for label in labels} for skill in found)


@given(st.lists(st.text(max_size=12), max_size=8), st.text(max_size=80))
def test_whatever_it_finds_stands_in_the_text(labels: list[str], text: str) -> None:
    found = Lexicon(labels).extract(text)
    assert all(skill in text for skill in found)


def test_time_does_not_grow_with_the_labels() -> None:
    labels = [f"skill number {number}" for number in range(20_000)]
    text = " ".join(f"word{number} skill number {number}" for number in range(0, 3_000, 7))
    lexicon = Lexicon(labels)
    started = time.perf_counter()
    found = lexicon.extract(text)
    assert time.perf_counter() - started < 1.0  # a pass over all labels takes minutes
    assert len(found) == 429
