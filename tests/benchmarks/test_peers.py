"""What `benchmarks.peers` counts, and that docs/scoring.md quotes what was recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks._peers_ads import Ad, Paragraph, paragraphs, read_ads, read_lines, write_lines
from benchmarks._peers_models import AD, PARAGRAPH, Asking, asker_of
from benchmarks._peers_scores import compared, counted, ratios, read_said, row_of, table
from benchmarks._peers_sides import finish
from benchmarks._record import read_rows
from skillsengine.modeling.base import load_base
from skillsengine.scoring.places import occurrences
from skillsengine.scoring.spans import span_scores
from skillsengine.spec.schema import Base
from skillsengine.stages.asking import Asker
from tests.conftest import PROJECT
from tests.tiny import make_tiny_base


def test_the_pages_quote_the_recorded_figures() -> None:
    """`python -m benchmarks.peers --work DIR --only` prints the tables."""
    rows = read_rows("peers")
    assert table(rows) in (PROJECT / "docs" / "scoring.md").read_text("utf-8")
    f1 = {row["side"]: f"{row['scores']['ads']['with']['f1']:.3f}" for row in rows}
    told = " ".join((PROJECT / "README.md").read_text("utf-8").split())
    assert (
        f"an F1 of {f1['ours']} where the training labels looked up have {f1['lexicon']} and ESCO's names {f1['esco']}"
        f"; a spaCy NER trained on the same paragraphs has {f1['spacy']}, and" in told
    )


FIRST, SECOND = "You know SQL and Python.", "We use SQL. Git is a plus."


def ad(name: str, *, near_copy: bool = False) -> Ad:
    text = f"{FIRST}\n{SECOND}"
    parts = (Paragraph(f"{name}-0", FIRST, ("SQL", "Python")), Paragraph(f"{name}-1", SECOND, ("SQL",)))
    spans = frozenset({(9, 12), (17, 23), (32, 35)})
    assert sorted(text[start:end] for start, end in spans) == ["Python", "SQL", "SQL"]
    return Ad(name, text, ("SQL", "Python"), spans, near_copy, parts)


ADS = [ad("a"), ad("b"), ad("c", near_copy=True)]


def write(folder: Path, side: str, found: list[str], spans: list[list[int]] | None = None) -> None:
    """The same skills of every paragraph and every ad."""
    parts = [{"id": part.id, "skills": found, "parsed": bool(found)} for each in ADS for part in each.paragraphs]
    write_lines(folder / f"{side}-paragraphs.jsonl", parts)
    where = {} if spans is None else {"spans": spans}
    write_lines(folder / f"{side}-ads.jsonl", [{"id": each.id, "skills": found, **where} for each in ADS])
    finish(folder, side, lambda: {"made": side})


def test_skills_are_counted_by_paragraph_by_ad_and_wherever_they_are_written(tmp_path: Path) -> None:
    write(tmp_path, "ours", ["sql", "SQL", "Git"])
    said = read_said(ADS, tmp_path, "ours")
    assert said is not None
    # Gold, found, both. Of a paragraph `sql` and `SQL` are one skill; `Git` is in none of the marks.
    assert counted(ADS[:1], said, "paragraphs").tolist() == [[3, 4, 2]]
    assert counted(ADS[:1], said, "ads").tolist() == counted(ADS[:1], said, "joined").tolist() == [[2, 2, 1]]
    assert counted(ADS[:1], said, "spans").tolist() == [[3, 3, 2]]
    strict = span_scores([(sorted(ADS[0].spans), said.spans["a"])])
    assert strict["span_strict_f1"] == pytest.approx(2 * 2 / (3 + 3))


def test_a_side_that_knows_where_its_skills_stand_is_taken_at_its_word(tmp_path: Path) -> None:
    write(tmp_path, "spacy", ["SQL"], [[9, 12]])
    said = read_said(ADS, tmp_path, "spacy")
    assert said is not None and said.spans["a"] == [(9, 12)]
    assert counted(ADS[:1], said, "spans").tolist() == [[3, 1, 1]]


def test_a_row_has_both_sets_of_ads_and_what_ours_is_better_by(tmp_path: Path) -> None:
    write(tmp_path, "ours", ["SQL"])
    write(tmp_path, "esco", [])
    ours, esco = read_said(ADS, tmp_path, "ours"), read_said(ADS, tmp_path, "esco")
    assert ours is not None and esco is not None and read_said(ADS, tmp_path, "base") is None
    mine_alone, theirs_alone = row_of(ADS, ours, "ours"), row_of(ADS, esco, "esco")
    assert mine_alone["counts"]["paragraphs"] == "3,2,2 3,2,2 3,2,2"
    rows = [mine_alone, compared(ADS, theirs_alone, json.loads(json.dumps(mine_alone)))]
    mine, theirs = rows[0]["scores"]["paragraphs"]["with"], rows[1]["scores"]["paragraphs"]["without"]
    assert (mine["ads"], mine["gold"], mine["found"], mine["both"], mine["f1"]) == (3, 9, 6, 6, 0.8)
    assert (theirs["ads"], theirs["f1"], theirs["ours_minus_it"]["f1"]) == (2, 0.0, 0.8)
    assert (rows[0]["parse_rate"], rows[1]["parse_rate"], rows[0]["verbatim_rate"]) == (1.0, 0.0, 1.0)
    # Of three ads a permutation test says nothing, however good the one and bad the other.
    assert ratios(rows)["ours to esco, ads, with near copies"] == "no difference seen (+0.667, +0.667 to +0.667)"
    # A side that was recorded before its counts were kept.
    apart = compared(ADS, rows[1], {name: value for name, value in mine_alone.items() if name != "counts"})
    assert ratios([mine_alone, apart]) == {}
    assert "0.000 (0.000 to 0.000); not compared ad by ad |" in table([mine_alone, apart])
    assert table(rows).splitlines()[:4] == [
        "| all 3 ads | paragraphs, set F1 | whole ads, set F1 | whole ads, strict span F1 |",
        "| --- | --- | --- | --- |",
        "| ours: SmolLM2-135M, LoRA | 0.800 (0.800 to 0.800) | 0.667 (0.667 to 0.667) | 0.800 (0.800 to 0.800) |",
        "| ESCO names, looked up | 0.000 (0.000 to 0.000); no difference seen | 0.000 (0.000 to 0.000); no difference seen "
        "| 0.000 (0.000 to 0.000); no difference seen |",
    ]


def test_a_side_that_is_done_is_not_made_again(tmp_path: Path) -> None:
    write(tmp_path, "esco", ["SQL"])
    finish(tmp_path, "esco", lambda: pytest.fail("made again"))
    assert json.loads((tmp_path / "esco.json").read_text()) == {"made": "esco"}
    assert [row["skills"] for row in read_lines(tmp_path / "esco-ads.jsonl")] == [["SQL"]] * 3


def test_a_model_answers_what_it_has_not_answered_yet(tmp_path: Path) -> None:
    make_tiny_base(tmp_path / "base")
    loaded = load_base(Base(model="base"), "cpu", bases=tmp_path, allowed_roots=(tmp_path,))

    def asker(most: int) -> Asker:
        assert most in (PARAGRAPH, AD)
        found: Asker = asker_of(loaded, 4, template="Ad: {text}\nSkills:")
        return found

    Asking(ADS[:2], tmp_path, "ours", "one").answer(asker)
    first = read_lines(tmp_path / "ours-paragraphs.jsonl")
    assert sorted(row["id"] for row in first) == ["a-0", "a-1", "b-0", "b-1"]
    assert {row["by"] for row in first} == {"one"} and all(row["raw"] for row in first)

    # As if the process had been killed after two, and was begun again: those two stay as they are.
    kept = [row | {"skills": ["kept"]} for row in first[:2]]
    write_lines(tmp_path / "ours-paragraphs.jsonl", kept)
    Asking(ADS, tmp_path, "ours", "one").answer(asker)
    again = read_lines(tmp_path / "ours-paragraphs.jsonl")
    assert again[:2] == kept and len(again) == 6
    assert [row for row in again if row in first[2:]] == first[2:]
    assert sorted(row["id"] for row in read_lines(tmp_path / "ours-ads.jsonl")) == ["a", "b", "c"]

    # Another adapter keeps none of them.
    Asking(ADS[:1], tmp_path, "ours", "two").answer(asker)
    assert {row["by"] for row in read_lines(tmp_path / "ours-paragraphs.jsonl")} == {"two"}


@pytest.mark.shared
def test_the_ads_of_the_test_split_are_whole() -> None:
    ads = read_ads()
    assert (len(ads), sum(each.near_copy for each in ads)) == (65, 9)
    assert sum(len(each.paragraphs) for each in ads) == len(paragraphs("test")) == 394
    # What the page says of the marks themselves.
    as_strings = [(sorted(each.spans), occurrences(each.text, each.skills)) for each in ads]
    assert span_scores(as_strings)["span_strict_f1"] == pytest.approx(0.926, abs=5e-4)
    # The paragraphs are the ad, cut: what reads them reads all of it.
    assert ["\n".join(part.text for part in each.paragraphs) for each in ads] == [each.text for each in ads]
