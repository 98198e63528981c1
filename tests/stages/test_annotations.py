"""Labels of people, joined to the rows of a partition by id."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from skillsengine.stages.annotations import Annotation, parse_annotations, render_annotations
from skillsengine.stages.contract import SourceFile, StageError
from tests.stages.format_run import Formatted, ad
from tests.stages.support import write_lines

AD = "We want SQL and Go, and sql daily."


def label_file(folder: Path, *annotations: Annotation) -> SourceFile:
    path = folder / "labels.jsonl"
    path.write_text(render_annotations(annotations))
    return SourceFile(path, hashlib.sha256(path.read_bytes()).hexdigest(), labels=True)


def spans(text: str, *skills: str) -> tuple[tuple[int, int], ...]:
    return tuple((text.index(skill), text.index(skill) + len(skill)) for skill in skills)


def test_a_file_is_read_as_it_was_written() -> None:
    found = [Annotation("b", "Go\u2028\u00fc", ((0, 2),)), Annotation("a", "SQL", ())]
    text = render_annotations(found)
    assert parse_annotations(text) == {each.id: each for each in found}
    assert text == render_annotations(reversed(found)), "the same labels are the same bytes"


def test_they_win_over_the_source_and_others_keep_theirs(tmp_path: Path) -> None:
    ads = write_lines(
        tmp_path / "ads.jsonl", [ad(AD, None, id="1"), ad(AD + " Or not.", ("SQL",), id="2"), ad("Go", ("Go",), id="3")]
    )
    second = AD + " Or not."
    labels = label_file(
        tmp_path,
        Annotation("1", AD, spans(AD, "sql", "Go", "SQL")),
        Annotation("2", second, ()),
        Annotation("gone", "Rust", ((0, 4),)),
    )
    done = Formatted(tmp_path, ads, labels)
    assert [row.skills for row in done.rows] == [("SQL", "Go"), (), ("Go",)]
    assert [row.spans for row in done.rows] == [spans(AD, "SQL", "Go", "sql"), (), None]
    counted = {name: done.summary[name] for name in ("annotated", "annotations_unused", "with_labels", "splits")}
    assert counted == {"annotated": 2, "annotations_unused": 1, "with_labels": 3, "splits": []}


def test_an_ad_that_has_changed_keeps_what_its_source_says(tmp_path: Path) -> None:
    ads = write_lines(tmp_path / "ads.jsonl", [ad(AD + " New.", None, id="1"), ad("Know  <b>Go</b>!", None, id="2")])
    labels = label_file(tmp_path, Annotation("1", AD, spans(AD, "SQL")), Annotation("2", "Know Go!", ((5, 7),)))
    done = Formatted(tmp_path, ads, labels, data={"cleaning": ["html"]})
    assert [(row.skills, row.spans) for row in done.rows] == [(None, None), (("Go",), ((6, 8),))]
    assert done.rows[1].text == "Know  Go!", "other cleaning moves the spans, and the words are the same"
    assert (done.summary["annotated"], done.summary["annotations_unused"]) == (1, 1)


def test_a_label_file_that_was_edited_or_is_gone_is_told(tmp_path: Path) -> None:
    ads = write_lines(tmp_path / "ads.jsonl", [ad(AD, id="1")])
    labels = label_file(tmp_path, Annotation("1", AD, ()))
    labels.path.write_text(labels.path.read_text() + " ")
    with pytest.raises(StageError) as caught:
        Formatted(tmp_path, ads, labels)
    assert str(caught.value) == (
        f"{labels.path}: these labels were changed by hand. Change them by `skillsengine annotate import`, and put back what "
        "stood there, or delete the file `current` beside its folder."
    )
    labels.path.unlink()
    (tmp_path / "again").mkdir()
    with pytest.raises(StageError) as caught:
        Formatted(tmp_path / "again", ads, labels)
    assert str(caught.value) == (
        f"{labels.path}: the labels that `annotate import` has kept cannot be read (No such file or directory). Put the file "
        "back, or run again so that a new plan is made."
    )
