"""Files that labelling tools hand back: the shapes they have, and what is said of a line that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillsengine.sources.errors import SourceError
from skillsengine.stages.returned import Returned, join, read_returned
from tests.stages.formatted import row

AD = "We want SQL and Go."
SQL, GO = (8, 11), (16, 18)


def returned(folder: Path, *lines: Any) -> Returned:
    path = folder / "back.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return read_returned(path)


@pytest.mark.parametrize(
    ("labels", "spans"),
    [
        ({"label": [[8, 11, "SKILL"], [16, 18, "HARD"]]}, (SQL, GO)),
        ({"labels": [[16, 18, "SKILL"]]}, (GO,)),
        ({"label": [{"start": 8, "end": 11, "text": "SQL", "labels": ["SKILL"]}]}, (SQL,)),
        (
            {"label": [], "spans": [{"start": 8, "end": 11, "token_start": 2, "label": "SKILL"}], "answer": "accept"},
            (SQL,),
        ),
        ({"entities": [{"id": 7, "label": "SKILL", "start_offset": 16, "end_offset": 18}], "relations": []}, (GO,)),
        ({"label": []}, ()),
        ({"label": [[7, 12, "SKILL"], [8, 11, "SKILL"]]}, (SQL,)),
        ({"label": [[15, 19, "SKILL"]]}, ((16, 19),)),
    ],
    ids=["doccano", "older doccano", "label studio", "prodigy", "relations", "no skill", "twice", "white space"],
)
def test_shapes_of_tools(tmp_path: Path, labels: dict[str, Any], spans: Any) -> None:
    found = returned(tmp_path, {"id": "a", "text": AD, **labels})
    assert found.problems == () and found.left_open == 0
    assert [(ad.id, ad.spans) for ad in found.ads] == [("a", spans)]


def test_a_json_list_is_read_too_and_what_nobody_labelled_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "back.json"
    rejected = {"text": AD, "spans": [], "answer": "reject"}
    path.write_text(
        json.dumps([{"id": 5, "text": AD, "label": []}, {"text": AD}, {"text": AD, "label": None}, rejected])
    )
    found = read_returned(path)
    assert ([(ad.id, ad.place) for ad in found.ads], found.left_open) == ([("5", 1)], 3)


def test_a_file_that_is_no_json_lines_is_refused_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "back.jsonl").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(SourceError, match=r"back\.jsonl: "):
        read_returned(tmp_path / "back.jsonl")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"text": ', "not JSON: it ends before its object does. Mend the line, or take it out."),
        ("[]", "not a JSON object: it is a list. Mend the line, or take it out."),
        ({"label": []}, "it has no `text`. Each line holds the ad as it was exported: let the tool keep it."),
        ({"text": 3}, "`text` is a number. Each line holds the ad as it was exported: let the tool keep it."),
        (
            {"text": AD, "label": "SQL"},
            '`label` is a string. It is a list of labels, such as [[0, 3, "SKILL"]].',
        ),
        (
            {"text": AD, "label": ["SQL"]},
            'item 1 of `label` is `"SQL"`. A label is [start, end, "SKILL"], in characters of the text.',
        ),
        (
            {"text": AD, "spans": [[8, 11], {"start": "8", "end": 11}]},
            'item 2 of `spans` is `{"start": "8", "end": 11}`. A label is [start, end, "SKILL"], in characters of the text.',
        ),
        (
            {"text": AD, "label": [[8, 20, "SKILL"]]},
            'item 1 of `label` is `[8, 20, "SKILL"]`, and the text has 19 characters. They are counted from 0, and the end is '
            "the first one behind the label.",
        ),
        (
            {"text": AD, "label": [[11, 12, "SKILL"]]},
            'item 1 of `label` is `[11, 12, "SKILL"]`, where the text has only white space. Take the label out.',
        ),
    ],
)
def test_what_is_wrong_with_a_line(tmp_path: Path, line: Any, told: str) -> None:
    assert returned(tmp_path, "", line).problems == ((2, told),)


def test_rows_are_known_by_id_or_else_by_text(tmp_path: Path) -> None:
    rows = [row(AD, None, id="1"), row("Know Go", None, id="2"), row("Know C", None, id="3")]
    found = returned(
        tmp_path,
        {"id": "1", "text": AD, "label": [[*GO]]},
        {"id": 71, "text": "Know Go", "label": [[5, 7]]},
        {"text": "Know C", "label": []},
    )
    joined, problems = join(found, rows, "2026-03")
    assert problems == []
    assert [(each.id, each.text, each.spans) for each in joined] == [
        ("1", AD, (GO,)),
        ("2", "Know Go", ((5, 7),)),
        ("3", "Know C", ()),
    ]


def test_a_tool_that_gives_numbers_for_ids_mistakes_no_ad_for_another(tmp_path: Path) -> None:
    rows = [row("Know Go", None, id="1"), row("Know C", None, id="2")]
    found = returned(tmp_path, {"id": 1, "text": "Know C", "label": []}, {"id": 2, "text": "Know Go", "label": []})
    assert [each.id for each in join(found, rows, "all")[0]] == ["2", "1"]


@pytest.mark.parametrize(
    ("ad", "told"),
    [
        (
            {"id": "9", "text": "Know Rust"},
            "there is no ad `9` in 2026-03, and none has its text. Import into the partition that was exported (--partition), "
            "with texts as they were.",
        ),
        (
            {"text": "Know Rust"},
            "this ad has no `id`, and none has its text. Import into the partition that was exported (--partition), with texts "
            "as they were.",
        ),
        (
            {"id": "1", "text": "Know  Go and more"},
            "the text of `1` is another than in 2026-03: ` Go and more` and not `Go and more` from character 6 on. Labels "
            "count its characters, so it must stay as it was: put it back, or export again if the source has changed.",
        ),
        (
            {"id": "1", "text": "Know Go and"},
            "the text of `1` is another than in 2026-03: `(its end)` and not ` more` from character 12 on. Labels count "
            "its characters, so it must stay as it was: put it back, or export again if the source has changed.",
        ),
        (
            {"id": "2", "text": "Know Go and more"},
            "the ad `1` stands in line 1 already. Take one of the two out.",
        ),
    ],
)
def test_ads_that_are_not_of_the_partition(tmp_path: Path, ad: dict[str, Any], told: str) -> None:
    rows = [row("Know Go and more", None, id="1")]
    first = {"id": "1", "text": "Know Go and more", "label": []}
    found = returned(tmp_path, *([first] if "line 1" in told else [""]), {**ad, "label": []})
    assert join(found, rows, "2026-03")[1] == [(2, told)]


@pytest.mark.parametrize(
    ("label", "proposed", "untouched"),
    [
        ([[*SQL]], ["SQL", "Rust"], True),
        ([[*SQL]], ["SQL", "Go"], False),
        ([], ["SQL"], False),
        ([], [], True),
        ([], None, True),
        ([[*SQL]], None, False),
    ],
)
def test_whether_somebody_has_touched_it(tmp_path: Path, label: Any, proposed: Any, untouched: bool) -> None:
    line = {"text": AD, "label": label} | ({} if proposed is None else {"proposed": proposed})
    assert [ad.untouched for ad in returned(tmp_path, line).ads] == [untouched]
