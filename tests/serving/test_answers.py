from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from skillsengine.serving.answers import Last, after, answer_line, open_answers
from skillsengine.serving.extract import Extraction
from skillsengine.serving.texts import Text, Unread
from skillsengine.sources.errors import SourceError

FOUND = Extraction(["wound care", "Schweißen"], "raw", True)


def ads(count: int = 4) -> Iterator[Text | Unread]:
    for line in range(1, count + 1):
        yield Unread(f"ads.jsonl:{line}: bad") if line == 2 else Text("ads.jsonl", line, f"id{line}", "text", None)


def test_a_line_tells_where_its_ad_stands() -> None:
    line = answer_line("job-skills@7", Text("ads.jsonl", 3, "a", "text", 0.5), FOUND)
    assert line == (
        '{"id": "a", "file": "ads.jsonl", "line": 3, "version": "job-skills@7", '
        '"skills": ["wound care", "Schweißen"], "parsed": true}\n'
    )
    assert "line" not in json.loads(answer_line("job-skills@7", Text("ad.txt", None, "ad.txt", "text", 1.0), FOUND))


@pytest.mark.parametrize("cut", ["", '{"id": "id3", "fi'])
def test_another_run_goes_on_after_the_last_whole_line(tmp_path: Path, cut: str) -> None:
    path = tmp_path / "out.jsonl"
    texts = [item for item in ads() if isinstance(item, Text)]
    file, last = open_answers(path, resume=False, version="m@1")
    assert last is None
    with file:
        file.write(answer_line("m@1", texts[0], FOUND) + cut)
    file, last = open_answers(path, resume=True, version="m@1")
    assert last == Last("ads.jsonl", 1, "m@1")
    left = list(after(ads(), last))
    assert left == list(ads())[1:]
    with file:
        file.writelines(answer_line("m@1", text, FOUND) for text in left if isinstance(text, Text))
    assert path.read_text("utf-8") == "".join(answer_line("m@1", text, FOUND) for text in texts)
    assert list(after(ads(), open_answers(path, resume=True, version="m@1")[1])) == []


def test_nothing_or_half_a_line_is_a_beginning(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("")
    assert open_answers(path, resume=False, version="m@1")[1] is None
    path.write_text('{"id": "x')
    assert open_answers(path, resume=True, version="m@1")[1] is None
    assert path.read_text() == ""
    assert list(after(ads(), None)) == list(ads())


def test_a_long_line_is_found_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    many = Extraction([f"skill {number}" for number in range(20_000)], "", True)
    path.write_text("".join(answer_line("m@1", text, many) for text in ads() if isinstance(text, Text)))
    assert open_answers(path, resume=True, version="m@1")[1] == Last("ads.jsonl", 4, "m@1")


def test_mistakes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(answer_line("m@1", Text("ads.jsonl", 9, "a", "text", None), FOUND))
    before = path.read_bytes()
    with pytest.raises(SourceError, match=r"is there already. Add --resume to go on after its last answer"):
        open_answers(path, resume=False, version="m@1")
    with pytest.raises(SourceError, match=r"those of m@1, and m@2 is asked now. Name m@1 to go on"):
        open_answers(path, resume=True, version="m@2")
    last = open_answers(path, resume=True, version="m@1")[1]
    with pytest.raises(
        SourceError, match=r"the last answer is that of ads.jsonl:9, which is not among what is read now"
    ):
        list(after(ads(), last))
    assert path.read_bytes() == before
    for other in ("id,skills\n1,SQL\n", '{"id": "a"}\n', "no line break", "7\n"):
        path.write_text(other)
        with pytest.raises(SourceError, match=r"its last line is no answer of `skillsengine extract`"):
            open_answers(path, resume=True, version="m@1")
        assert path.read_text() == other
    with pytest.raises(SourceError, match=r"cannot be written .*Name a file in a folder that exists"):
        open_answers(tmp_path / "nowhere" / "out.jsonl", resume=False, version="m@1")
