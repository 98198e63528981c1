"""Where sentences end, and that nothing of the text is lost."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.stages.sentences import sentence_ends


def sentences(text: str) -> list[str]:
    ends = sentence_ends(text)
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We need a nurse. Apply now!", ["We need a nurse. ", "Apply now!"]),
        ("Really?! Yes… Of course.", ["Really?! ", "Yes… ", "Of course."]),
        ("He said “Go.” (Or not.) Then left.", ["He said “Go.” ", "(Or not.) ", "Then left."]),
        ("You bring:\n- SQL\n- wound care\n\n  Apply", ["You bring:\n", "- SQL\n", "- wound care\n\n  ", "Apply"]),
        ("Ask Dr. Smith or J. Doe. Thanks.", ["Ask Dr. Smith or J. Doe. ", "Thanks."]),
        ("The U.S. Army, z. B. SQL, approx. five", ["The U.S. Army, z. B. SQL, approx. five"]),
        ("1. Wound care 2. First aid", ["1. Wound care 2. ", "First aid"]),
        ("In 2024. Then Node.js, C# and .NET 8. Good", ["In 2024. ", "Then Node.js, C# and .NET 8. ", "Good"]),
        ("看护。需要！好", ["看护。", "需要！", "好"]),
        ("  \n First. Second  ", ["  \n First. ", "Second  "]),
        ("No end", ["No end"]),
        ("a.\n\n", ["a.\n\n"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_the_rule(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(st.text(alphabet="aB1.!?… \n\t)”。é-", max_size=60))
def test_the_sentences_are_the_text(text: str) -> None:
    found = sentences(text)
    assert "".join(found) == (text if text.strip() else "")
    assert all(sentence.strip() for sentence in found)


@pytest.mark.parametrize("text", ["a. " * 50_000, "." * 100_000 + "x", " " * 50_000 + "x. " * 20_000, "x)" * 50_000])
def test_the_time_grows_with_the_length(text: str) -> None:
    started = time.process_time()
    sentence_ends(text)
    assert time.process_time() - started < 5  # a quadratic rule takes minutes
