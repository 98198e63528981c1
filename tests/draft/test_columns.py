"""Columns and their names: how full, how different, and which words a name holds in which language."""

from __future__ import annotations

import unicodedata

import pytest

from skillsengine.draft import names
from skillsengine.draft.columns import MAX_COLUMNS, Column, chosen, columns_of, shown
from skillsengine.draft.errors import DraftError
from tests.draft.support import columns


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("job_description", ["job", "description", "jobdescription"]),
        ("jobDescription", ["job", "description", "jobdescription"]),
        ("Job Description (EN)", ["job", "description", "en", "jobdescriptionen"]),
        ("JOB-ID", ["job", "id", "jobid"]),
        ("Geforderte Fähigkeiten", ["geforderte", "fahigkeiten", "gefordertefahigkeiten"]),
        (unicodedata.normalize("NFD", "Compétences"), ["competences", "competences"]),
        ("offre.texte_1", ["offre", "texte", "offretexte"]),
        ("42", [""]),
        ("", [""]),
    ],
)
def test_words_of_a_name(name: str, parts: list[str]) -> None:
    assert names.name_parts(name) == parts


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("Stellenbeschreibung", names.TEXT),
        ("Anzeigentext", names.TEXT),
        ("texte de l'annonce", names.TEXT),
        ("Descripción del puesto", names.TEXT),
        ("Kernkompetenzen", names.SKILLS),
        ("Compétences requises", names.SKILLS),
        (unicodedata.normalize("NFD", "fähigkeiten"), names.SKILLS),
        ("soft_skills", names.SKILLS),
        ("hardskills", names.SKILLS),
        ("Færdigheder", names.SKILLS),
        ("Veröffentlichungsdatum", names.DATE),
        ("Date de publication", names.DATE),
        ("created_at", names.DATE),
        ("Date de clôture", names.LATER_DATE),
        ("Bewerbungsfrist", names.LATER_DATE),
        ("Référence", names.ID),
        ("Stellennummer", names.ID),
        ("Unternehmensbeschreibung", names.TEXT),
        ("about_the_company", names.NO_TEXT),
    ],
)
def test_names_say_what_they_hold(name: str, table: tuple[str, ...]) -> None:
    assert names.says(name, table)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("update", names.DATE),
        ("metadata", names.DATE),
        ("candidate", names.DATE),
        ("idea", names.ID),
        ("paid", names.ID),
        ("context", names.TEXT),
        ("loading", names.TEXT),
        ("sport", names.NO_LABELS),
    ],
)
def test_words_inside_of_other_words_say_nothing(name: str, table: tuple[str, ...]) -> None:
    assert not names.says(name, table)


def test_every_table_is_folded_and_without_repetition() -> None:
    for table in (names.TEXT, names.NO_TEXT, names.SKILLS, names.LABELS, names.MAYBE_LABELS, names.NO_LABELS, names.ID):
        assert len(table) == len(set(table)) and all(word == names.folded(word) for word in table)
    assert not set(names.SKILLS) & set(names.NO_LABELS)
    assert not set(names.TEXT) & set(names.NO_TEXT)
    assert not set(names.DATE) & set(names.LATER_DATE)


def test_what_a_column_holds() -> None:
    (column,) = columns([{"a": "x y"}, {"a": "  "}, {}, {"a": ["x"]}, {"a": 1}, {"a": True}, {"a": "x y"}, {"a": None}])
    assert column.values == ("x y", None, None, ["x"], 1, True, "x y", None)
    assert (len(column.filled), column.texts, column.lists) == (5, ("x y", "x y"), (["x"],))
    assert column.distinct == 4
    assert (column.characters, column.words) == (3.0, 2.0)
    assert column.kinds == "null, a string, a list, a number, true or false"


def test_deep_lists_are_counted_without_a_look_inside() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert Column("deep", (deep, deep, None)).distinct == 2


def test_of_very_many_columns_the_fullest_and_the_named_are_kept() -> None:
    rows = [{f"only-{number}": "x", "text": "an ad", "rare": "y" if number == 7 else " "} for number in range(2000)]
    found, more = columns_of(rows, list(dict.fromkeys(name for row in rows for name in row)), ["rare", "only-1999"])
    kept = [column.name for column in found]
    assert {"text", "rare", "only-1999"} < set(kept)
    assert len(kept) <= MAX_COLUMNS + 2 and len(kept) + more == 2002


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("Skills", "Did you mean `skills`?"),
        ("fähigkeiten", "Did you mean ` Faehigkeiten`?"),
        ("discription", "Did you mean `description`?"),
        ("zzz", "no such column. The columns are"),
        ("", "no such column. The columns are"),
    ],
)
def test_a_column_that_is_not_there(asked: str, hint: str) -> None:
    there = columns([{"description": "x", "skills": "y", " Faehigkeiten": "z"}])
    with pytest.raises(DraftError) as error:
        chosen(there, asked, "--labels")
    assert str(error.value).startswith(f"--labels {asked}: there is no such column.")
    assert hint in str(error.value)
    assert str(error.value).endswith("The columns are `description`, `skills`, ` Faehigkeiten`.")


def test_the_error_stays_short_and_tells_of_no_columns() -> None:
    many = columns([{f"c{number}": 1 for number in range(200)}])
    with pytest.raises(DraftError, match=r"`c29` and 170 more\.$"):
        chosen(many, "x", "--text")
    with pytest.raises(DraftError, match=r"The rows have no columns\.$"):
        chosen([], "x", "--text")


def test_a_column_is_taken_by_its_exact_name() -> None:
    both = columns([{"skills": 1, "Skills": 2, " skills": 3}])
    assert chosen(both, "Skills", "--labels").values == (2,)
    assert chosen(both, " skills", "--labels").values == (3,)


def test_lists_of_names() -> None:
    assert shown(["a", "b"]) == "`a`, `b`"
    assert shown(["a", "b", "c"], 1) == "`a` and 2 more"
