from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.scoring.matching import is_verbatim, normalize_skill, skill_set


@pytest.mark.parametrize(
    ("skill", "expected"),
    [
        ("Python", "python"),
        ("  wound \n care ", "wound care"),
        ("TIG\u00a0welding", "tig welding"),
        ("TIG\u2003 welding.", "tig welding"),
        ("\ufb01rst aid", "first aid"),  # the ligature fi
        ("ＳＱＬ", "sql"),
        ("Straße", "strasse"),
        ("cafe\u0301 service", "caf\u00e9 service"),
        ("bud\u00adget plan\u200bning", "budget planning"),
        ('"Excel",', "excel"),
        ("«SAP»", "sap"),
        ("`git`", "git"),
        ("(CNC milling)", "cnc milling"),
        ("- forklift;", "forklift"),
        ("• first aid", "first aid"),
        ("C++", "c++"),
        ("C++.", "c++"),
        ("C#", "c#"),
        ("C#,", "c#"),
        ("#python", "python"),
        (".NET", ".net"),
        (" (.NET) ", ".net"),
        ("...Excel...", "excel"),
        ("R&D", "r&d"),
        ("Node.js", "node.js"),
        ("CI/CD", "ci/cd"),
        ("permit-to-work", "permit-to-work"),
        ("", ""),
        (" ... ", ""),
        ("#", ""),
    ],
)
def test_normal_form(skill: str, expected: str) -> None:
    assert normalize_skill(skill) == expected


def test_what_people_tell_apart_stays_apart() -> None:
    skills = ["C", "C++", "C#", "NET", ".NET", "SQL", "NoSQL", "weld", "welding"]
    assert len({normalize_skill(skill) for skill in skills}) == len(skills)


@given(st.text())
def test_normalizing_twice_changes_nothing(skill: str) -> None:
    once = normalize_skill(skill)
    assert normalize_skill(once) == once


@given(st.text(), st.sampled_from([" ", "\n", "\t ", '"', "(", ", ", "!", "\u200b"]))
def test_white_space_and_quotes_around_do_not_matter(skill: str, around: str) -> None:
    # A dot or number sign may belong to the name, so such edges are left to the table above.
    if not skill.strip(".#").strip() or skill[0] in ".#" or skill[-1] in ".#":
        return
    core = normalize_skill(skill)
    if core[:1] != "." and core[-1:] != "#":
        assert normalize_skill(around + skill + around) == core


def test_skill_set_drops_copies_and_what_is_empty() -> None:
    assert skill_set(["Excel", "excel ", "EXCEL.", "--", ""]) == {"excel"}


def test_verbatim_is_to_the_character() -> None:
    text = "You know TIG welding."
    assert is_verbatim("TIG welding", text)
    assert not is_verbatim("tig welding", text)
    assert not is_verbatim("", text)
