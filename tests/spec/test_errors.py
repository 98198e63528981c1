"""What people read: the table of full texts, and what the texts must never show."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import yaml

from skillsengine.spec import yaml_text
from skillsengine.spec.errors import MAX_SHOWN, Problem, SpecError, told_together
from skillsengine.spec.load import load_spec
from tests.spec.support import GOOD, Case, Folder, read_table

TABLE = read_table(Path(__file__).with_name("error_table.txt"))


def _text(case: Case, specs: Folder) -> str:
    for name, text in case.files.items():
        specs.write(text, name)
    with pytest.raises(SpecError) as caught:
        load_spec(specs.experiments / "job.yaml", overrides=case.overrides)
    return str(caught.value)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.title)
def test_the_full_text(case: Case, specs: Folder) -> None:
    assert _text(case, specs) == case.expected


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.title)
def test_the_same_without_libyaml(case: Case, specs: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "_PARSER", yaml.SafeLoader)
    assert _text(case, specs) == case.expected


def test_the_table_is_read() -> None:
    assert len(TABLE) > 50
    assert all(case.files and case.expected for case in TABLE)


@pytest.mark.parametrize("before", [0, 1, 20, 60, 61, 62, 63, 100, 5000])
@pytest.mark.parametrize("after", [0, 40, 5000])
def test_an_excerpt_fits_80_columns_and_its_caret_stands_below_the_word(before: int, after: int) -> None:
    line = "a" * before + "WORD" + "b" * after
    problem = Problem("job.yaml", 1234, before + 1, "x", "wrong", excerpt=line, length=4)
    _, excerpt, carets = str(problem).splitlines()
    assert max(len(excerpt), len(carets)) <= 80
    assert excerpt[carets.index("^") : carets.rindex("^") + 1] == "WORD"
    assert len(excerpt) > 60 or "…" not in excerpt, "cut, it still shows as much as fits"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            GOOD.encode() + b"owner: Ren\xe9\n",
            "experiments/job.yaml:3:11: not UTF-8: the byte 0xe9 begins no character",
        ),
        (GOOD.encode("utf-16"), "experiments/job.yaml:1:1: saved as UTF-16"),
        (GOOD.encode() + b"owner: a\x07b\n", "experiments/job.yaml:3:9: the control character U+0007"),
        (b"#" * 1_000_001, "experiments/job.yaml:1:1: larger than 1 MB"),
        (b"", "experiments/job.yaml:1:1: the file is empty"),
    ],
    ids=["latin-1", "utf-16", "control", "large", "empty"],
)
def test_bytes_that_are_no_spec(data: bytes, expected: str, specs: Folder) -> None:
    assert specs.error(data).startswith(expected)


def test_files_that_are_no_spec(specs: Folder) -> None:
    def error(name: str) -> str:
        with pytest.raises(SpecError) as caught:
            load_spec(specs.experiments / name)
        return str(caught.value)

    specs.write(GOOD, "_base/job.yaml")
    specs.write(GOOD, "job.yml")
    (specs.experiments / "folder.yaml").mkdir()
    assert error("nothing.yaml") == "experiments/nothing.yaml:1:1: no such file"
    assert error("folder.yaml") == "experiments/folder.yaml:1:1: this is a folder, not a spec"
    assert error("job.yml").endswith("a spec's file ends in .yaml\n   rename it to job.yaml")
    assert "not a spec: files and folders that begin with `_` or `.`" in error("_base/job.yaml")


def test_the_caret_stands_under_wide_characters_and_in_long_lines(specs: Folder) -> None:
    lines = specs.error(GOOD + "tags: [日本語, 5]\n").splitlines()
    assert lines[1] == "   3 | tags: [日本語, 5]"
    assert lines[2] == "     | " + " " * len("tags: [xxxxxx, ") + "^"
    lines = specs.error(GOOD + f"tags: [{'x' * 300}, 5, {'y' * 300}]\n").splitlines()
    assert len(lines[1]) < 130
    assert lines[1][lines[2].index("^")] == "5"
    assert lines[1][7] == lines[1][-1] == "…"


def test_windows_line_breaks(specs: Folder) -> None:
    text = specs.error(GOOD.replace("\n", "\r\n") + "train:\r\n  epochs: x\r\n")
    assert text.startswith("experiments/job.yaml:4:11: train.epochs: ")


def test_hundreds_of_problems_are_told_in_part(specs: Folder) -> None:
    text = specs.error(GOOD + "".join(f"key{i}: 1\n" for i in range(1000)))
    assert text.count("unknown key") == MAX_SHOWN
    assert text.endswith("more problems")


def test_an_error_survives_the_way_between_processes() -> None:
    error = SpecError([Problem("experiments/job.yaml", 3, 1, "owner", "wrong", "mend it", "owner: x", 5)])
    again = pickle.loads(pickle.dumps(error))
    assert again.problems == error.problems
    assert str(again) == str(error)


def _problem(message: str, file: str = "experiments/_env/prod.yaml") -> Problem:
    return Problem(file, 1, 1, "owner", message, excerpt="owner: x")


def test_what_stops_several_specs_is_told_once() -> None:
    shared, own = _problem("wrong everywhere"), _problem("wrong here", "experiments/job.yaml")
    errors = [SpecError([shared]), SpecError([own, shared]), SpecError([shared])]
    assert told_together(errors) == [f"{shared}\n   this stops 3 specs", str(own)]
    assert str(shared) == "experiments/_env/prod.yaml:1:1: owner: wrong everywhere\n   1 | owner: x\n     | ^"


def test_one_spec_is_told_as_it_is() -> None:
    errors = [SpecError([_problem("wrong"), _problem("wrong, too"), _problem("wrong, too")])]
    assert told_together(errors) == [str(errors[0])]
    assert told_together([]) == []


def test_hundreds_of_problems_that_stop_several_are_told_in_part() -> None:
    problems = [_problem(f"wrong {i}") for i in range(MAX_SHOWN + 7)]
    (text,) = told_together([SpecError(problems), SpecError(problems)])
    assert text.count("this stops 2 specs") == MAX_SHOWN
    assert text.endswith("\n\n... and 7 more problems")
