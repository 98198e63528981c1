"""Answers: what is rendered is read back, and no generated text is too odd to be read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.modeling.answers import is_whole_answer, parse_answer, render_answer

SKILL = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip).filter(bool)
SKILLS = st.lists(SKILL, unique=True, max_size=8)


def test_the_answer_is_a_space_and_a_json_list() -> None:
    assert render_answer(("TIG welding", "SQL")) == ' ["TIG welding", "SQL"]'
    assert render_answer(()) == " []"
    assert render_answer(["Płatnik", 'the "5S" method']) == ' ["Płatnik", "the \\"5S\\" method"]'


@pytest.mark.parametrize(
    ("text", "skills", "parsed"),
    [
        (' ["SQL", "Go"]', ["SQL", "Go"], True),
        (" []", [], True),
        ('["SQL", "Go"]\n\n### Job Description: Cook wanted ["no"]', ["SQL", "Go"], True),
        ('["SQL", "SQL", " Go "]', ["SQL", "Go"], True),
        ('["SQL", "wound ca', ["SQL"], False),
        ('["SQL", "wound care"', ["SQL", "wound care"], False),
        ('["SQL", ', ["SQL"], False),
        ('["SQL", "Go",]', ["SQL", "Go"], False),
        ('["SQL" "Go"]', ["SQL", "Go"], False),
        ('["SQL", 3, null, "Go"]', ["SQL", "Go"], False),
        ('["SQL", ["Go"], {"a": "b"}]', ["SQL"], False),
        ('The skills are: ["SQL"]', ["SQL"], False),
        ("SQL, Go and wound care", [], False),
        ("", [], False),
        ("[", [], False),
        ('{"skills": ["SQL"]}', ["SQL"], False),
        ('["\\ud83d", "SQL"]', ["?", "SQL"], True),
        ("[" * 100_000, [], False),
        ('["SQL", ' + "[" * 100_000, ["SQL"], False),
        ('["SQL", ' + "9" * 5_000 + "]", ["SQL"], False),
    ],
)
def test_generated_texts(text: str, skills: list[str], parsed: bool) -> None:
    assert parse_answer(text) == (skills, parsed)


@given(SKILLS)
def test_what_is_rendered_is_read_back(skills: list[str]) -> None:
    assert parse_answer(render_answer(skills)) == (skills, True)


@given(SKILLS, st.text())
def test_what_follows_the_list_changes_nothing(skills: list[str], rest: str) -> None:
    assert parse_answer(render_answer(skills) + rest) == (skills, True)


@given(SKILLS.filter(bool), st.data())
def test_a_cut_answer_gives_the_items_before_the_cut(skills: list[str], data: st.DataObject) -> None:
    answer = render_answer(skills)
    cut = data.draw(st.integers(0, len(answer) - 1))
    found, parsed = parse_answer(answer[:cut])
    assert found == skills[: len(found)]
    assert not parsed


@given(SKILLS, st.data())
def test_an_answer_is_whole_at_its_last_letter_and_not_before(skills: list[str], data: st.DataObject) -> None:
    answer = render_answer(skills)
    assert is_whole_answer(answer) and is_whole_answer(answer + "\n\n### Job")
    assert not is_whole_answer(answer[: data.draw(st.integers(0, len(answer) - 1))])
    assert not is_whole_answer("The skills are:" + answer)


@given(st.text() | st.text(alphabet='[]{}",\\u0d8a1 \n'))
def test_any_text_is_read_without_an_error(text: str) -> None:
    skills, _ = parse_answer(text)
    assert len(set(skills)) == len(skills)
    json.dumps(skills, ensure_ascii=False).encode("utf-8")
