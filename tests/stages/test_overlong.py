"""Cut, split, drop: every text fits, every skill stays in some part, and the counts are what happened."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.modeling.base import load_tokenizer
from skillsengine.modeling.encoding import encode
from skillsengine.spec.schema import Base
from skillsengine.stages.overlong import Fitter
from skillsengine.stages.rows import Row
from tests.stages.formatted import row
from tests.tiny import make_tiny_base

TEMPLATE = "Ad: {text}\nSkills:"
SKILLS = ["SQL", "Java", "JavaScript", "wound care", "C++", "first aid. Now"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("overlong")
    make_tiny_base(folder / "base")
    return load_tokenizer(Base(model="base"), bases=folder, allowed_roots=(folder,))


def fitter(tokenizer: Any, max_length: int, overlong: Literal["cut", "split", "drop"]) -> Fitter:
    return Fitter(TEMPLATE, tokenizer, max_length, overlong)


def whole_length(each: Row, tokenizer: Any) -> int:
    return len(encode(each.prompt(TEMPLATE), each.answer or "", tokenizer, None))


def texts(tokenizer: Any, fitted: list[Any]) -> list[str]:
    return [tokenizer.decode(text.input_ids, skip_special_tokens=True) for text in fitted]


@pytest.mark.parametrize("overlong", ["cut", "split", "drop"])
def test_a_row_that_fits_is_left_alone(tokenizer: Any, overlong: Literal["cut", "split", "drop"]) -> None:
    ad = row("We need SQL. And Java.", ["SQL", "Java"])
    length = whole_length(ad, tokenizer)
    exact = fitter(tokenizer, length, overlong)
    assert exact.fit(ad) == [encode(ad.prompt(TEMPLATE), ad.answer or "", tokenizer, None)]
    assert not any(exact.counts().values())
    short = fitter(tokenizer, length - 1, overlong)
    short.fit(ad)
    assert any(short.counts().values()), "one token less and something must be done"


def test_split_makes_rows_of_whole_sentences_with_their_own_skills(tokenizer: Any) -> None:
    ad = row(
        "We need SQL and Java here. Lunch is free on Mondays and tea too, all the year.\n"
        "- wound care\n- SQL again, and JavaScript",
        ["SQL", "Java", "wound care", "JavaScript"],
    )
    split = fitter(tokenizer, 62, "split")
    made = split.fit(ad)
    assert texts(tokenizer, made) == [
        'Ad: We need SQL and Java here.\nSkills: ["SQL", "Java"]',
        "Ad: Lunch is free on Mondays and tea too, all the year.\nSkills: []",
        'Ad: - wound care\n- SQL again, and JavaScript\nSkills: ["wound care", "SQL", "JavaScript"]',
    ]
    assert all(len(text) <= 62 for text in made)
    assert split.counts() == {"rows_cut": 0, "rows_split": 1, "parts": 3, "rows_dropped": 0, "rows_left_out": 0}


def test_a_skill_of_whole_words_is_not_found_inside_others(tokenizer: Any) -> None:
    """`Java` stands by itself in the first sentence: the letters in `JavaScript` are not it."""
    parts = fitter(tokenizer, 50, "split").split(row("You know Java well. We like JavaScript too.", ["Java"]))
    assert [part.skills for part in parts] == [("Java",), ()]
    # Where it never stands by itself, its letters are all there is.
    parts = fitter(tokenizer, 50, "split").split(row("You know JavaFX well. We like tea, all of us.", ["Java"]))
    assert [part.skills for part in parts] == [("Java",), ()]


def test_no_border_falls_into_a_skill(tokenizer: Any) -> None:
    ad = row("We like first aid. Now and then. And tea, every day.", ["first aid. Now"])
    parts = fitter(tokenizer, 52, "split").split(ad)
    assert [part.text for part in parts] == ["We like first aid. Now and then. ", "And tea, every day."]
    assert parts[0].skills == ("first aid. Now",)


def test_a_sentence_that_is_too_long_by_itself_is_cut(tokenizer: Any) -> None:
    ad = row("Short one. Very" + " very" * 60 + " long SQL. Tea.", ["SQL"])
    split = fitter(tokenizer, 40, "split")
    made = split.fit(ad)
    assert [text.cut for text in made] == [False, True, False]
    assert [len(text) <= 40 for text in made] == [True] * 3
    assert split.counts() == {"rows_cut": 1, "rows_split": 1, "parts": 3, "rows_dropped": 0, "rows_left_out": 0}
    alone = fitter(tokenizer, 40, "split")
    assert [text.cut for text in alone.fit(row("very " * 60 + "long SQL", ["SQL"]))] == [True]
    assert alone.counts() == {"rows_cut": 1, "rows_split": 0, "parts": 0, "rows_dropped": 0, "rows_left_out": 0}


def test_drop_and_cut_are_counted(tokenizer: Any) -> None:
    ad = row("word " * 80, ["word"])
    drop, cut = fitter(tokenizer, 60, "drop"), fitter(tokenizer, 60, "cut")
    assert drop.fit(ad) == []
    assert drop.counts() == {"rows_cut": 0, "rows_split": 0, "parts": 0, "rows_dropped": 1, "rows_left_out": 0}
    [text] = cut.fit(ad)
    assert len(text) == 60 and text.cut
    assert texts(tokenizer, [text])[0].endswith('\nSkills: ["word"]')
    assert cut.counts() == {"rows_cut": 1, "rows_split": 0, "parts": 0, "rows_dropped": 0, "rows_left_out": 0}


def test_an_answer_is_never_cut(tokenizer: Any) -> None:
    ad = row("word" * 40, ["word" * 40])
    for overlong in ("cut", "split"):
        made = fitter(tokenizer, 60, overlong)  # type: ignore[arg-type]
        assert made.fit(ad) == []
        assert made.counts() == {"rows_cut": 0, "rows_split": 0, "parts": 0, "rows_dropped": 0, "rows_left_out": 1}


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from([*SKILLS, "tea", "and", "Then", ".", "!", "\n", "é", "(x)"]), min_size=1, max_size=60),
    st.sets(st.sampled_from(SKILLS)),
    st.integers(40, 120),
)
def test_parts_joined_are_the_ad_and_no_skill_is_lost(
    tokenizer: Any, words: list[str], labels: set[str], max_length: int
) -> None:
    text = " ".join(words).replace(" .", ".").replace(" !", "!").strip() or "tea"
    skills = sorted((label for label in labels if label in text), key=lambda label: (text.index(label), len(label)))
    ad, made = row(text, skills), fitter(tokenizer, max_length, "split")
    parts = made.split(ad)
    assert "".join(part.text for part in parts) == text
    assert {skill for part in parts for skill in part.skills} == set(skills)
    assert all(skill in part.text for part in parts for skill in part.skills)
    fitted = made.fit(ad)
    assert all(len(each) <= max_length for each in fitted)
    if whole_length(ad, tokenizer) > max_length and len(parts) > 1:
        assert len(fitted) == made.parts - made.rows_left_out
        # As long as they may be: the next part would not have fitted into the one before.
        for one, two in pairwise(parts):
            together = row((one.text + two.text).strip(), list(dict.fromkeys((*one.skills, *two.skills))))
            assert whole_length(together, tokenizer) > max_length
