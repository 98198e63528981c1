"""The rows that a draft shows are those that `format` makes of the same file."""

from __future__ import annotations

import json
from pathlib import Path

from skillsengine.draft.guess import Options, make_guess
from skillsengine.draft.look import look
from skillsengine.draft.place import find_place
from skillsengine.draft.usable import Usable, usable_rows
from skillsengine.sources.connection import environment_connect
from skillsengine.sources.files import SourceFile
from skillsengine.spec.schema import Data
from skillsengine.stages.reading import Columns, SourceReader
from skillsengine.stages.records import clean_record
from tests.draft.support import NOW

AD = "We are a small shop in the north and look for somebody who knows {} and gets along with people of all ages."
ROWS = [
    {"ref": "a-1", "ad": AD.format("<b>TIG welding</b> &amp; reading blueprints"), "skills": ["reading blueprints"]},
    {"ref": "a-2", "ad": AD.format("SQL, Go and sql"), "skills": ["Go", "SQL", "Rust"]},
    {"ref": "a-3", "ad": AD.format("nothing"), "skills": []},
    {"ref": "a-4", "ad": AD.format("much"), "skills": None},
    {"ref": "a-5", "ad": AD.format("Kotlin"), "skills": ["Java"]},
    {"ref": "a-6", "ad": "<br/>", "skills": ["Java"]},
    {"ref": "a-7", "ad": None, "skills": ["Java"]},
    {"ref": "a-8", "ad": 8, "skills": ["Java"]},
    {"ref": "a-9", "ad": AD.format("C++"), "skills": 9},
    {"ref": None, "ad": AD.format("COBOL"), "skills": ["COBOL"]},
]


def read(path: Path) -> Usable:
    place = find_place(str(path), path.parent)
    sample = look(place)
    return usable_rows(sample, make_guess(place, sample, Options(text="ad", labels="skills", id="ref"), NOW))


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_rows_are_cleaned_labelled_and_rejected(tmp_path: Path) -> None:
    usable = read(write(tmp_path / "ads.jsonl", [json.dumps(row) for row in ROWS] + ["{broken"]))
    assert [(row.id, row.skills) for row in usable.rows] == [
        ("a-1", ("reading blueprints",)),
        ("a-2", ("SQL", "Go")),
        ("a-3", ()),
        ("a-4", None),
        ("ads.jsonl:10", ("COBOL",)),
    ]
    assert "knows TIG welding & reading blueprints and" in usable.rows[0].text
    assert len(usable.labelled) == 4
    assert usable.reasons.total() == 6
    assert "6 of 11 rows would be rejected (" in usable.doubt
    assert "and a run stands 10%: mend the rows, name other columns, or raise data.max_rejected" in usable.doubt


def test_they_are_what_format_makes_of_the_file(tmp_path: Path) -> None:
    """Through the stage itself."""
    path = write(tmp_path / "ads.jsonl", [json.dumps(row) for row in ROWS] + ["{broken"])
    reader = SourceReader((SourceFile(path, ""),), Columns("ad", "skills", "ref"), environment_connect)
    steps = Data.model_fields["cleaning"].default
    records = [clean_record(record, steps).record for record in reader.records()]
    usable = read(path)
    good = [record for record in records if record.reason is None]
    assert [(row.id, row.text, row.skills) for row in usable.rows] == [
        (record.id, record.text, None if record.labels is None else tuple(record.labels)) for record in good
    ]
    assert sorted(usable.reasons) == sorted({record.reason for record in records if record.reason})


def test_a_few_bad_rows_are_no_doubt(tmp_path: Path) -> None:
    lines = [json.dumps({"ref": i, "ad": AD.format(f"tool {i}"), "skills": [f"tool {i}"]}) for i in range(20)]
    usable = read(write(tmp_path / "ads.jsonl", [*lines, "{broken"]))
    assert (len(usable.rows), usable.reasons.total(), usable.doubt) == (20, 1, "")
